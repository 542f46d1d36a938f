/** Masks that a model suggested: accepted or rejected one by one, or all above a score. */

import { update, removeObject, select } from "./editor";
import type { MaskObject } from "./objects";
import { draft, say, suggestions, threshold } from "./state";

const score = ({ instance }: MaskObject): number => instance.predicted_iou ?? 0;

/** The suggestion at hand, or the surest one. */
function current(): MaskObject | undefined {
  const id = draft.value?.id;
  const all = suggestions.value;
  return all.find(({ instance }) => instance.id === id) ?? best(all);
}

const best = (all: readonly MaskObject[]): MaskObject | undefined =>
  all.reduce<MaskObject | undefined>((a, b) => (a && score(a) >= score(b) ? a : b), undefined);

/** Goes on to the surest of those that are left. */
function goOn(): void {
  const next = best(suggestions.value);
  if (next) void select(next.instance.id);
}

export function accept(object = current()): void {
  if (!object) return say("There are no suggestions.");
  if (draft.value?.id === object.instance.id) draft.value = null;
  update(object, { stage: "accepted" });
  goOn();
}

export function reject(object = current()): void {
  if (!object) return say("There are no suggestions.");
  removeObject(object);
  goOn();
}

export const aboveThreshold = (): MaskObject[] =>
  suggestions.value.filter((object) => score(object) >= threshold.value);

export function acceptAll(): void {
  const accepted = aboveThreshold();
  if (accepted.some(({ instance }) => instance.id === draft.value?.id)) draft.value = null;
  for (const object of accepted) update(object, { stage: "accepted" });
  say(`${accepted.length} accepted, ${suggestions.value.length} left.`);
}
