/**
 * Low-res logits to masks at the size of the image, as the Python predictor does it: bilinear
 * (half-pixel centres) to the model's square input, cut to the part that is image, bilinear to the
 * image. Both steps are linear, so each axis has one short list of weights for each pixel.
 */

import { EMPTY, tight, type MaskCrop, type Size } from "./crop";

/** For each pixel the first of TAPS cells that it depends on, and their weights. */
interface Axis {
  readonly first: Int32Array;
  readonly weights: Float32Array;
  /** Cells that the image depends on; the rest is padding. */
  readonly valid: number;
}

const TAPS = 3;

function source(i: number, from: number, to: number): [number, number, number] {
  const place = Math.max(0, ((i + 0.5) * from) / to - 0.5);
  const low = Math.min(Math.floor(place), from - 1);
  return [low, Math.min(low + 1, from - 1), place - low];
}

function axis(low: number, input: number, valid: number, pixels: number): Axis {
  const first = new Int32Array(pixels);
  const weights = new Float32Array(pixels * TAPS);
  let most = 0;
  for (let i = 0; i < pixels; i++) {
    const [a, b, t] = source(i, valid, pixels);
    const [a0, a1, ta] = source(a, low, input);
    const [b0, b1, tb] = source(b, low, input);
    const start = Math.min(a0, Math.max(0, low - TAPS));
    first[i] = start;
    const row = i * TAPS - start;
    weights[row + a0]! += (1 - t) * (1 - ta);
    weights[row + a1]! += (1 - t) * ta;
    weights[row + b0]! += t * (1 - tb);
    weights[row + b1]! += t * tb;
    most = Math.max(most, t > 0 ? b1 : a1);
  }
  return { first, weights, valid: most + 1 };
}

/** Enlarges n x n logits of one image. `inputSize` is the image inside the model's square input. */
export class Upscaler {
  private readonly rows: Axis;
  private readonly columns: Axis;

  constructor(
    private readonly low: number,
    imgSize: number,
    inputSize: Size,
    size: Size,
  ) {
    this.rows = axis(low, imgSize, inputSize.height, size.height);
    this.columns = axis(low, imgSize, inputSize.width, size.width);
  }

  /** Pixels whose logit is above the threshold. */
  mask(logits: Float32Array, threshold: number): MaskCrop {
    const cells = this.cellsAbove(logits, threshold);
    if (cells === null) return EMPTY;
    const [x0, x1] = reached(this.columns, cells.left, cells.right);
    const [y0, y1] = reached(this.rows, cells.top, cells.bottom);
    const w = x1 - x0;
    const h = y1 - y0;
    if (w <= 0 || h <= 0) return EMPTY;
    const firstRow = this.rows.first[y0]!;
    const lastRow = Math.min(this.low, this.rows.first[y1 - 1]! + TAPS);
    const wide = this.widened(logits, firstRow, lastRow, x0, x1);
    const bits = new Uint8Array(w * h);
    const { first, weights } = this.rows;
    for (let y = 0; y < h; y++) {
      const i = y + y0;
      const [p, q, r] = [weights[i * TAPS]!, weights[i * TAPS + 1]!, weights[i * TAPS + 2]!];
      const a = (first[i]! - firstRow) * w;
      const b = Math.min(a + w, wide.length - w);
      const c = Math.min(a + 2 * w, wide.length - w);
      const out = y * w;
      for (let x = 0; x < w; x++) {
        const value = p * wide[a + x]! + q * wide[b + x]! + r * wide[c + x]!;
        bits[out + x] = value > threshold ? 1 : 0;
      }
    }
    return tight({ x: x0, y: y0, w, h, bits });
  }

  private widened(
    logits: Float32Array,
    firstRow: number,
    lastRow: number,
    x0: number,
    x1: number,
  ): Float32Array {
    const { first, weights } = this.columns;
    const w = x1 - x0;
    const wide = new Float32Array(w * (lastRow - firstRow));
    for (let x = 0; x < w; x++) {
      const i = x + x0;
      const [p, q, r] = [weights[i * TAPS]!, weights[i * TAPS + 1]!, weights[i * TAPS + 2]!];
      const a = first[i]!;
      const b = Math.min(a + 1, this.low - 1);
      const c = Math.min(a + 2, this.low - 1);
      for (let row = firstRow; row < lastRow; row++) {
        const at = row * this.low;
        wide[(row - firstRow) * w + x] =
          p * logits[at + a]! + q * logits[at + b]! + r * logits[at + c]!;
      }
    }
    return wide;
  }

  private cellsAbove(logits: Float32Array, threshold: number) {
    let top = this.low;
    let bottom = -1;
    let left = this.low;
    let right = -1;
    for (let y = 0; y < this.rows.valid; y++) {
      for (let x = 0; x < this.columns.valid; x++) {
        if (logits[y * this.low + x]! > threshold) {
          if (y < top) top = y;
          bottom = y;
          if (x < left) left = x;
          if (x > right) right = x;
        }
      }
    }
    return bottom < 0 ? null : { top, bottom, left, right };
  }
}

/** Pixels, from the first to one past the last, that depend on any of the cells. */
function reached(along: Axis, from: number, to: number): [number, number] {
  const { first } = along;
  let start = 0;
  while (start < first.length && first[start]! + TAPS - 1 < from) start++;
  let stop = first.length;
  while (stop > start && first[stop - 1]! > to) stop--;
  return [start, stop];
}
