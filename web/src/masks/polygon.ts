/** Pixels whose middle lies inside a polygon (even-odd rule). */

import type { Point } from "./brush";
import { common, EMPTY, isEmpty, tight, type MaskCrop, type Size } from "./crop";

export function fillPolygon(points: readonly Point[], size: Size): MaskCrop {
  if (points.length < 3) return EMPTY;
  const xs = points.map((p) => p.x);
  const ys = points.map((p) => p.y);
  const x = Math.floor(Math.min(...xs));
  const y = Math.floor(Math.min(...ys));
  const box = common(
    { x, y, w: Math.ceil(Math.max(...xs)) - x, h: Math.ceil(Math.max(...ys)) - y },
    { x: 0, y: 0, w: size.width, h: size.height },
  );
  if (isEmpty(box)) return EMPTY;
  const bits = new Uint8Array(box.w * box.h);
  for (let row = 0; row < box.h; row++) {
    const middle = box.y + row + 0.5;
    const crossings: number[] = [];
    points.forEach((a, i) => {
      const b = points[(i + 1) % points.length]!;
      if (a.y <= middle !== b.y <= middle) {
        crossings.push(a.x + ((middle - a.y) / (b.y - a.y)) * (b.x - a.x));
      }
    });
    crossings.sort((p, q) => p - q);
    for (let i = 0; i + 1 < crossings.length; i += 2) {
      const from = Math.max(0, Math.ceil(crossings[i]! - 0.5) - box.x);
      const to = Math.min(box.w, Math.ceil(crossings[i + 1]! - 0.5) - box.x);
      if (to > from) bits.fill(1, row * box.w + from, row * box.w + to);
    }
  }
  return tight({ ...box, bits });
}
