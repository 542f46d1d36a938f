/** The outline of a mask along the edges of its pixels: outer edges and those of holes. */

import type { MaskCrop } from "./crop";

/**
 * Straight pieces between pixels, x0 y0 x1 y1 each, in pixels of the image; collinear ones joined.
 * One pass in the order of memory, since every preview under the cursor has one.
 */
export function edges(mask: MaskCrop): Float32Array {
  const { x: left, y: top, w, h, bits } = mask;
  const pieces: number[] = [];
  const outside = new Uint8Array(w);
  /** For each boundary between columns the row in which an edge along it began, or -1. */
  const began = new Int32Array(w + 1).fill(-1);
  let above: Uint8Array = outside;
  for (let y = 0; y <= h; y++) {
    const row = y < h ? bits.subarray(y * w, (y + 1) * w) : outside;
    let since = -1;
    let before = 0;
    for (let x = 0; x <= w; x++) {
      const inside = x < w;
      const here = inside ? row[x]! : 0;
      if (inside && here !== above[x]) {
        if (since < 0) since = x;
      } else if (since >= 0) {
        pieces.push(left + since, top + y, left + x, top + y);
        since = -1;
      }
      const from = began[x]!;
      if (here !== before) {
        if (from < 0) began[x] = y;
      } else if (from >= 0) {
        pieces.push(left + x, top + from, left + x, top + y);
        began[x] = -1;
      }
      before = here;
    }
    above = row;
  }
  return Float32Array.from(pieces);
}
