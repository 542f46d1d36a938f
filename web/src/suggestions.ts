/** Masks that a model suggested: accepted or rejected one by one, or all above a score. */

import { update } from "./committed";
import { commit, rounded } from "./editor";
import type { MaskObject } from "./objects";
import { removeObject, select } from "./selection";
import { session } from "./session";
import { draft, mayChange, say, suggestions, threshold } from "./state";

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
  void settle([object]).then(goOn);
}

export function reject(object = current()): void {
  if (!object) return say("There are no suggestions.");
  removeObject(object);
  if (!draft.value?.changed) session.ended(0);
  goOn();
}

export const aboveThreshold = (): MaskObject[] =>
  suggestions.value.filter((object) => score(object) >= threshold.value);

export function acceptAll(): void {
  const accepted = aboveThreshold();
  void settle(accepted).then(() =>
    say(`${accepted.length} accepted, ${suggestions.value.length} left.`),
  );
}

/**
 * Accepts suggestions; one that was changed is committed, which accepts it, too. The seconds since
 * the last object ended are theirs in equal parts, unless they went into the object at hand.
 */
async function settle(accepted: readonly MaskObject[]): Promise<void> {
  if (!accepted.length || !mayChange()) return;
  const ids = new Set(accepted.map(({ instance }) => instance.id));
  const current = draft.value;
  const changed = current?.changed ?? false;
  const share = changed ? 0 : session.timer.seconds / accepted.length;
  const atHand = current !== null && ids.has(current.id);
  if (atHand) await commit();
  const left = suggestions.value.filter(({ instance }) => ids.has(instance.id));
  for (const object of left) {
    update(object, { stage: "accepted", seconds: rounded(object.instance.seconds + share) });
  }
  if (changed && !atHand) session.count(left.length, 0);
  else session.ended(left.length);
}
