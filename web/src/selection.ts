/** Which of the kept objects is at hand. */

import { batch } from "@preact/signals";
import { byId, drop, update } from "./committed";
import { stopHover } from "./decoding";
import { BLANK, Draft } from "./draft";
import type { KeptDraft } from "./drafts";
import { commit, forgetHistories, histories, inTurn, leave } from "./editor";
import { gone } from "./gone";
import { adoptDraft } from "./keeping";
import { rememberLabels } from "./labels";
import { decode } from "./masks/rle";
import { objectOf, type MaskObject } from "./objects";
import { showLive, showObjects, stage } from "./scene";
import { session } from "./session";
import { draft, draftChanges, failed, keyOf, mayChange, objects, say } from "./state";
import type { Instance } from "./types";

/** Opens an object to be changed, after what is at hand was committed. */
export async function select(id: string): Promise<void> {
  if (draft.value?.id === id) return;
  await commit();
  await inTurn(() => {
    const object = byId(id);
    if (!object) return;
    if (object.instance.locked) return say(lockedText());
    if (object.instance.hidden) update(object, { hidden: false });
    stopHover();
    const opened = byId(id)!;
    draft.value = new Draft(id, opened, opened.instance.labels, histories);
    draftChanges.value++;
    showObjects([opened.mask]);
    showLive();
  });
}

function lockedText(): string {
  const key = keyOf("lock");
  return `This object is locked: unlock it in the list${key && `, or the last locked one with ${key}`}.`;
}

/** Selects the neighbour in the list. */
export function selectNext(step: number): void {
  const usable = objects.value.filter(({ instance }) => !instance.locked);
  if (!usable.length) return;
  const now = usable.findIndex(({ instance }) => instance.id === draft.value?.id);
  const next = now < 0 ? (step > 0 ? 0 : usable.length - 1) : now + step;
  void select(usable[(next + usable.length) % usable.length]!.instance.id);
}

/** Deletes the object at hand. */
export const remove = (): Promise<void> =>
  inTurn(() => {
    const current = draft.value;
    if (!current) return;
    if (current.origin) removeObject(current.origin);
    else leave(current);
  });

export function removeObject(object: MaskObject): void {
  const { id, locked } = byId(object.instance.id)?.instance ?? {};
  if (!id || locked || !mayChange()) return;
  if (draft.value?.id === id) leave(draft.value);
  drop(object);
}

/** Takes the objects of an image that was opened. */
export function setObjects(all: MaskObject[]): void {
  forgetHistories();
  gone.value = [];
  session.timer.restart();
  batch(() => {
    draft.value = null;
    objects.value = all;
    draftChanges.value++;
  });
  rememberLabels(all.flatMap(({ instance }) => instance.labels));
  showObjects();
  stage.viewChanged();
}

/** What was at hand when the image was last closed is at hand again. */
export function resume(kept: KeptDraft): void {
  const origin = originOf(kept);
  const made = new Draft(kept.id, origin, kept.labels, histories);
  const { prompts: record, predicted_iou: iou } = kept;
  made.resume({ ...BLANK, record, mask: decode(kept.rle), iou }, kept.seconds);
  draft.value = made;
  draftChanges.value++;
  if (origin) showObjects([origin.mask]);
  showLive();
  void adoptDraft(kept).catch(failed);
  say("What you had at hand is here again.");
}

/** The object that a draft changes. Where it is another by now, it stays as it was: the change is
 * then a conflict, which a person settles. */
function originOf({ id, origin }: KeptDraft): MaskObject | null {
  const now = byId(id);
  const told = ({ rle, labels }: Instance): string => JSON.stringify([rle.counts, labels]);
  if (!origin || (now && told(now.instance) === told(origin))) return now ?? null;
  return objectOf(origin);
}
