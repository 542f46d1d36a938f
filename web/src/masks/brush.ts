/**
 * A round brush, exact to the pixel: a pixel belongs to a stroke where its middle is no farther
 * from the stroke's line than half of the brush's size. Places are snapped, for odd sizes to the
 * middle of a pixel and for even ones to a corner, so that a brush of size 1 sets one pixel.
 */

import { around, common, isEmpty, type MaskCrop, type Rect, type Size } from "./crop";

export interface Point {
  readonly x: number;
  readonly y: number;
}

export const snapped = (p: Point, size: number): Point =>
  size % 2 === 1
    ? { x: Math.floor(p.x) + 0.5, y: Math.floor(p.y) + 0.5 }
    : { x: Math.round(p.x), y: Math.round(p.y) };

/** A mask that is being painted: owns its pixels and grows as strokes leave its rectangle. */
export class Painting {
  private mask: MaskCrop;

  constructor(
    start: MaskCrop,
    private readonly size: Size,
  ) {
    this.mask = { ...start, bits: start.bits.slice() };
  }

  /** What is painted so far. Shares its pixels: they change with the next stroke. */
  get current(): MaskCrop {
    return this.mask;
  }

  /** Sets (or clears) the pixels under a line from a to b; returns the rectangle that it touched. */
  line(a: Point, b: Point, brushSize: number, value: 0 | 1): Rect {
    const radius = brushSize / 2;
    const reach = common(boxOf(a, b, radius), { x: 0, y: 0, w: this.size.width, h: this.size.height });
    if (isEmpty(reach)) return reach;
    if (value === 1) this.growTo(reach);
    const { mask } = this;
    const part = common(reach, mask);
    const squared = radius * radius + 1e-9;
    const [dx, dy] = [b.x - a.x, b.y - a.y];
    const length = dx * dx + dy * dy;
    for (let y = part.y; y < part.y + part.h; y++) {
      const row = (y - mask.y) * mask.w - mask.x;
      const py = y + 0.5 - a.y;
      for (let x = part.x; x < part.x + part.w; x++) {
        const px = x + 0.5 - a.x;
        const t = length === 0 ? 0 : Math.min(1, Math.max(0, (px * dx + py * dy) / length));
        const ex = px - t * dx;
        const ey = py - t * dy;
        if (ex * ex + ey * ey <= squared) mask.bits[row + x] = value;
      }
    }
    return reach;
  }

  private growTo(rect: Rect): void {
    const box = around(this.mask, rect);
    if (box.w === this.mask.w && box.h === this.mask.h) return;
    // Room for more strokes in the same direction, so that a long one does not copy at every step.
    const margin = Math.ceil(Math.max(box.w, box.h) / 4) + 32;
    const roomy = common(
      { x: box.x - margin, y: box.y - margin, w: box.w + 2 * margin, h: box.h + 2 * margin },
      { x: 0, y: 0, w: this.size.width, h: this.size.height },
    );
    const bits = new Uint8Array(roomy.w * roomy.h);
    for (let y = 0; y < this.mask.h; y++) {
      const from = y * this.mask.w;
      const to = (this.mask.y + y - roomy.y) * roomy.w + this.mask.x - roomy.x;
      bits.set(this.mask.bits.subarray(from, from + this.mask.w), to);
    }
    this.mask = { ...roomy, bits };
  }
}

function boxOf(a: Point, b: Point, radius: number): Rect {
  const x = Math.floor(Math.min(a.x, b.x) - radius);
  const y = Math.floor(Math.min(a.y, b.y) - radius);
  return {
    x,
    y,
    w: Math.ceil(Math.max(a.x, b.x) + radius) - x,
    h: Math.ceil(Math.max(a.y, b.y) + radius) - y,
  };
}
