import { describe, expect, it } from "vitest";
import { Latest } from "../src/decoder/client";
import { floats, parseEmbedding } from "../src/decoder/embedding";
import { ambiguous, pointInputs, type Frame } from "../src/decoder/prompts";
import type { Prompt } from "../src/types";

const labels = {
  foreground: 1, background: 0, box_upper_left: 2, box_lower_right: 3, padding: -1,
};
const point = (x: number, y: number, label: 0 | 1): Prompt => ({ kind: "point", x, y, label });

describe("an embedding from the server", () => {
  it("is read as its header says", () => {
    const header = {
      model: "m", crop: [0, 0, 8, 4], input_size: [2, 4], original_size: [4, 8],
      tensors: [
        { name: "image_embeddings", shape: [1, 2, 1, 1], offset: 0 },
        { name: "stride_4", shape: [3], offset: 16 },
      ],
    };
    const text = new TextEncoder().encode(JSON.stringify(header));
    const start = Math.ceil((4 + text.length) / 16) * 16;
    const buffer = new ArrayBuffer(start + 22);
    new DataView(buffer).setUint32(0, text.length, true);
    new Uint8Array(buffer).set(text, 4);
    new Uint16Array(buffer, start, 2).set([0x3c00, 0xc000]); // 1, -2
    new Uint16Array(buffer, start + 16, 3).set([0x0001, 0x7bff, 0x3555]);
    const { header: read, tensors } = parseEmbedding(buffer);
    expect(read).toEqual(header);
    expect([...tensors.get("image_embeddings")!.data]).toEqual([1, -2]);
    expect([...tensors.get("stride_4")!.data]).toEqual([2 ** -24, 65504, 0.333251953125]);
  });

  it("has infinities and zeros of both signs", () => {
    expect([...floats(Uint16Array.of(0x7c00, 0xfc00, 0x8000))]).toEqual([Infinity, -Infinity, -0]);
  });
});

describe("prompts as the decoder's inputs", () => {
  const frame: Frame = {
    crop: { x: 100, y: 50, w: 400, h: 200 },
    input: { width: 512, height: 256 },
  };

  it("points are scaled from their part of the image, and one padding point follows", () => {
    const { coords, labels: given } = pointInputs([point(300, 150, 1), point(100, 50, 0)], frame, labels);
    expect([...coords]).toEqual([256, 128, 0, 0, 0, 0]);
    expect([...given]).toEqual([1, 0, -1]);
  });

  it("a box comes last, as its corners and without padding; without prompts there is no point", () => {
    const box: Prompt = { kind: "box", box: [100, 50, 500, 250] };
    const { coords, labels: given } = pointInputs([box, point(300, 150, 1)], frame, labels);
    expect([...coords]).toEqual([256, 128, 0, 0, 512, 256]);
    expect([...given]).toEqual([1, 2, 3]);
    expect(pointInputs([], frame, labels).labels).toHaveLength(0);
  });

  it("one prompt is ambiguous, two are not; a mask is one", () => {
    const box: Prompt = { kind: "box", box: [0, 0, 1, 1] };
    expect([
      ambiguous([point(1, 1, 1)], false), ambiguous([box], false), ambiguous([], true),
      ambiguous([point(1, 1, 1)], true), ambiguous([point(1, 1, 1), box], false),
    ]).toEqual([true, true, true, false, false]);
  });
});

it("of many requests the first and the newest are answered", async () => {
  const latest = new Latest();
  const done: number[] = [];
  let release = () => {};
  const blocked = new Promise<void>((resolve) => (release = resolve));
  for (let i = 0; i < 5; i++) {
    latest.run(async () => {
      await blocked;
      done.push(i);
    });
  }
  release();
  await new Promise((resolve) => setTimeout(resolve, 5));
  expect(done).toEqual([0, 4]);
});
