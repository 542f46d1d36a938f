/** What was cancelled or deleted on the open image, newest last: undo brings it back. */

import { signal } from "@preact/signals";
import type { Draft } from "./draft";
import type { MaskObject } from "./objects";

const MOST = 20;

export const gone = signal<readonly (Draft | MaskObject)[]>([]);

export function remember(what: Draft | MaskObject): void {
  gone.value = [...gone.value, what].slice(-MOST);
}
