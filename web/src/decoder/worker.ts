/** The decoder's own thread: takes messages in order, answers each with its number. */

import ortUrl from "../../node_modules/onnxruntime-web/dist/ort.wasm.bundle.min.mjs?url";
import wasmUrl from "../../node_modules/onnxruntime-web/dist/ort-wasm-simd-threaded.wasm?url";
import type { MaskCrop } from "../masks/crop";
import type { Prompt } from "../types";
import type { Constants } from "./constants";
import { parseEmbedding } from "./embedding";
import { Model } from "./model";

export type Request =
  | {
      kind: "load";
      imageGraph: ArrayBuffer;
      decoder: ArrayBuffer;
      constants: Constants;
      threads: number;
    }
  | { kind: "image"; embedding: ArrayBuffer; model: string }
  | { kind: "decode"; prompts: Prompt[]; mask: Float32Array | null; bestOnly: boolean }
  | { kind: "full"; logits: Float32Array }
  | { kind: "maskPrompt"; mask: MaskCrop };

let model: Model | null = null;

async function load(request: Extract<Request, { kind: "load" }>): Promise<null> {
  // Served as it is and loaded by its address: onnxruntime starts its threads from the same file.
  const ort = (await import(/* @vite-ignore */ ortUrl)) as typeof import("onnxruntime-web");
  ort.env.wasm.numThreads = request.threads;
  ort.env.wasm.wasmPaths = { wasm: new URL(wasmUrl, self.location.href).href };
  const options = { executionProviders: ["wasm"], graphOptimizationLevel: "all" } as const;
  const imageGraph = await ort.InferenceSession.create(request.imageGraph, options);
  const decoder = await ort.InferenceSession.create(request.decoder, options);
  model = new Model(ort, imageGraph, decoder, request.constants);
  return null;
}

async function answer(request: Request): Promise<unknown> {
  if (request.kind === "load") return load(request);
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
      return model.full(request.logits);
    case "maskPrompt":
      return model.maskPrompt(request.mask);
  }
}

// One at a time: a session must not run twice at once.
let queue: Promise<void> = Promise.resolve();
self.onmessage = ({ data }: MessageEvent<{ id: number; request: Request }>) => {
  queue = queue.then(async () => {
    try {
      self.postMessage({ id: data.id, value: await answer(data.request) });
    } catch (error) {
      self.postMessage({ id: data.id, error: error instanceof Error ? error.message : `${error}` });
    }
  });
};
