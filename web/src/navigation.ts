/** From image to image: open, prefetch, submit, skip, leases. */

import * as api from "./api";
import { giveColours } from "./colours";
import { stopHover, useEmbedding } from "./decoding";
import { commit, inTurn, realise } from "./editor";
import { Journal, withChanges, type Entry } from "./journal";
import { leftDraft } from "./keeping";
import { takeLease } from "./leases";
import { objectOf } from "./objects";
import { sharpenImage, showImage, stage } from "./scene";
import { resume as resumeDraft, setObjects } from "./selection";
import {
  draft, encoding, failed, frame, holder, image, images, keyOf, mayChange, objects, project, saver, say,
} from "./state";
import { dropDrawing } from "./tools";
import type { Frame } from "./decoder/prompts";
import type { ImageDocument, ImageSummary, Instance } from "./types";

const PAGE = 200;
const LAST = "samkit-image";
const SMALLEST_CROP = 64;
/** Longer side of the picture that comes first; a larger image is shown sharp a moment later. */
const FIRST_SIDE = 1600;

let journal: Journal;
let more: string | null | undefined;
let opening = new AbortController();

interface Fetched {
  picture: Promise<Blob>;
  embedding: Promise<ArrayBuffer>;
}

/** Pictures and embeddings of few images: the open one and its neighbours. */
const fetched = new Map<string, Fetched>();
const KEPT = 4;

function fetchImage(id: string): Fetched {
  const known = fetched.get(id);
  if (known) return known;
  const entry = { picture: api.picture(id, FIRST_SIDE), embedding: api.embedding(id, null) };
  fetched.set(id, entry);
  for (const part of [entry.picture, entry.embedding]) part.catch(() => fetched.delete(id));
  for (const old of fetched.keys()) if (fetched.size > KEPT) fetched.delete(old);
  return entry;
}

/** Reads the first images and opens one: the last one of this tab, or the next of the queue. */
export async function start(kept: Journal): Promise<void> {
  journal = kept;
  const last = sessionStorage.getItem(LAST);
  const before = opening;
  if (last) fetchImage(last);
  await loadMore();
  const known = last !== null && (await find(last)) >= 0;
  if (opening !== before) return; // somebody chose an image by hand
  if (known) return open(last);
  return openNextInQueue(null, images.value[0]?.id ?? null);
}

/** The server is back: what could not be loaded is loaded now. */
export async function resume(): Promise<void> {
  if (!frame.value && project.value?.model) await reopen();
}

/** Opens the image once more of which something could not be loaded. */
export async function reopen(): Promise<void> {
  const id = image.value?.id ?? images.value[0]?.id;
  if (id) await open(id);
}

async function loadMore(): Promise<boolean> {
  if (more === null) return false;
  const page = await api.images(more ?? null, PAGE);
  images.value = [...images.value, ...page.images];
  more = page.next;
  return page.images.length > 0;
}

async function find(id: string): Promise<number> {
  for (;;) {
    const index = images.value.findIndex((summary) => summary.id === id);
    if (index >= 0 || !(await loadMore())) return index;
  }
}

export async function open(id: string): Promise<void> {
  opening.abort();
  const { signal } = (opening = new AbortController());
  encoding.leaveSoon();
  await commit();
  if (signal.aborted) return;
  encoding.leave();
  stopHover();
  try {
    await load(id, signal);
  } catch (error) {
    if (signal.aborted) return;
    encoding.fail();
    throw error;
  }
  await find(id);
}

/** Fetches all that an image has and shows it; prompts are taken from then on. */
async function load(id: string, signal: AbortSignal): Promise<void> {
  const parts = fetchImage(id);
  const leased = takeLease(id);
  const encoded = encode(id, parts.embedding, signal);
  const [[document, untold], bitmap, left] = await Promise.all([
    read(id), bitmapOf(parts.picture), leftDraft(id), leased,
  ]);
  const { instances, ...opened } = document;
  await commit(); // what was done while this image was fetched
  const changes = await journal.ofImage(project.value!.id, id);
  if (signal.aborted) return bitmap.close();
  sessionStorage.setItem(LAST, id);
  dropDrawing();
  image.value = opened;
  showImage(bitmap, { width: document.width, height: document.height });
  showMasks(instances, [...untold, ...changes]);
  if (left && holder.value === null) resumeDraft(left);
  if (project.value?.model) encoding.begin();
  void encoded.then(async (ready) => {
    if (signal.aborted) return;
    if (ready) encoding.done(ready);
    else encoding.fail();
    if (bitmap.width < document.width) await sharpen(id, signal);
    prefetch();
  });
}

/** The masks of the open image, with the changes that the server lacks. */
function showMasks(instances: readonly Instance[], changes: readonly Entry[]): void {
  const own = withChanges(instances, changes);
  giveColours(own.map(({ id }) => id));
  setObjects(own.map(objectOf));
}

/** While the open image is read anew: whether that brought what nobody here has seen. */
let refreshing: Promise<boolean> | null = null;

/** All that others did to an image is shown, too, once `sent` has ended. */
export async function refresh(id: string, sent: Promise<void>): Promise<void> {
  const reading = (refreshing = sent.then(() => readAgain(id)));
  try {
    await reading;
  } finally {
    if (refreshing === reading) refreshing = null;
  }
}

/** Reads the open image anew, where nothing is at hand and all is saved; true where others changed
 * more of it than was shown before. */
async function readAgain(id: string): Promise<boolean> {
  const { signal } = opening;
  await saver.value?.flush();
  const free = (): boolean => !draft.value && saver.value?.state.value === "saved";
  if (!free()) return false;
  const [document, untold] = await read(id);
  const changes = await journal.ofImage(project.value!.id, id);
  if (signal.aborted || image.value?.id !== id || !free()) return false;
  const { instances, ...opened } = document;
  const seen = new Map(objects.value.map(({ instance }) => [instance.id, instance.version]));
  const unseen =
    instances.length !== seen.size || instances.some((one) => seen.get(one.id) !== one.version);
  image.value = opened;
  showMasks(instances, [...untold, ...changes]);
  if (unseen) say("Others changed more of this image; it is shown as it is now.");
  return unseen;
}

/** An image, and the changes that it lacks; it is read again if some of these were sent meanwhile. */
async function read(id: string): Promise<[ImageDocument, Entry[]]> {
  const kept = (): Promise<Entry[]> => journal.ofImage(project.value!.id, id);
  for (let before = await kept(); ; ) {
    const document = await api.document(id);
    const after = await kept();
    if (before.every(({ op }) => after.some((entry) => entry.op === op))) return [document, after];
    before = after;
  }
}

const bitmapOf = async (blob: Promise<Blob>): Promise<ImageBitmap> => createImageBitmap(await blob);

/** Hands an image's embedding to the decoder, beside what else opening takes; null without. */
async function encode(
  id: string,
  embedding: Promise<ArrayBuffer>,
  signal: AbortSignal,
): Promise<Frame | null> {
  if (!project.value?.model) {
    say("The server runs without a model: paint by hand.", true);
    return null;
  }
  try {
    const bytes = await embedding;
    return signal.aborted ? null : await useEmbedding(bytes);
  } catch (error) {
    fetched.delete(id); // so that it is fetched anew
    if (!signal.aborted) failed(error);
    return null;
  }
}

/** Every pixel of an image of which a smaller picture is shown. */
async function sharpen(id: string, signal: AbortSignal): Promise<void> {
  try {
    const bitmap = await bitmapOf(api.picture(id, undefined, signal));
    if (signal.aborted) bitmap.close();
    else sharpenImage(bitmap);
  } catch (error) {
    if (!signal.aborted) failed(error);
  }
}

/** Fetches what is likely to be opened next. */
function prefetch(): void {
  const next = neighbour(1);
  if (next) fetchImage(next.id);
}

function neighbour(step: number): ImageSummary | undefined {
  const now = images.value.findIndex(({ id }) => id === image.value?.id);
  return now < 0 ? undefined : images.value[now + step];
}

export async function go(step: number): Promise<void> {
  if (step > 0 && !neighbour(1)) await loadMore();
  const next = neighbour(step);
  if (next) await open(next.id);
  else say(step > 0 ? "This is the last image." : "This is the first image.");
}

/** Hands the image in and opens the next one on which nobody works. */
export async function submit(): Promise<void> {
  await leaveBy("submit", {});
}

export async function skip(reason: string): Promise<void> {
  await leaveBy("skip", { reason });
}

/** The image that is being handed in: a second press must not go past the next one. */
let leaving: string | undefined;

async function leaveBy(what: "submit" | "skip", fields: { reason?: string }): Promise<void> {
  const before = opening;
  const now = image.value?.id;
  if (now === leaving) return;
  leaving = now;
  try {
    const id = await settled();
    if (!id) return;
    const spent = objects.value.reduce((sum, { instance }) => sum + instance.seconds, 0);
    await change(id, what, { ...fields, seconds: Math.round(spent * 10) / 10 });
    if (opening === before) await openNextInQueue(id, null);
  } finally {
    if (leaving === now) leaving = undefined;
  }
}

/** The open image, once the server has all that was done to it; null, and why, where it has not. */
async function settled(): Promise<string | null> {
  if (!mayChange()) return null;
  await commit();
  const id = image.value?.id;
  if (!id) return null;
  await saver.value?.flush();
  if (await refreshing?.catch(() => false)) return null; // said there; nobody hands in what they never saw
  const waiting = await journal.ofImage(project.value!.id, id);
  if (image.value?.id !== id) {
    say("Another image was opened meanwhile; the one before stays as it was.", true);
  } else if (waiting.some((entry) => entry.state === "conflict")) {
    say("Settle the conflicts of this image first.", true);
  } else if (waiting.some((entry) => entry.state === "waiting")) {
    say("Not everything is saved yet; it is kept here. Try again soon.", true);
  } else return id;
  return null;
}

/** What was asked for last: where no answer came, the same request is sent again, with its id. */
let asked = { request: "", op: "" };

/** Asks for another state of the open image, which is shown anew where it is not what was seen. */
async function change(
  id: string,
  what: "submit" | "skip" | "review",
  fields: Record<string, unknown>,
): Promise<void> {
  const base = image.value!.version;
  const request = JSON.stringify([id, base, what, fields]);
  if (asked.request !== request) asked = { request, op: crypto.randomUUID() };
  try {
    const now = await api.change(id, what, { op: asked.op, base, ...fields });
    const instances = objects.value.length;
    if (image.value?.id === id) image.value = { ...image.value, ...now };
    images.value = images.value.map((summary) =>
      summary.id === id ? { ...summary, ...now, instances } : summary,
    );
  } catch (error) {
    const stale = error instanceof api.ApiError && error.status === 409;
    if (stale && image.value?.id === id) await open(id);
    throw error;
  }
}

export async function review(decision: "accept" | "reject", comment: string): Promise<void> {
  const id = await settled();
  if (!id) return;
  await change(id, "review", { decision, comment });
  if (image.value?.id === id) {
    image.value = { ...image.value, review: { decision, comment } };
  }
  say(decision === "accept" ? "Accepted." : "Rejected.");
}

/** Leaves the image to whoever works on it, for the next one that is free. */
export const openNextFree = (): Promise<void> => openNextInQueue(image.value?.id ?? null, null);

async function openNextInQueue(after: string | null, otherwise: string | null): Promise<void> {
  const before = opening;
  const next = await api.nextInQueue(after);
  if (opening !== before) {
    // Meanwhile somebody chose an image by hand.
    if (next) void api.releaseLease(next.lease.id).catch(() => undefined);
    return;
  }
  const id = next?.image ?? otherwise;
  if (id) return open(id);
  say(after ? "That was the last open image. All are done." : "There are no images.");
}

/** Encodes what is in view by itself, so that small objects are seen larger; again: the whole. */
export async function closeUp(): Promise<void> {
  const opened = image.value;
  if (!opened || !frame.value) return;
  const { crop } = frame.value;
  const isWhole = crop.w === opened.width && crop.h === opened.height;
  const seen = stage.view.visible;
  const seesAll = seen.w * seen.h > 0.8 * opened.width * opened.height;
  if (isWhole && seesAll) return say(`Zoom in first; then ${keyOf("closeUp") || "Close-up"} encodes what is in view.`);
  if (isWhole && Math.min(seen.w, seen.h) < SMALLEST_CROP) return say("That is too close.");
  const corners = isWhole ? [seen.x, seen.y, seen.x + seen.w, seen.y + seen.h] : null;
  const { signal } = opening;
  await inTurn(async () => void (draft.value && (await realise())));
  const before = frame.value;
  if (signal.aborted || !before) return;
  encoding.begin();
  stopHover();
  try {
    const bytes = await (corners
      ? api.embedding(opened.id, corners, signal)
      : fetchImage(opened.id).embedding);
    if (signal.aborted) return;
    const encoded = await useEmbedding(bytes);
    if (signal.aborted) return;
    encoding.done(encoded);
  } catch (error) {
    if (!signal.aborted) encoding.done(before); // the decoder still has it
    throw error;
  }
  const back = keyOf("closeUp") || "Close-up";
  say(corners ? `What is in view was encoded by itself; ${back} goes back.` : "The whole image again.");
}
