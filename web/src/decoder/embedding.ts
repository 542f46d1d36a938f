/** The server's embedding: uint32 length, JSON header, padding to 16 bytes, float16 tensors. */

export interface EmbeddingHeader {
  model: string;
  /** The part of the image that was encoded: x0, y0, x1, y1 in its pixels. */
  crop: [number, number, number, number];
  /** Height and width inside the model's square input. */
  input_size: [number, number];
  original_size: [number, number];
  tensors: { name: string; shape: number[]; offset: number }[];
}

export interface NamedTensor {
  readonly shape: readonly number[];
  readonly data: Float32Array;
}

export interface Embedding {
  readonly header: EmbeddingHeader;
  readonly tensors: ReadonlyMap<string, NamedTensor>;
}

export function parseEmbedding(buffer: ArrayBuffer): Embedding {
  const length = new DataView(buffer).getUint32(0, true);
  const text = new TextDecoder().decode(new Uint8Array(buffer, 4, length));
  const header = JSON.parse(text) as EmbeddingHeader;
  const start = Math.ceil((4 + length) / 16) * 16;
  const tensors = new Map<string, NamedTensor>();
  for (const { name, shape, offset } of header.tensors) {
    const count = shape.reduce((a, b) => a * b, 1);
    tensors.set(name, { shape, data: floats(new Uint16Array(buffer, start + offset, count)) });
  }
  return { header, tensors };
}

let table: Float32Array | undefined;

/** float16 to float32. */
export function floats(halves: Uint16Array): Float32Array {
  table ??= Float32Array.from({ length: 65536 }, (_, half) => floatOf(half));
  const result = new Float32Array(halves.length);
  for (let i = 0; i < halves.length; i++) result[i] = table[halves[i]!]!;
  return result;
}

function floatOf(half: number): number {
  const sign = half & 0x8000 ? -1 : 1;
  const exponent = (half >> 10) & 31;
  const fraction = half & 1023;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 31) return fraction ? NaN : sign * Infinity;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}
