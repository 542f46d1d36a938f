/** The candidates that answer an ambiguous prompt, by what they are for each other. */

const NAMES = ["whole", "part", "sub-part"];

/** A name for each candidate: the largest is the whole, the smallest the sub-part. */
export function namesByArea(areas: readonly number[]): string[] {
  const largestFirst = areas.map((_, i) => i).sort((a, b) => areas[b]! - areas[a]!);
  return areas.map((_, i) => NAMES[largestFirst.indexOf(i)] ?? "");
}
