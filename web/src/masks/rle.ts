/** COCO's run lengths (maskApi.c): column by column, zeros first, and their compressed string. */

import { EMPTY, isEmpty, type MaskCrop, type Size } from "./crop";

/** An RLE as it stands in files: size is [height, width]. */
export interface Rle {
  readonly size: readonly [number, number];
  readonly counts: string;
}

export class RleError extends Error {}

/** Run lengths of a mask in an image of this size. */
export function encodeRuns(mask: MaskCrop, size: Size): Uint32Array {
  const { width, height } = size;
  const runs: number[] = [];
  let run = 0;
  let value = 0;
  const add = (bit: number, length: number): void => {
    if (length === 0) return;
    if (bit === value) run += length;
    else {
      runs.push(run);
      run = length;
      value = bit;
    }
  };
  if (isEmpty(mask)) return Uint32Array.of(width * height);
  add(0, mask.x * height);
  for (let x = 0; x < mask.w; x++) {
    add(0, mask.y);
    let bit = mask.bits[x]!;
    let since = 0;
    for (let y = 1, i = x + mask.w; y < mask.h; y++, i += mask.w) {
      const next = mask.bits[i]!;
      if (next !== bit) {
        add(bit, y - since);
        bit = next;
        since = y;
      }
    }
    add(bit, mask.h - since);
    add(0, height - mask.y - mask.h);
  }
  add(0, (width - mask.x - mask.w) * height);
  runs.push(run);
  return Uint32Array.from(runs);
}

/** The mask of run lengths. Throws RleError where they do not add up to the image. */
export function decodeRuns(runs: Uint32Array, size: Size): MaskCrop {
  const { height } = size;
  let total = 0;
  for (const run of runs) total += run;
  if (total !== size.width * height) {
    throw new RleError(`A mask has ${total} pixels, its image ${size.width * height}.`);
  }
  let left = size.width;
  let right = -1;
  let top = height;
  let bottom = -1;
  forEachOnes(runs, (start, length) => {
    const last = start + length - 1;
    const x0 = Math.floor(start / height);
    const x1 = Math.floor(last / height);
    left = Math.min(left, x0);
    right = Math.max(right, x1);
    top = Math.min(top, x0 === x1 ? start - x0 * height : 0);
    bottom = Math.max(bottom, x0 === x1 ? last - x1 * height : height - 1);
  });
  if (right < 0) return EMPTY;
  const w = right - left + 1;
  const h = bottom - top + 1;
  const bits = new Uint8Array(w * h);
  forEachOnes(runs, (start, length) => {
    let x = Math.floor(start / height);
    let y = start - x * height;
    for (let left_ = length; left_ > 0; ) {
      const inColumn = Math.min(left_, height - y);
      for (let k = 0, i = (y - top) * w + x - left; k < inColumn; k++, i += w) bits[i] = 1;
      left_ -= inColumn;
      y = 0;
      x++;
    }
  });
  return { x: left, y: top, w, h, bits };
}

function forEachOnes(runs: Uint32Array, visit: (start: number, length: number) => void): void {
  let start = 0;
  for (let i = 0; i < runs.length; i++) {
    const length = runs[i]!;
    if (i % 2 === 1 && length > 0) visit(start, length);
    start += length;
  }
}

/** The compressed string: differences to the run two before, five bits a character. */
export function writeCounts(runs: Uint32Array): string {
  const characters: number[] = [];
  for (let i = 0; i < runs.length; i++) {
    let x = i > 2 ? runs[i]! - runs[i - 2]! : runs[i]!;
    for (let more = true; more; ) {
      let c = x & 0x1f;
      x >>= 5;
      more = c & 0x10 ? x !== -1 : x !== 0;
      if (more) c |= 0x20;
      characters.push(c + 48);
    }
  }
  let text = "";
  for (let i = 0; i < characters.length; i += 4096) {
    text += String.fromCharCode(...characters.slice(i, i + 4096));
  }
  return text;
}

/** Run lengths of a compressed string. Throws RleError for one that is cut short or senseless. */
export function readCounts(text: string): Uint32Array {
  const runs: number[] = [];
  for (let p = 0; p < text.length; ) {
    let x = 0;
    for (let k = 0, more = true; more; k++) {
      const c = text.charCodeAt(p++) - 48;
      if (!(c >= 0 && c < 64) || k > 6) throw new RleError("A mask's run lengths are damaged.");
      x |= (c & 0x1f) << (5 * k);
      more = (c & 0x20) !== 0;
      if (!more && c & 0x10 && k < 6) x |= -1 << (5 * (k + 1));
    }
    if (runs.length > 2) x += runs[runs.length - 2]!;
    if (x < 0) throw new RleError("A mask's run lengths are damaged.");
    runs.push(x);
  }
  return Uint32Array.from(runs);
}

export const encode = (mask: MaskCrop, size: Size): Rle => ({
  size: [size.height, size.width],
  counts: writeCounts(encodeRuns(mask, size)),
});

export function decode(rle: Rle): MaskCrop {
  const [height, width] = rle.size;
  return decodeRuns(readCounts(rle.counts), { width, height });
}
