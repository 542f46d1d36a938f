/** Masks as coloured pixels. */

import type { Rgb } from "../colours";
import { common, type MaskCrop, type Rect } from "../masks/crop";

/** Pixels as canvases hold them: alpha, blue, green, red from the highest byte down. */
const pixel = ([r, g, b]: Rgb, alpha: number): number =>
  ((Math.round(alpha * 255) << 24) | (b << 16) | (g << 8) | r) >>> 0;

const FILL = 0.5;
const HATCH = 0.18;

export interface Tint {
  readonly colour: Rgb;
  /** Width of the rim, which is drawn opaque, in pixels of the mask; 0 for none. */
  readonly rim: number;
  /** Of the rim, the mask's own colour where undefined. */
  readonly rimColour?: Rgb;
  /** Drawn with stripes: what a model suggested and nobody has accepted. */
  readonly striped: boolean;
}

/** Paints what of a mask lies in `rect` into its pixels (row by row), over what is there. */
export function paint(target: Uint32Array, rect: Rect, mask: MaskCrop, tint: Tint): void {
  const part = common(mask, rect);
  const full = pixel(tint.colour, FILL);
  const pale = pixel(tint.colour, HATCH);
  const rim = pixel(tint.rimColour ?? tint.colour, 1);
  const { bits, w, h } = mask;
  const t = tint.rim;
  if (t <= 1 && !tint.striped) return fill(target, rect, mask, part, full, t === 1 ? rim : full);
  const stripe = Math.max(4, 3 * Math.max(1, t));
  for (let y = part.y; y < part.y + part.h; y++) {
    const my = y - mask.y;
    const row = my * w;
    const above = my >= t ? row - t * w : -1;
    const below = my + t < h ? row + t * w : -1;
    const out = (y - rect.y) * rect.w - rect.x;
    for (let x = part.x; x < part.x + part.w; x++) {
      const mx = x - mask.x;
      if (!bits[row + mx]) continue;
      const edge =
        t > 0 &&
        (above < 0 || below < 0 || mx < t || mx + t >= w ||
          !bits[above + mx] || !bits[below + mx] || !bits[row + mx - t] || !bits[row + mx + t]);
      const dark = tint.striped && Math.floor((x + y) / stripe) % 2 === 1;
      target[out + x] = edge ? rim : dark ? pale : full;
    }
  }
}

/** Two colours, of which the rim is one pixel wide: what a preview under the cursor takes. */
function fill(
  target: Uint32Array, rect: Rect, mask: MaskCrop, part: Rect, inner: number, rim: number,
): void {
  const { bits, w, h } = mask;
  const nothing = new Uint8Array(w);
  const row = (y: number): Uint8Array => (y >= 0 && y < h ? bits.subarray(y * w, (y + 1) * w) : nothing);
  for (let y = part.y - mask.y; y < part.y + part.h - mask.y; y++) {
    const [above, here, below] = [row(y - 1), row(y), row(y + 1)];
    const to = (y + mask.y - rect.y) * rect.w + mask.x - rect.x;
    const end = part.x + part.w - mask.x;
    for (let x = part.x - mask.x; x < end; x++) {
      if (!here[x]) continue;
      const surrounded =
        inner === rim ||
        above[x]! & below[x]! & (x > 0 ? here[x - 1]! : 0) & (x + 1 < w ? here[x + 1]! : 0);
      target[to + x] = surrounded ? inner : rim;
    }
  }
}

/** A canvas of the size of an image, or a fraction of it, of which parts can be painted anew. */
export class Surface {
  readonly canvas = document.createElement("canvas");
  private readonly context = this.canvas.getContext("2d")!;

  resize(width: number, height: number): void {
    this.canvas.width = width;
    this.canvas.height = height;
  }

  clear(): void {
    this.context.clearRect(0, 0, this.canvas.width, this.canvas.height);
  }

  /** Replaces a rectangle by what `draw` paints; tall ones band by band, to spare memory. */
  replace(rect: Rect, draw: (target: Uint32Array, band: Rect) => void): void {
    const rows = Math.max(1, Math.floor(2_000_000 / Math.max(1, rect.w)));
    for (let y = rect.y; y < rect.y + rect.h; y += rows) {
      const band = { x: rect.x, y, w: rect.w, h: Math.min(rows, rect.y + rect.h - y) };
      if (band.w <= 0 || band.h <= 0) continue;
      const data = new ImageData(band.w, band.h);
      draw(new Uint32Array(data.data.buffer), band);
      this.context.putImageData(data, band.x, band.y);
    }
  }
}
