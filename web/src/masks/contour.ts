/** The outline of a mask along the edges of its pixels: outer edges and those of holes. */

import type { MaskCrop } from "./crop";

/** Straight pieces between pixels, x0 y0 x1 y1 each, in pixels of the image; collinear ones joined. */
export function edges(mask: MaskCrop): Float32Array {
  const { x: left, y: top, w, h, bits } = mask;
  const pieces: number[] = [];
  const bit = (x: number, y: number): number =>
    x < 0 || y < 0 || x >= w || y >= h ? 0 : bits[y * w + x]!;
  for (let y = 0; y <= h; y++) {
    let since = -1;
    for (let x = 0; x <= w; x++) {
      const edge = x < w && bit(x, y - 1) !== bit(x, y);
      if (edge && since < 0) since = x;
      else if (!edge && since >= 0) {
        pieces.push(left + since, top + y, left + x, top + y);
        since = -1;
      }
    }
  }
  for (let x = 0; x <= w; x++) {
    let since = -1;
    for (let y = 0; y <= h; y++) {
      const edge = y < h && bit(x - 1, y) !== bit(x, y);
      if (edge && since < 0) since = y;
      else if (!edge && since >= 0) {
        pieces.push(left + x, top + since, left + x, top + y);
        since = -1;
      }
    }
  }
  return Float32Array.from(pieces);
}
