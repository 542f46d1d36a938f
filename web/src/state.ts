/** What the page shows: signals that components read and the editor writes. */

import { computed, signal } from "@preact/signals";
import type { Candidate } from "./decoder/model";
import type { Draft } from "./draft";
import { Encoding } from "./encoding";
import { load, shown, type Action, type Bindings } from "./keys";
import type { Point } from "./masks/brush";
import type { MaskObject } from "./objects";
import type { Saver } from "./saver";
import type { ImageDocument, ImageSummary, Project } from "./types";
import { loadView } from "./view-settings";

export type ToolName = "point" | "box" | "scribble" | "brush" | "eraser" | "polygon";

export const project = signal<Project | null>(null);
export const saver = signal<Saver | null>(null);
export const images = signal<readonly ImageSummary[]>([]);
/** The open image, without its instances: these are `objects`. */
export const image = signal<Omit<ImageDocument, "instances"> | null>(null);
/** Who works on the open image, where that is somebody else; it is not changed here then. */
export const holder = signal<string | null>(null);
export const objects = signal<readonly MaskObject[]>([]);
export const encoding = new Encoding();
export const { frame } = encoding;

/** Whether the decoder is loaded; before a project's first use the server has to make it. */
export const decoderLoaded = signal(false);

export const draft = signal<Draft | null>(null);
/** Counts the draft's changes, for those who show it. */
export const draftChanges = signal(0);
export const hover = signal<Candidate | null>(null);
export const busy = signal(false);

export const tool = signal<ToolName>("point");
export const brushSize = signal(24);
const view = loadView(localStorage);
export const opacity = signal(view.opacity);
export const contrast = signal(view.contrast);
export const allHidden = signal(false);
/** Suggestions with at least this predicted IoU are accepted together. */
export const threshold = signal(0.88);
export const labels = signal<readonly string[]>([]);
export const bindings = signal<Bindings>(load(localStorage));
/** The first key of an action, as texts name it; empty where it has none. */
export const keyOf = (action: Action): string => shown(bindings.value[action][0] ?? "");
export const dialog = signal<"help" | "api" | "conflict" | "token" | "export" | null>(null);

/** The keyboard's cursor in pixels of the image; null while the pointer leads. */
export const cursor = signal<Point | null>(null);
/** Where the tool was used last by keys: the next use draws a line from there. */
export const pen = signal<Point | null>(null);
/** Corners of a polygon that is being drawn. */
export const corners = signal(0);
export const progress = signal<{ done: number; total: number } | null>(null);
export const message = signal<{ text: string; bad: boolean } | null>(null);
/** Whole active seconds of the object at hand, and those since it came to hand. */
export const seconds = signal(0);
export const recentSeconds = signal(0);

export const suggestions = computed(() =>
  objects.value.filter(({ instance }) => instance.stage === "suggested"),
);

let clearing: ReturnType<typeof setTimeout> | undefined;

/** Says something for a while; errors stay longer. */
export function say(text: string, bad = false): void {
  clearTimeout(clearing);
  message.value = { text, bad };
  clearing = setTimeout(() => (message.value = null), bad ? 12_000 : 3_000);
}

export const failed = (error: unknown): void =>
  say(error instanceof Error ? error.message : `${error}`, true);

/** Whether the open image is this person's to change; says why not. */
export function mayChange(): boolean {
  if (holder.value === null) return true;
  say(`${holder.value} is working on this image. Take it over to change it.`, true);
  return false;
}
