/** Masks that a model suggested: accepted or rejected one by one, or all above a score. */

import { update } from "./committed";
import { commit } from "./editor";
import type { MaskObject } from "./objects";
import { removeObject, select } from "./selection";
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
  void settled(object).then(goOn);
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
  void Promise.all(accepted.map(settled)).then(() =>
    say(`${accepted.length} accepted, ${suggestions.value.length} left.`),
  );
}

/** Accepts a suggestion; one that was changed is committed, which accepts it, too. */
async function settled(object: MaskObject): Promise<void> {
  const { id } = object.instance;
  if (draft.value?.id === id) await commit();
  const now = suggestions.value.find(({ instance }) => instance.id === id);
  if (now) update(now, { stage: "accepted" });
}
