/** What a person does to objects: prompts, strokes, commit, undo, selection, labels, deletion. */

import { batch } from "@preact/signals";
import { decode, decoder, stopHover } from "./decoding";
import { BLANK, Draft, type DraftState } from "./draft";
import type { History } from "./history";
import { at, EMPTY, isEmpty, tight, type MaskCrop } from "./masks/crop";
import { encode } from "./masks/rle";
import { rememberLabels } from "./labels";
import { replaced, type MaskObject } from "./objects";
import { showLive, showObjects, stage } from "./scene";
import {
  busy, draft, draftChanges, failed, frame, image, objects, project, saver, say, seconds,
  statistics,
} from "./state";
import type { Instance, InstanceValue, Prompt } from "./types";

/** Undo of each object of the open image, also after it was committed. */
const histories = new Map<string, History<DraftState>>();

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
  const made = new Draft(newId(), null, [], histories, frame.value);
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
    if (!frame.value) return say("The decoder is still loading.");
    stopHover();
    const current = ensureDraft();
    const { state } = current;
    const refined = await refinedBy(state);
    const kept = given.some(({ kind }) => kind === "box")
      ? refined.prompts.filter(({ kind }) => kind !== "box")
      : refined.prompts;
    const prompts = [...kept, ...given];
    busy.value = true;
    try {
      const { candidates } = await decode(prompts, refined.before);
      current.frame = frame.value;
      current.change({
        prompts, before: refined.before, candidates, chosen: 0, mask: null,
        record: [...state.record, ...given],
      });
    } finally {
      busy.value = false;
    }
    changedDraft(current);
  });

/** What a next prompt refines: the earlier logits, or the object's own pixels as a mask prompt. */
async function refinedBy(state: DraftState) {
  const candidate = state.candidates[state.chosen];
  if (state.mask) {
    const before = isEmpty(state.mask) ? null : await decoder.maskPrompt(state.mask);
    return { prompts: [], before };
  }
  return { prompts: state.prompts, before: candidate?.logits ?? null };
}

/** Another of the candidates that answer an ambiguous prompt. */
export function choose(step: number): void {
  const current = draft.value;
  if (!current || current.state.mask || current.state.candidates.length < 2) return;
  const { candidates, chosen } = current.state;
  chooseAt((chosen + step + candidates.length) % candidates.length);
}

export function chooseAt(chosen: number): void {
  const current = draft.value;
  if (!current || chosen >= current.state.candidates.length) return;
  current.state = { ...current.state, chosen };
  changedDraft(current);
}

/** The object's pixels at the size of the image. */
export async function pixelsOf(current: Draft): Promise<MaskCrop> {
  if (current.state.mask) return current.state.mask;
  const { candidate } = current;
  return candidate ? decoder.full(candidate.logits) : EMPTY;
}

/** Turns the answer of the decoder into pixels, for tools that paint them. */
export async function realise(): Promise<Draft> {
  const current = ensureDraft();
  if (!current.state.mask) {
    const mask = await pixelsOf(current);
    current.state = { ...current.state, mask };
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

export function undo(): void {
  const current = draft.value;
  const before = current?.history.undo(current.state);
  if (!current || !before) return;
  current.state = before;
  current.changed = true;
  changedDraft(current);
}

export function redo(): void {
  const current = draft.value;
  const after = current?.history.redo(current.state);
  if (!current || !after) return;
  current.state = after;
  current.changed = true;
  changedDraft(current);
}

/** Forgets what is not committed. */
export const cancel = (): Promise<void> =>
  inTurn(() => {
    const current = draft.value;
    if (!current) return;
    leave(current);
    showObjects([current.origin?.mask]);
  });

function leave(current: Draft): void {
  histories.delete(current.id);
  draft.value = null;
  seconds.value = 0;
  draftChanges.value++;
  stopHover();
  showLive();
}

/** Keeps the object and begins the next. */
export const commit = (): Promise<void> =>
  inTurn(async () => {
    const current = draft.value;
    const opened = image.value;
    if (!current || !opened) return;
    if (!current.changed && current.origin) {
      leaveCommitted();
      showObjects([current.origin.mask]);
      return;
    }
    if (current.empty && !current.origin) return leave(current);
    const mask = tight(await pixelsOf(current));
    if (isEmpty(mask)) {
      if (current.origin) return removeObject(current.origin);
      return leave(current);
    }
    const spent = current.timer.seconds;
    const before = current.origin?.instance;
    const value: InstanceValue = {
      rle: encode(mask, opened),
      labels: current.labels,
      stage: before ? (before.stage === "suggested" ? "accepted" : before.stage) : "manual",
      prompts: current.state.record.slice(-500),
      model: current.state.record.some(({ kind }) => kind === "point" || kind === "box")
        ? (project.value?.model?.id ?? null)
        : (before?.model ?? null),
      predicted_iou: current.candidate?.iou ?? null,
      seconds: Math.round(spent * 10) / 10,
      hidden: false,
      locked: before?.locked ?? false,
    };
    const { masks, seconds: earlier } = statistics.value;
    const gained = spent - (before?.seconds ?? 0);
    statistics.value = { masks: masks + (before ? 0 : 1), seconds: earlier + gained };
    current.state = { ...current.state, mask };
    put({ ...value, id: current.id, version: before?.version ?? 0 }, mask);
    leaveCommitted();
    showObjects([mask, current.origin?.mask]);
  });

function leaveCommitted(): void {
  draft.value = null;
  seconds.value = 0;
  draftChanges.value++;
  showLive();
}

/** Puts an instance into the list and on its way to the server. */
export function put(instance: Instance, mask: MaskCrop): void {
  const opened = image.value;
  if (!opened) return;
  const { id, version, editor: _editor, ...value } = instance;
  objects.value = replaced(objects.value, { instance, mask });
  rememberLabels(instance.labels);
  const change = { image: opened.id, kind: "put", instance: id, base: version, value } as const;
  void saver.value?.add(change).catch(failed);
}

/** The server has a newer version of an object: later changes are made on it. */
export function versionArrived(imageId: string, id: string, version: number): void {
  const opened = image.value;
  if (opened?.id !== imageId) return;
  if (opened.state === "unlabelled") image.value = { ...opened, state: "in_progress" };
  objects.value = objects.value.map((object) =>
    object.instance.id === id
      ? { ...object, instance: { ...object.instance, version } }
      : object,
  );
}

const byId = (id: string): MaskObject | undefined =>
  objects.value.find(({ instance }) => instance.id === id);

/** Opens an object to be changed, after what is at hand was committed. */
export async function select(id: string): Promise<void> {
  if (draft.value?.id === id) return;
  await commit();
  await inTurn(() => {
    const object = byId(id);
    if (!object) return;
    if (object.instance.locked) return say("This object is locked; L unlocks it.");
    if (object.instance.hidden) update(object, { hidden: false });
    stopHover();
    const opened = byId(id)!;
    draft.value = new Draft(id, opened, opened.instance.labels, histories, frame.value);
    draftChanges.value++;
    showObjects([opened.mask]);
    showLive();
  });
}

/** Selects the neighbour in the list. */
export function selectNext(step: number): void {
  const usable = objects.value.filter(({ instance }) => !instance.locked);
  if (!usable.length) return;
  const now = usable.findIndex(({ instance }) => instance.id === draft.value?.id);
  const next = now < 0 ? (step > 0 ? 0 : usable.length - 1) : now + step;
  void select(usable[(next + usable.length) % usable.length]!.instance.id);
}

/** The uppermost visible object at a place. */
export function objectAt(x: number, y: number): MaskObject | undefined {
  return objects.value.findLast(
    ({ instance, mask }) => !instance.hidden && at(mask, Math.floor(x), Math.floor(y)),
  );
}

/** Deletes the object at hand. */
export const remove = (): Promise<void> =>
  inTurn(() => {
    const current = draft.value;
    if (!current) return;
    if (current.origin) removeObject(current.origin);
    else leave(current);
  });

export function removeObject({ instance: { id }, mask }: MaskObject): void {
  const opened = image.value;
  const object = byId(id);
  if (!opened || !object || object.instance.locked) return;
  const base = object.instance.version;
  objects.value = objects.value.filter(({ instance }) => instance.id !== id);
  if (draft.value?.id === id) leave(draft.value);
  void saver.value?.add({ image: opened.id, kind: "delete", instance: id, base }).catch(failed);
  showObjects([mask]);
}

/** Changes fields of a committed object. */
export function update(object: MaskObject, fields: Partial<InstanceValue>): void {
  const now = byId(object.instance.id);
  if (!now) return;
  put({ ...now.instance, ...fields }, now.mask);
  if ("hidden" in fields || "stage" in fields) showObjects([now.mask]);
}

/** Takes the objects of an image that was opened. */
export function setObjects(all: MaskObject[]): void {
  forgetHistories();
  batch(() => {
    draft.value = null;
    objects.value = all;
    seconds.value = 0;
    draftChanges.value++;
  });
  rememberLabels(all.flatMap(({ instance }) => instance.labels));
  showObjects();
  stage.viewChanged();
}
