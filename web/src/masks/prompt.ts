/** A binary mask as a mask prompt: low-res logits with a soft edge (Python's `mask_prompt`). */

import type { MaskCrop, Size } from "./crop";

export interface MaskPromptRule {
  /** Logits far inside (above 0) and far outside (below 0). */
  readonly levels: readonly [number, number];
  /** How soft an edge is, in low-res cells. */
  readonly sigma: number;
  readonly radius: number;
}

const SMALLEST = 1e-3;

/** n x n logits for a mask of an image; inputSize is the image inside the model's square input. */
export function maskPrompt(
  mask: MaskCrop,
  size: Size,
  n: number,
  imgSize: number,
  inputSize: Size,
  rule: MaskPromptRule,
): Float32Array {
  const columns = shrinking(size.width, inputSize.width, imgSize, n);
  const rows = shrinking(size.height, inputSize.height, imgSize, n);
  const covered = project(mask, rows, columns, n);
  const inside = new Float32Array(n * n);
  for (let y = 0; y < n; y++) {
    for (let x = 0; x < n; x++) inside[y * n + x] = rows.share[y]! * columns.share[x]!;
  }
  const kernel = gaussian(rule);
  const blurred = blur(covered, n, kernel);
  const weight = blur(inside, n, kernel);
  const soft = blurred.map((value, i) => value / Math.max(weight[i]!, SMALLEST));
  const ridge = maximum(soft, n, rule.radius);
  const logits = new Float32Array(n * n);
  for (let i = 0; i < logits.length; i++) {
    const value = inside[i]! > 0 ? (2 * soft[i]!) / Math.max(ridge[i]!, SMALLEST) - 1 : -1;
    logits[i] = value > 0 ? value * rule.levels[0] : value * -rule.levels[1];
  }
  return logits;
}

/** For each cell the pixels of the image that it averages, with their weights. */
interface Shrinking {
  readonly first: Int32Array;
  readonly weights: Float64Array[];
  /** How much of each cell is image and not padding. */
  readonly share: Float64Array;
}

function shrinking(pixels: number, input: number, imgSize: number, n: number): Shrinking {
  const first = new Int32Array(n);
  const weights: Float64Array[] = [];
  const share = new Float64Array(n);
  for (let cell = 0; cell < n; cell++) {
    const from = Math.floor((cell * imgSize) / n);
    const to = Math.ceil(((cell + 1) * imgSize) / n);
    const sources: [number, Float64Array][] = [];
    for (let i = from; i < Math.min(to, input); i++) sources.push(antialiased(i, pixels, input));
    share[cell] = sources.length / (to - from);
    const start = sources.length ? sources[0]![0] : 0;
    const stop = sources.reduce((most, [at, w]) => Math.max(most, at + w.length), start);
    const sum = new Float64Array(stop - start);
    for (const [at, w] of sources) w.forEach((v, k) => (sum[at - start + k]! += v / (to - from)));
    first[cell] = start;
    weights.push(sum);
  }
  return { first, weights, share };
}

/** torch's antialiased bilinear weights for pixel i of `to`, made from `from` pixels. */
function antialiased(i: number, from: number, to: number): [number, Float64Array] {
  const scale = from / to;
  const support = Math.max(1, scale);
  const centre = scale * (i + 0.5);
  const start = Math.max(Math.trunc(centre - support + 0.5), 0);
  const stop = Math.min(Math.trunc(centre + support + 0.5), from);
  const weights = new Float64Array(stop - start);
  let total = 0;
  for (let k = 0; k < weights.length; k++) {
    const distance = Math.abs((k + start - centre + 0.5) / support);
    weights[k] = Math.max(0, 1 - distance);
    total += weights[k]!;
  }
  return [start, weights.map((w) => w / total)];
}

function project(mask: MaskCrop, rows: Shrinking, columns: Shrinking, n: number): Float32Array {
  const narrow = new Float64Array(mask.h * n);
  for (let cell = 0; cell < n; cell++) {
    const at = columns.first[cell]!;
    const weights = columns.weights[cell]!;
    const from = Math.max(at, mask.x);
    const to = Math.min(at + weights.length, mask.x + mask.w);
    for (let y = 0; y < mask.h && from < to; y++) {
      let sum = 0;
      for (let x = from; x < to; x++) sum += weights[x - at]! * mask.bits[y * mask.w + x - mask.x]!;
      narrow[y * n + cell] = sum;
    }
  }
  const out = new Float32Array(n * n);
  for (let row = 0; row < n; row++) {
    const at = rows.first[row]!;
    const weights = rows.weights[row]!;
    const from = Math.max(at, mask.y);
    const to = Math.min(at + weights.length, mask.y + mask.h);
    for (let y = from; y < to; y++) {
      const w = weights[y - at]!;
      const source = (y - mask.y) * n;
      for (let x = 0; x < n; x++) out[row * n + x]! += w * narrow[source + x]!;
    }
  }
  return out;
}

function gaussian({ sigma, radius }: MaskPromptRule): number[] {
  const raw = Array.from({ length: 2 * radius + 1 }, (_, i) =>
    Math.exp(-0.5 * ((i - radius) / sigma) ** 2),
  );
  const sum = raw.reduce((a, b) => a + b, 0);
  return raw.map((v) => v / sum);
}

function separable(
  values: Float32Array,
  n: number,
  combine: (read: (offset: number) => number) => number,
): Float32Array {
  const half = new Float32Array(n * n);
  const out = new Float32Array(n * n);
  let [x, y] = [0, 0];
  const down = (d: number): number =>
    y + d < 0 || y + d >= n ? NaN : values[(y + d) * n + x]!;
  const across = (d: number): number =>
    x + d < 0 || x + d >= n ? NaN : half[y * n + x + d]!;
  for (y = 0; y < n; y++) for (x = 0; x < n; x++) half[y * n + x] = combine(down);
  for (y = 0; y < n; y++) for (x = 0; x < n; x++) out[y * n + x] = combine(across);
  return out;
}

const blur = (values: Float32Array, n: number, kernel: readonly number[]): Float32Array =>
  separable(values, n, (read) => {
    const radius = (kernel.length - 1) / 2;
    let sum = 0;
    for (let d = -radius; d <= radius; d++) {
      const value = read(d);
      if (value === value) sum += kernel[d + radius]! * value;
    }
    return sum;
  });

const maximum = (values: Float32Array, n: number, radius: number): Float32Array =>
  separable(values, n, (read) => {
    let most = -Infinity;
    for (let d = -radius; d <= radius; d++) {
      const value = read(d);
      if (value > most) most = value;
    }
    return most;
  });
