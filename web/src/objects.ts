/** The objects of the open image: instances with their pixels at hand. */

import { decode } from "./masks/rle";
import { area, type MaskCrop } from "./masks/crop";
import type { Instance } from "./types";

export interface MaskObject {
  readonly instance: Instance;
  readonly mask: MaskCrop;
}

export const objectOf = (instance: Instance): MaskObject => ({
  instance,
  mask: decode(instance.rle),
});

/** The list with one object put in its place, or at the end where it is new. */
export function replaced(objects: readonly MaskObject[], object: MaskObject): MaskObject[] {
  const at = objects.findIndex(({ instance }) => instance.id === object.instance.id);
  return at < 0 ? [...objects, object] : objects.with(at, object);
}

const areas = new WeakMap<MaskCrop, number>();

/** Pixels of a mask, counted once. */
export function areaOf(mask: MaskCrop): number {
  let count = areas.get(mask);
  if (count === undefined) areas.set(mask, (count = area(mask)));
  return count;
}
