/** Colours of masks: samkit's palette, any first k of which lie far apart. */

export type Rgb = readonly [number, number, number];

const PALETTE: readonly Rgb[] = [
  [197, 89, 221], [139, 255, 112], [246, 140, 17], [30, 189, 227], [107, 162, 17],
  [247, 168, 239], [242, 68, 113], [95, 249, 241], [104, 133, 246], [226, 200, 18],
  [83, 196, 142], [240, 134, 152], [253, 108, 212], [184, 151, 240], [209, 113, 79],
  [153, 220, 138], [195, 109, 168], [84, 201, 54], [122, 171, 252], [49, 152, 214],
  [156, 123, 210], [49, 167, 115], [227, 230, 123], [253, 184, 98],
];

/** The object that is being made. */
export const ACTIVE: Rgb = [64, 156, 255];

/** A colour that an instance keeps, whatever happens to the others. */
export function colourOf(id: string): Rgb {
  let hash = 2166136261;
  for (let i = 0; i < id.length; i++) hash = Math.imul(hash ^ id.charCodeAt(i), 16777619);
  return PALETTE[(hash >>> 0) % PALETTE.length]!;
}

export const css = ([r, g, b]: Rgb, alpha = 1): string => `rgb(${r} ${g} ${b} / ${alpha})`;
