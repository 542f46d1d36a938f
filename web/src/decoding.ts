/** The page's decoder: loaded once, fed with each image's embedding, asked with each prompt. */

import { effect } from "@preact/signals";
import * as api from "./api";
import type { Constants } from "./decoder/constants";
import { DecoderClient, Latest } from "./decoder/client";
import type { Candidate, Decoded } from "./decoder/model";
import { hooks } from "./hooks";
import type { Point } from "./masks/brush";
import { EMPTY, type MaskCrop } from "./masks/crop";
import { showLive, stage } from "./scene";
import { decoderLoaded, draft, encoding, failed, frame, hover, project, say } from "./state";
import type { Draft } from "./draft";
import type { Frame } from "./decoder/prompts";
import type { Prompt } from "./types";

export const decoder = new DecoderClient();
const hovering = new Latest();
let loaded: Promise<unknown> | null = null;

/** Loads the decoder of the project's model; once. */
export function loadDecoder(): Promise<unknown> {
  const model = project.value?.model;
  if (!model) return Promise.reject(new Error("The server runs without a model."));
  loaded ??= (async () => {
    const [image, prompts, constants] = await Promise.all([
      api.bytes(model.image),
      api.bytes(model.decoder),
      api.get<Constants>(model.constants),
    ]);
    if (constants.model.id !== model.id) throw new Error("The decoder is not the model's own.");
    await decoder.load(image, prompts, constants);
    decoderLoaded.value = true;
  })();
  loaded.catch(() => (loaded = null)); // so that it is tried again
  return loaded;
}

// As soon as the model is known, beside all else that the page has to fetch.
effect(() => {
  if (project.value?.model) loadDecoder().catch(failed);
});

/** Makes an embedding the one that prompts are answered with, once `frame` is what is returned. */
export async function useEmbedding(embedding: ArrayBuffer): Promise<Frame> {
  await loadDecoder();
  return decoder.setImage(embedding, project.value!.model!.id);
}

/** Whether a prompt can be answered, now or once the image is encoded; says what it waits for. */
export async function answerable(): Promise<boolean> {
  const state = encoding.state.value;
  if (!project.value?.model) say("The server runs without a model: paint by hand.", true);
  else if (state === "encoding") say("Noted; the answer comes as soon as the image is encoded.");
  else if (state === "failed") say("The image is not encoded: try again below, or paint by hand.", true);
  return encoding.answerable();
}

export async function decode(prompts: readonly Prompt[], before: Float32Array | null): Promise<Decoded> {
  const decoded = await decoder.decode([...prompts], before, false);
  hooks.lastDecodeMs = decoded.milliseconds;
  return decoded;
}

const pixels = new WeakMap<Candidate, Promise<MaskCrop>>();

/** The object's pixels at the size of the image; those of an answer are made once. */
export async function pixelsOf({ state, candidate }: Draft): Promise<MaskCrop> {
  if (state.mask) return state.mask;
  if (!candidate || !state.frame) return EMPTY;
  let made = pixels.get(candidate);
  if (!made) {
    pixels.set(candidate, (made = decoder.full(candidate.logits, state.frame)));
    made.catch(() => pixels.delete(candidate));
  }
  return made;
}

let painted: number | null = null;

/** Shows what a click at a place would give; the newest place wins. since: the event's time. */
export function hoverAt(place: Point, since: number): void {
  if (!frame.value) return;
  hovering.run(async () => {
    const current = draft.value;
    if (!frame.value || (current && !current.empty)) return;
    const prompt: Prompt = { kind: "point", x: place.x, y: place.y, label: 1 };
    const { candidates, milliseconds } = await decoder.decode([prompt], null, true);
    hooks.lastDecodeMs = milliseconds;
    if (!frame.value || (draft.value && !draft.value.empty)) return;
    hover.value = candidates[0] ?? null;
    painted = since;
    showLive();
  });
}

export function stopHover(): void {
  hovering.clear();
  if (!hover.value) return;
  hover.value = null;
  showLive();
}

const channel = new MessageChannel();
channel.port1.onmessage = ({ data }: MessageEvent<number>) => {
  hooks.lastHoverMs = performance.now() - data;
  hooks.hovers++;
};
// A message posted in a frame is taken after the frame was painted.
stage.onFrame = (layers) => {
  if (painted === null || !layers.has("live")) return;
  channel.port2.postMessage(painted);
  painted = null;
};
