/** What the server and the page tell each other (JSON; ids are opaque strings). */

import type { Rle } from "./masks/rle";

export interface Counts {
  unlabelled: number;
  in_progress: number;
  submitted: number;
  accepted: number;
  rejected: number;
  skipped: number;
}

export interface Project {
  id: string;
  name: string;
  /** null where the server runs without a model: then there are the pixel tools alone. */
  model: { id: string; name: string; decoder: string; image: string; constants: string } | null;
  counts: Counts;
  /** Names of the formats that masks are exported in. */
  formats: string[];
  me: { name: string; role: "annotator" | "reviewer" | "admin" };
}

export interface ImageSummary {
  id: string;
  name: string;
  width: number;
  height: number;
  state: keyof Counts;
  version: number;
  instances: number;
  prepared: boolean;
}

export type Stage = "manual" | "suggested" | "accepted" | "imported";

/** A prompt as it is kept for provenance; coordinates in pixels of the image. */
export type Prompt =
  | { kind: "point"; x: number; y: number; label: 0 | 1 }
  | { kind: "box"; box: [number, number, number, number] }
  | { kind: "mask" }
  | { kind: "brush" | "eraser" | "polygon" };

/** The fields of an instance that a person makes. */
export interface InstanceValue {
  rle: Rle;
  labels: string[];
  stage: Stage;
  prompts: Prompt[];
  model: string | null;
  predicted_iou: number | null;
  seconds: number;
  hidden?: boolean;
  locked?: boolean;
  /** What an imported record said besides; it is handed on with the pixels. */
  source?: Record<string, unknown>;
}

export interface Instance extends InstanceValue {
  id: string;
  version: number;
  editor?: string;
}

export interface ImageDocument {
  id: string;
  name: string;
  width: number;
  height: number;
  state: keyof Counts;
  version: number;
  instances: Instance[];
  review: { decision: string; comment: string } | null;
}

export interface Operation {
  op: string;
  kind: "put" | "delete";
  instance: string;
  base: number;
  value?: InstanceValue;
}

export interface OperationResult {
  op: string;
  status: "accepted" | "duplicate" | "conflict";
  version: number;
  current?: Instance | null;
}

export interface OperationsAnswer {
  version: number;
  results: OperationResult[];
}

export interface Lease {
  id: string;
  expires_in: number;
}

/** Whose an image is just now: ours, by a lease, or somebody else's. */
export type Tenancy = { lease: Lease; holder: null } | { lease: null; holder: string };

/** A snapshot or an export that the server makes. */
export interface Job {
  id: string;
  state: "waiting" | "running" | "done" | "failed";
  error: string | null;
  result: Exported | null;
}

export interface Exported {
  format: string;
  images: number;
  masks: number;
  /** What the format could not hold: how many, by kind. */
  losses: Record<string, number>;
  file: string;
}

export type ServerEvent =
  | { kind: "prepared"; image: string }
  | { kind: "progress"; done: number; total: number }
  | { kind: "lease"; image: string }
  | { kind: "job"; [field: string]: unknown };
