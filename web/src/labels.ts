/** Labels: those of the object at hand, and those that this browser knows in the project. */

import { draft, draftChanges, labels, mayChange, project, say } from "./state";

/** Labels of the object at hand: adds one, or takes it away. */
export function toggleLabel(label: string): void {
  const current = draft.value;
  const text = label.trim();
  if (!text) return;
  if (!current) return say("Select or make an object first; a label belongs to one.");
  if (!mayChange()) return;
  const { labels: had } = current;
  current.labels = had.includes(text) ? had.filter((l) => l !== text) : [...had, text];
  current.changed = current.changed || current.origin !== null;
  rememberLabels([text]);
  draftChanges.value++;
}

const LABELS = "samkit-labels";

export function loadLabels(): void {
  labels.value = JSON.parse(localStorage.getItem(`${LABELS}-${project.value?.id}`) ?? "[]");
}

export function rememberLabels(used: readonly string[]): void {
  const fresh = used.filter((label) => !labels.value.includes(label));
  if (!fresh.length) return;
  labels.value = [...labels.value, ...new Set(fresh)];
  localStorage.setItem(`${LABELS}-${project.value?.id}`, JSON.stringify(labels.value));
}
