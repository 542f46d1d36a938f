/** The object at hand: prompts, strokes, undo, commit. */

import { byId, drop, put } from "./committed";
import { answerable, decode, decoder, pixelsOf, stopHover } from "./decoding";
import { BLANK, Draft, type DraftState } from "./draft";
import { gone, remember } from "./gone";
import type { History } from "./history";
import { isEmpty, tight, type MaskCrop } from "./masks/crop";
import { forgetDraft } from "./keeping";
import { encode } from "./masks/rle";
import { showLive, showObjects } from "./scene";
import {
  busy, draft, draftChanges, failed, frame, image, mayChange, pen, project,
} from "./state";
import type { InstanceValue, Prompt } from "./types";

/** Undo of each object of the open image, also after it was committed. */
export const histories = new Map<string, History<DraftState>>();

/** One change after the other: a click waits for the answer to the one before. */
let queue: Promise<void> = Promise.resolve();

export function inTurn(work: () => Promise<void> | void): Promise<void> {
  queue = queue.then(work).catch(failed);
  return queue;
}

export function forgetHistories(): void {
  histories.clear();
}

const newId = (): string => crypto.randomUUID();

/** The draft at hand; a new object where there is none. */
export function ensureDraft(): Draft {
  if (draft.value) return draft.value;
  const made = new Draft(newId(), null, [], histories);
  draft.value = made;
  return made;
}

function changedDraft(current: Draft): void {
  draftChanges.value++;
  draft.value = current;
  showLive();
}

/** Gives a prompt; the answer is the object's mask from then on. */
export const prompt = (...given: Prompt[]): Promise<void> =>
  inTurn(async () => {
    if (!(await answerable())) return;
    stopHover();
    const encoded = frame.value;
    const current = ensureDraft();
    const { state } = current;
    const refined = await refinedBy(current);
    const kept = given.some(({ kind }) => kind === "box")
      ? refined.prompts.filter(({ kind }) => kind !== "box")
      : refined.prompts;
    const prompts = [...kept, ...given];
    busy.value = true;
    try {
      const { candidates } = await decode(prompts, refined.before);
      current.change({
        ...BLANK, prompts, before: refined.before, candidates, frame: encoded,
        record: [...state.record, ...given],
      });
    } finally {
      busy.value = false;
    }
    changedDraft(current);
  });

/**
 * What a next prompt refines: the earlier logits, or, where there are none of what is encoded now,
 * the object's own pixels as a mask prompt, which their box goes with as in Python's predictor.
 */
async function refinedBy(current: Draft) {
  const { state, candidate } = current;
  if (!state.mask && (!candidate || state.frame === frame.value)) {
    return { prompts: state.prompts, before: candidate?.logits ?? null };
  }
  const mask = await pixelsOf(current);
  if (isEmpty(mask)) return { prompts: [], before: null };
  const { x, y, w, h } = tight(mask);
  const around: Prompt = { kind: "box", box: [x, y, x + w - 1, y + h - 1] };
  return { prompts: [around], before: await decoder.maskPrompt(mask) };
}

/** Another of the candidates that answer an ambiguous prompt. */
export const choose = (step: number): Promise<void> =>
  inTurn(() => {
    const { candidates, chosen, mask } = draft.value?.state ?? BLANK;
    if (mask || candidates.length < 2) return;
    chooseAt((chosen + step + candidates.length) % candidates.length);
  });

export function chooseAt(chosen: number): void {
  const current = draft.value;
  if (!current || chosen >= current.state.candidates.length) return;
  current.state = { ...current.state, chosen };
  changedDraft(current);
}

/** Turns the answer of the decoder into pixels, for tools that paint them. */
export async function realise(): Promise<Draft> {
  const current = ensureDraft();
  if (!current.state.mask) {
    const iou = current.candidate?.iou ?? null;
    const mask = await pixelsOf(current);
    current.state = { ...current.state, mask, iou };
  }
  return current;
}

/** Ends a stroke: `mask` is the object from now on. */
export function painted(current: Draft, mask: MaskCrop, by: "brush" | "eraser" | "polygon"): void {
  const { record } = current.state;
  current.change({
    ...BLANK,
    mask: tight(mask),
    record: record.at(-1)?.kind === by ? record : [...record, { kind: by }],
  });
  changedDraft(current);
}

/**
 * Goes back by one change of the object; one that is still being answered is waited for, and undone.
 * With no change at hand, what was cancelled or deleted last comes back.
 */
export const undo = (): Promise<void> =>
  inTurn(() => {
    if (draft.value?.history.canUndo) travel("undo");
    else if (!draft.value?.changed) bringBack();
  });

export const redo = (): Promise<void> => inTurn(() => travel("redo"));

export function canUndo(): boolean {
  const current = draft.value;
  return current?.history.canUndo || (!current?.changed && gone.value.length > 0);
}

function travel(way: "undo" | "redo"): void {
  const current = draft.value;
  const other = current?.history[way](current.state);
  if (!current || !other) return;
  current.state = other;
  current.changed = true;
  changedDraft(current);
}

/** A cancelled object is at hand again, as it was; a deleted one is put anew. */
function bringBack(): void {
  const last = gone.value.at(-1);
  if (!last || !mayChange()) return;
  gone.value = gone.value.slice(0, -1);
  if (!(last instanceof Draft)) {
    void put(last.instance, last.mask).catch(failed);
    showObjects([last.mask]);
    return;
  }
  const unchanged = draft.value;
  unchanged?.end(0);
  last.origin = byId(last.id) ?? last.origin;
  histories.set(last.id, last.history);
  draft.value = last;
  showObjects([unchanged?.origin?.mask, last.origin?.mask]);
  changedDraft(last);
}

/** Puts aside what is not committed; undo brings it back. */
export const cancel = (): Promise<void> =>
  inTurn(() => {
    const current = draft.value;
    if (!current) return;
    leave(current);
    showObjects([current.origin?.mask]);
  });

export function leave(current: Draft): void {
  histories.delete(current.id);
  if (current.changed && !current.empty) remember(current);
  forgetDraft(current.id);
  current.end(0);
  stopHover();
  putDown();
}

/** Keeps the object and begins the next. */
export const commit = (): Promise<void> =>
  inTurn(async () => {
    const current = draft.value;
    const opened = image.value;
    if (!current || !opened) return;
    if (current.changed && !mayChange()) return;
    if (!current.changed && current.origin) {
      current.end(0);
      putDown();
      showObjects([current.origin.mask]);
      return;
    }
    if (current.empty && !current.origin) return leave(current);
    const mask = tight(await pixelsOf(current));
    if (isEmpty(mask)) {
      leave(current);
      if (current.origin) drop(current.origin);
      return;
    }
    const before = current.origin?.instance;
    // Scores are of pixels: those of the same pixels stay, also where a label was added.
    const same = before && current.state.mask === current.origin?.mask ? before : null;
    const value: InstanceValue = {
      ...(same?.source && { source: same.source }),
      rle: encode(mask, opened),
      labels: current.labels,
      stage: before ? (before.stage === "suggested" ? "accepted" : before.stage) : "manual",
      prompts: current.state.record.slice(-500),
      model: current.state.record.some(({ kind }) => kind === "point" || kind === "box")
        ? (project.value?.model?.id ?? null)
        : (before?.model ?? null),
      predicted_iou: current.candidate?.iou ?? current.state.iou ?? same?.predicted_iou ?? null,
      seconds: rounded(current.seconds),
      hidden: false,
      locked: before?.locked ?? false,
    };
    current.end(!before || before.stage === "suggested" ? 1 : 0);
    current.state = { ...current.state, mask };
    const kept = put({ ...value, id: current.id, version: before?.version ?? 0 }, mask);
    forgetDraft(current.id, kept);
    putDown();
    showObjects([mask, current.origin?.mask]);
  });

/** Seconds as they are kept. */
export const rounded = (seconds: number): number => Math.round(seconds * 10) / 10;

/** Nothing is at hand any more. */
function putDown(): void {
  draft.value = null;
  pen.value = null;
  draftChanges.value++;
  showLive();
}
