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

/** Colours of the objects that the open image has or had. */
const given = new Map<string, Rgb>();

/** An image was opened: its objects have the palette's colours in the order of the list. */
export function giveColours(ids: readonly string[]): void {
  given.clear();
  for (const id of ids) colourOf(id);
}

/** The colour that an object keeps while the image is open; a new one has the next of the palette. */
export function colourOf(id: string): Rgb {
  const known = given.get(id);
  if (known) return known;
  const next = PALETTE[given.size % PALETTE.length]!;
  given.set(id, next);
  return next;
}

export const css = ([r, g, b]: Rgb, alpha = 1): string => `rgb(${r} ${g} ${b} / ${alpha})`;
