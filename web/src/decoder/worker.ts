/** The decoder's own thread: takes messages in order, answers each with its number. */

import ortUrl from "../../node_modules/onnxruntime-web/dist/ort.wasm.bundle.min.mjs?url";
import wasmUrl from "../../node_modules/onnxruntime-web/dist/ort-wasm-simd-threaded.wasm?url";
import type { MaskCrop, Size } from "../masks/crop";
import { encode } from "../masks/rle";
import type { Prompt } from "../types";
import type { Constants } from "./constants";
import { parseEmbedding } from "./embedding";
import { Model } from "./model";
import type { Frame } from "./prompts";
import { threads } from "./threads";

export type Request =
  | {
      kind: "load";
      imageGraph: ArrayBuffer;
      decoder: ArrayBuffer;
      constants: Constants;
    }
  | { kind: "image"; embedding: ArrayBuffer; model: string }
  | { kind: "decode"; prompts: Prompt[]; mask: Float32Array | null; bestOnly: boolean }
  | { kind: "full"; logits: Float32Array; frame: Frame }
  | { kind: "maskPrompt"; mask: MaskCrop }
  | { kind: "encode"; mask: MaskCrop; size: Size };

const OPTIONS = { executionProviders: ["wasm"], graphOptimizationLevel: "extended" } as const;

/** A graph that hands on what it is given. */
const NOTHING = "CAg6NwoQCgF4EgF5IghJZGVudGl0eRIBZ1oPCgF4EgoKCAgBEgQKAggBYg8KAXkSCgoICAESBAoCCAFCBAoAEBI=";

/** Begins with the page: compiling takes longer than the decoder's files take to come. */
const starting = start();
starting.catch(() => undefined); // whoever loads a decoder hears of it

async function start(): Promise<typeof import("onnxruntime-web")> {
  // Served as it is and loaded by its address: onnxruntime starts its threads from the same file.
  const ort = (await import(/* @vite-ignore */ ortUrl)) as typeof import("onnxruntime-web");
  ort.env.wasm.numThreads = threads();
  ort.env.wasm.wasmPaths = { wasm: new URL(wasmUrl, self.location.href).href };
  const graph = Uint8Array.from(atob(NOTHING), (character) => character.charCodeAt(0));
  await ort.InferenceSession.create(graph, OPTIONS); // onnxruntime starts with its first session
  return ort;
}

let model: Model | null = null;

async function load(request: Extract<Request, { kind: "load" }>): Promise<null> {
  const ort = await starting;
  const imageGraph = await ort.InferenceSession.create(request.imageGraph, OPTIONS);
  const decoder = await ort.InferenceSession.create(request.decoder, OPTIONS);
  model = new Model(ort, imageGraph, decoder, request.constants);
  return null;
}

async function answer(request: Request): Promise<unknown> {
  if (request.kind === "load") return load(request);
  if (request.kind === "encode") return encode(request.mask, request.size);
  if (!model) throw new Error("The decoder is not loaded.");
  switch (request.kind) {
    case "image": {
      const embedding = parseEmbedding(request.embedding);
      if (embedding.header.model !== request.model) {
        throw new Error("The embedding is of another model than the decoder; reload the page.");
      }
      return model.setImage(embedding);
    }
    case "decode":
      return model.decode(request.prompts, request.mask, request.bestOnly);
    case "full":
      return model.full(request.logits, request.frame);
    case "maskPrompt":
      return model.maskPrompt(request.mask);
  }
}

/** The memory of an answer's arrays, which is handed over instead of copied. */
function buffersOf(value: unknown): ArrayBuffer[] {
  if (ArrayBuffer.isView(value)) return value.byteLength ? [value.buffer as ArrayBuffer] : [];
  if (value === null || typeof value !== "object") return [];
  return [...new Set(Object.values(value).flatMap(buffersOf))];
}

// One at a time: a session must not run twice at once.
let queue: Promise<void> = Promise.resolve();
self.onmessage = ({ data }: MessageEvent<{ id: number; request: Request }>) => {
  queue = queue.then(async () => {
    try {
      const value = await answer(data.request);
      self.postMessage({ id: data.id, value }, { transfer: buffersOf(value) });
    } catch (error) {
      self.postMessage({ id: data.id, error: error instanceof Error ? error.message : `${error}` });
    }
  });
};
