/** Masks as the part of an image inside their bounding box: small ones cost little. */

/** A rectangle of whole pixels: columns x … x + w - 1, rows y … y + h - 1. */
export interface Rect {
  readonly x: number;
  readonly y: number;
  readonly w: number;
  readonly h: number;
}

/** A mask: 0 or 1 for each pixel of its rectangle, row by row; all else is 0. Never changed in place. */
export interface MaskCrop extends Rect {
  readonly bits: Uint8Array;
}

/** Height and width of an image in pixels. */
export interface Size {
  readonly width: number;
  readonly height: number;
}

export const EMPTY: MaskCrop = { x: 0, y: 0, w: 0, h: 0, bits: new Uint8Array(0) };

export const isEmpty = (rect: Rect): boolean => rect.w <= 0 || rect.h <= 0;

/** The smallest rectangle around two; an empty one counts for nothing. */
export function around(a: Rect, b: Rect): Rect {
  if (isEmpty(a)) return b;
  if (isEmpty(b)) return a;
  const x = Math.min(a.x, b.x);
  const y = Math.min(a.y, b.y);
  const w = Math.max(a.x + a.w, b.x + b.w) - x;
  const h = Math.max(a.y + a.h, b.y + b.h) - y;
  return { x, y, w, h };
}

/** What two rectangles share; w or h is 0 where they share nothing. */
export function common(a: Rect, b: Rect): Rect {
  const x = Math.max(a.x, b.x);
  const y = Math.max(a.y, b.y);
  const w = Math.max(0, Math.min(a.x + a.w, b.x + b.w) - x);
  const h = Math.max(0, Math.min(a.y + a.h, b.y + b.h) - y);
  return { x, y, w, h };
}

/** A rectangle with `margin` more pixels on each side, cut to the image. */
export function grown(rect: Rect, margin: number, size: Size): Rect {
  const wide = {
    x: Math.floor(rect.x - margin),
    y: Math.floor(rect.y - margin),
    w: Math.ceil(rect.w + 2 * margin),
    h: Math.ceil(rect.h + 2 * margin),
  };
  return common(wide, { x: 0, y: 0, w: size.width, h: size.height });
}

/** The same mask in another rectangle, which must hold all of its true pixels. */
export function within(mask: MaskCrop, rect: Rect): MaskCrop {
  const bits = new Uint8Array(rect.w * rect.h);
  const part = common(mask, rect);
  for (let y = part.y; y < part.y + part.h; y++) {
    const from = (y - mask.y) * mask.w + part.x - mask.x;
    bits.set(mask.bits.subarray(from, from + part.w), (y - rect.y) * rect.w + part.x - rect.x);
  }
  return { ...rect, bits };
}

/** The mask cut down to its true pixels; EMPTY where it has none. */
export function tight(mask: MaskCrop): MaskCrop {
  const { w, h, bits } = mask;
  let top = h;
  let bottom = -1;
  let left = w;
  let right = -1;
  for (let y = 0; y < h; y++) {
    const row = y * w;
    const first = bits.subarray(row, row + w).indexOf(1);
    if (first < 0) continue;
    const last = bits.subarray(row, row + w).lastIndexOf(1);
    if (top === h) top = y;
    bottom = y;
    if (first < left) left = first;
    if (last > right) right = last;
  }
  if (bottom < 0) return EMPTY;
  if (top === 0 && left === 0 && bottom === h - 1 && right === w - 1) return mask;
  const box = { x: mask.x + left, y: mask.y + top, w: right - left + 1, h: bottom - top + 1 };
  return within(mask, box);
}

/** Pixels that are true. */
export function area(mask: MaskCrop): number {
  let count = 0;
  for (const bit of mask.bits) count += bit;
  return count;
}

export const at = (mask: MaskCrop, x: number, y: number): boolean =>
  x >= mask.x &&
  y >= mask.y &&
  x < mask.x + mask.w &&
  y < mask.y + mask.h &&
  mask.bits[(y - mask.y) * mask.w + x - mask.x] === 1;

/** Pixels of either. */
export function union(a: MaskCrop, b: MaskCrop): MaskCrop {
  if (isEmpty(b)) return a;
  if (isEmpty(a)) return b;
  const result = within(a, around(a, b));
  for (let y = 0; y < b.h; y++) {
    const to = (b.y + y - result.y) * result.w + b.x - result.x;
    for (let x = 0; x < b.w; x++) if (b.bits[y * b.w + x]) result.bits[to + x] = 1;
  }
  return result;
}

/** Pixels of the first that are not of the second. */
export function subtract(a: MaskCrop, b: MaskCrop): MaskCrop {
  const part = common(a, b);
  if (isEmpty(part)) return a;
  const bits = a.bits.slice();
  for (let y = part.y; y < part.y + part.h; y++) {
    const inA = (y - a.y) * a.w - a.x;
    const inB = (y - b.y) * b.w - b.x;
    for (let x = part.x; x < part.x + part.w; x++) if (b.bits[inB + x]) bits[inA + x] = 0;
  }
  return tight({ x: a.x, y: a.y, w: a.w, h: a.h, bits });
}
