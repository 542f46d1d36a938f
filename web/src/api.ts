/** The server's routes, typed. Every call carries the token; an error answer becomes an ApiError. */

import { token } from "./token";
import type {
  ImageDocument,
  ImageSummary,
  Instance,
  Job,
  Lease,
  Operation,
  OperationsAnswer,
  Project,
  ServerEvent,
  Tenancy,
} from "./types";

/** The server answered, but not with what was asked for. A network failure is a TypeError. */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    message: string,
  ) {
    super(message);
  }
}

async function request(path: string, init: RequestInit = {}): Promise<Response> {
  const headers = new Headers(init.headers);
  headers.set("Authorization", `Bearer ${token()}`);
  return fetch(path, { ...init, headers, cache: "no-store", credentials: "omit" });
}

async function checked(path: string, init: RequestInit = {}): Promise<Response> {
  const response = await request(path, init);
  if (!response.ok) throw await errorOf(response);
  return response;
}

async function errorOf(response: Response): Promise<ApiError> {
  const body = (await response.json().catch(() => null)) as { error?: string } | null;
  return new ApiError(response.status, body?.error ?? `The server answered ${response.status}.`);
}

const json = async <T>(path: string, init?: RequestInit): Promise<T> =>
  (await (await checked(path, init)).json()) as T;

const post = (body: unknown): RequestInit => ({
  method: "POST",
  headers: { "Content-Type": "application/json" },
  body: JSON.stringify(body),
});

const image = (id: string, rest = ""): string => `/api/images/${encodeURIComponent(id)}${rest}`;

export const bytes = async (path: string, signal?: AbortSignal): Promise<ArrayBuffer> =>
  (await checked(path, signal ? { signal } : {})).arrayBuffer();

/** The list of routes for people, as HTML. */
export const routes = async (): Promise<string> => (await checked("/docs")).text();

export const get = <T>(path: string): Promise<T> => json<T>(path);

export const project = (): Promise<Project> => json("/api/project");

export const images = (
  after: string | null,
  limit: number,
): Promise<{ images: ImageSummary[]; next: string | null }> =>
  json(`/api/images?limit=${limit}${after ? `&after=${encodeURIComponent(after)}` : ""}`);

/** The next image that nobody else works on, or null when there is none. */
export async function nextInQueue(
  after: string | null,
): Promise<{ image: string; lease: Lease } | null> {
  const response = await checked("/api/queue/next", post(after ? { after } : {}));
  return response.status === 204
    ? null
    : ((await response.json()) as { image: string; lease: Lease });
}

/** Takes an image, or keeps it for longer; `over`: also from somebody else. */
export const takeLease = (id: string, over: boolean): Promise<Tenancy> =>
  json(image(id, "/lease"), post({ over }));

export const releaseLease = (id: string): Promise<Response> =>
  checked(`/api/leases/${encodeURIComponent(id)}/release`, { ...post({}), keepalive: true });

export const document = (id: string): Promise<ImageDocument> => json(image(id));

export async function picture(id: string, max?: number, signal?: AbortSignal): Promise<Blob> {
  const path = image(id, `/picture${max ? `?max=${max}` : ""}`);
  return (await checked(path, signal ? { signal } : {})).blob();
}

export const embedding = (
  id: string,
  crop: readonly number[] | null,
  signal?: AbortSignal,
): Promise<ArrayBuffer> =>
  bytes(image(id, `/embedding${crop ? `?crop=${crop.join(",")}` : ""}`), signal);

/** Sends operations; conflicts (409) come back as results like all others. */
export async function operations(
  id: string,
  client: string,
  sent: Operation[],
): Promise<OperationsAnswer> {
  const response = await request(image(id, "/operations"), post({ client, operations: sent }));
  if (!response.ok && response.status !== 409) throw await errorOf(response);
  const answer = (await response.json()) as OperationsAnswer & { error?: string };
  if (!Array.isArray(answer.results)) {
    throw new ApiError(response.status, answer.error ?? "The server's answer makes no sense.");
  }
  return answer;
}

/** Asks for another state of an image; 409 where its version is no longer `base`. */
export const change = (
  id: string,
  what: "submit" | "skip" | "review",
  sent: { op: string; base: number } & Record<string, unknown>,
): Promise<Pick<ImageSummary, "state" | "version">> => json(image(id, `/${what}`), post(sent));

export const startExport = (format: string): Promise<{ job: string }> =>
  json("/api/exports", post({ format }));

export const job = (id: string): Promise<Job> => json(`/api/jobs/${encodeURIComponent(id)}`);

export interface KeptConflict {
  op: string;
  instance: string;
  sent: Instance;
  current: Instance;
  at: string;
  editor: string;
}

/** Reads server-sent events until the connection ends; EventSource cannot carry the token. */
export async function events(
  receive: (event: ServerEvent) => void,
  signal: AbortSignal,
): Promise<void> {
  const response = await checked("/api/events", { signal });
  const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
  for (let text = ""; ; ) {
    const { done, value } = await reader.read();
    if (done) return;
    text += value.replace(/\r/g, "");
    for (let end = text.indexOf("\n\n"); end >= 0; end = text.indexOf("\n\n")) {
      const data = text
        .slice(0, end)
        .split("\n")
        .filter((line) => line.startsWith("data:"))
        .map((line) => line.slice(5).trim())
        .join("\n");
      text = text.slice(end + 2);
      if (data) receive(JSON.parse(data) as ServerEvent);
    }
  }
}
