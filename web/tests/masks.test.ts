import { describe, expect, it } from "vitest";
import { Painting, snapped } from "../src/masks/brush";
import { edges } from "../src/masks/contour";
import { area, at, EMPTY, subtract, tight, union, type MaskCrop } from "../src/masks/crop";
import { fillPolygon } from "../src/masks/polygon";
import { maskPrompt, type MaskPromptRule } from "../src/masks/prompt";
import { decode, encode, readCounts, RleError, writeCounts, type Rle } from "../src/masks/rle";
import { Upscaler } from "../src/masks/upsample";
import { load } from "./fixtures/load";

const sized = ([height, width]: readonly number[]) => ({ height: height!, width: width! });

function fromOnes(ones: number[], width: number, height: number): MaskCrop {
  const bits = new Uint8Array(width * height);
  for (const i of ones) bits[i] = 1;
  return tight({ x: 0, y: 0, w: width, h: height, bits });
}

function iou(a: MaskCrop, b: MaskCrop): number {
  const either = area(union(a, b));
  return either === 0 ? 1 : (area(a) + area(b) - either) / either;
}

describe("RLE as pycocotools writes it", () => {
  const cases = load<(Rle & { ones: number[] })[]>("rle");
  it.each(cases.map((c, i) => [i, c] as const))("case %i, both ways", (_, { ones, ...rle }) => {
    const [height, width] = rle.size;
    const mask = fromOnes(ones, width, height);
    expect(encode(mask, { width, height })).toEqual(rle);
    expect(decode(rle)).toEqual(mask);
    expect(writeCounts(readCounts(rle.counts))).toBe(rle.counts);
  });

  it("refuses counts that do not fill the image, and damaged text", () => {
    expect(() => decode({ size: [4, 5], counts: encode(EMPTY, { width: 4, height: 4 }).counts }))
      .toThrow(RleError);
    expect(() => readCounts("o")).toThrow(RleError);
    expect(() => readCounts("é1")).toThrow(RleError);
  });
});

describe("masks at the size of the image", () => {
  interface Case { low: number; img_size: number; input_size: number[]; logits: number[]; mask: Rle }
  it.each(load<Case[]>("upsampling").map((c, i) => [i, c] as const))(
    "equal Python's, case %i",
    (_, c) => {
      const scaler = new Upscaler(c.low, c.img_size, sized(c.input_size), sized(c.mask.size));
      const mask = scaler.mask(Float32Array.from(c.logits), 0);
      expect(iou(mask, decode(c.mask))).toBeGreaterThan(0.999);
    },
  );

  it("are empty where nothing is above the threshold", () => {
    const scaler = new Upscaler(8, 32, { width: 32, height: 20 }, { width: 64, height: 40 });
    expect(scaler.mask(new Float32Array(64).fill(-1), 0)).toEqual(EMPTY);
  });
});

describe("a mask of one's own as a prompt", () => {
  interface Case {
    mask: Rle; img_size: number; input_size: number[]; rule: MaskPromptRule; logits: number[];
  }
  it.each(load<Case[]>("mask_prompts").map((c, i) => [i, c] as const))(
    "becomes the logits of Python's mask_prompt, case %i",
    (_, c) => {
      const n = Math.sqrt(c.logits.length);
      const found = maskPrompt(
        decode(c.mask), sized(c.mask.size), n, c.img_size, sized(c.input_size), c.rule,
      );
      const worst = Math.max(...found.map((v, i) => Math.abs(v - c.logits[i]!)));
      expect(worst).toBeLessThan(2e-3);
    },
  );

  const size = { width: 8, height: 8 };
  const mask: MaskCrop = { x: 2, y: 2, w: 4, h: 4, bits: new Uint8Array(16).fill(1) };

  it("has an edge as soft as the rule says", () => {
    const edge = (sigma: number) =>
      maskPrompt(mask, size, 8, 8, size, { levels: [10, -10], sigma, radius: 2 })[3 * 8 + 2]!;
    expect(edge(0.1)).toBeCloseTo(10);
    expect(edge(1)).toBeLessThan(8);
  });
});

describe("the brush", () => {
  const size = { width: 40, height: 30 };

  it("of size 1 sets the pixel under the cursor", () => {
    const painting = new Painting(EMPTY, size);
    const p = snapped({ x: 7.93, y: 4.02 }, 1);
    painting.line(p, p, 1, 1);
    expect(tight(painting.current)).toEqual({ x: 7, y: 4, w: 1, h: 1, bits: Uint8Array.of(1) });
  });

  it("sets exactly the pixels whose middle is within half of its size of the line", () => {
    const painting = new Painting(EMPTY, size);
    const [a, b] = [snapped({ x: 5.2, y: 6.4 }, 7), snapped({ x: 33.1, y: 21.8 }, 7)];
    painting.line(a, b, 7, 1);
    for (let y = 0; y < size.height; y++) {
      for (let x = 0; x < size.width; x++) {
        // The least distance by trying many places of the line: another way than the brush's.
        let least = Infinity;
        for (let k = 0; k <= 4000; k++) {
          const t = k / 4000;
          const place = [a.x + t * (b.x - a.x), a.y + t * (b.y - a.y)] as const;
          least = Math.min(least, Math.hypot(x + 0.5 - place[0], y + 0.5 - place[1]));
        }
        if (Math.abs(least - 3.5) > 1e-2) expect(at(painting.current, x, y)).toBe(least < 3.5);
      }
    }
  });

  it("erases, leaves holes, and stays inside of the image", () => {
    const painting = new Painting(EMPTY, size);
    painting.line({ x: 20, y: 15 }, { x: 20, y: 15 }, 20, 1);
    painting.line({ x: 20, y: 15 }, { x: 20, y: 15 }, 4, 0);
    expect(at(painting.current, 20, 15)).toBe(false);
    expect(at(painting.current, 26, 15)).toBe(true);
    painting.line({ x: -3, y: -3 }, { x: 60, y: 2 }, 6, 1);
    const box = painting.current;
    expect([box.x >= 0, box.y >= 0, box.x + box.w <= 40, box.y + box.h <= 30]).not.toContain(false);
  });
});

describe("polygons, set operations, outlines", () => {
  const size = { width: 20, height: 20 };
  const square = (x: number, y: number, side: number) =>
    fillPolygon(
      [{ x, y }, { x: x + side, y }, { x: x + side, y: y + side }, { x, y: y + side }],
      size,
    );

  it("a square of whole pixels has just these", () => {
    expect(square(3, 4, 5)).toEqual({ x: 3, y: 4, w: 5, h: 5, bits: new Uint8Array(25).fill(1) });
  });

  it("union and difference count pixels once", () => {
    const [a, b] = [square(2, 2, 6), square(5, 5, 6)];
    expect(area(union(a, b))).toBe(36 + 36 - 9);
    expect(area(subtract(a, b))).toBe(27);
    expect(subtract(a, a)).toEqual(EMPTY);
  });

  it("the outline of a square ring is two squares", () => {
    const pieces = edges(subtract(square(2, 2, 6), square(4, 4, 2)));
    expect(pieces.length / 4).toBe(8);
    let length = 0;
    for (let i = 0; i < pieces.length; i += 4) {
      length += Math.abs(pieces[i + 2]! - pieces[i]!) + Math.abs(pieces[i + 3]! - pieces[i + 1]!);
    }
    expect(length).toBe(24 + 8);
  });
});
