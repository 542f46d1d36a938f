/** Writes the object at hand to this computer's disk soon after each change, and finds it again. */

import { effect } from "@preact/signals";
import { decoder, pixelsOf } from "./decoding";
import { Drafts, type KeptDraft } from "./drafts";
import { draft, draftChanges, failed, image, project } from "./state";

/** Milliseconds after the last change: strokes and clicks that follow each other are written once. */
const PAUSE = 200;

let drafts: Drafts;
let tab: string;
let timer: ReturnType<typeof setTimeout> | undefined;
let pending = false;

const nameOfTab = (name: string): string => `samkit-tab-${name}`;

/** Begins; `name` is that of this tab. */
export async function keepDrafts(name: string): Promise<void> {
  tab = name;
  drafts = await Drafts.open();
  // Held as long as the tab is open: others see that its drafts are still at hand.
  void navigator.locks?.request(nameOfTab(tab), () => new Promise(() => undefined));
  effect(() => {
    draftChanges.value;
    pending = draft.value?.changed ?? false;
    if (pending) keepSoon();
  });
}

function keepSoon(): void {
  clearTimeout(timer);
  timer = setTimeout(() => void keep().catch(failed), PAUSE);
}

/** Whether the last change is not written yet. */
export const unwritten = (): boolean => pending;

async function keep(): Promise<void> {
  const current = draft.value;
  const opened = image.value;
  if (!current?.changed || !opened) return;
  const { state, labels, id } = current;
  const rle = await decoder.encode(await pixelsOf(current), opened);
  if (draft.value !== current) return;
  if (current.state !== state || current.labels !== labels) return keepSoon();
  if (current.empty && !current.origin) forgetDraft(id);
  else {
    await drafts.keep({
      project: project.value!.id,
      image: opened.id,
      tab,
      id,
      origin: current.origin?.instance ?? null,
      rle,
      predicted_iou: current.candidate?.iou ?? state.iou,
      prompts: state.record,
      labels,
      seconds: current.seconds,
      at: Date.now(),
    });
  }
  if (draft.value === current && current.state === state && current.labels === labels) pending = false;
}

/** Those that are being forgotten. */
let leaving: Promise<unknown> = Promise.resolve();

/** An object of the open image was committed or cancelled. after: when it is safe elsewhere. */
export function forgetDraft(id: string, after: Promise<void> = Promise.resolve()): void {
  const key = { project: project.value!.id, image: image.value!.id, tab, id };
  const work = after.then(() => drafts.forget(key)).catch(failed);
  leaving = Promise.all([leaving, work]);
}

/** What was at hand of an image when it was last closed; it is this tab's from now on. */
export async function leftDraft(of: string): Promise<KeptDraft | null> {
  await leaving;
  const held = (await navigator.locks?.query())?.held ?? [];
  const open = new Set(held.map(({ name }) => name));
  return drafts.left(project.value!.id, of, tab, (name) => open.has(nameOfTab(name)));
}

/** The draft is at hand in this tab. */
export async function adoptDraft(kept: KeptDraft): Promise<void> {
  if (kept.tab !== tab) await drafts.adopt(kept, tab);
}
