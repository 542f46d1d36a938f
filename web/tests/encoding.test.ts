import { beforeEach, describe, expect, it } from "vitest";
import type { Frame } from "../src/decoder/prompts";
import { Encoding } from "../src/encoding";

const FRAME = {} as Frame;
const OPEN = Symbol("still waits");
const settled = <T>(promise: Promise<T>): Promise<T | typeof OPEN> =>
  Promise.race([promise, new Promise<typeof OPEN>((resolve) => setTimeout(() => resolve(OPEN)))]);

describe("a prompt", () => {
  let encoding: Encoding;
  beforeEach(() => {
    encoding = new Encoding();
    encoding.begin();
  });

  it("waits while the image is encoded and is answered then, as all are after it", async () => {
    const prompts = [encoding.answerable(), encoding.answerable()];
    expect(await settled(Promise.any(prompts))).toBe(OPEN);
    encoding.done(FRAME);
    expect(await Promise.all(prompts)).toEqual([true, true]);
    expect(await settled(encoding.answerable())).toBe(true);
    expect(encoding.frame.value).toBe(FRAME);
  });

  it("is not answered where encoding failed, neither one that waited nor one that comes", async () => {
    const waited = encoding.answerable();
    encoding.fail();
    expect(await settled(waited)).toBe(false);
    expect(await settled(encoding.answerable())).toBe(false);
    encoding.begin(); // tried again
    expect(await settled(encoding.answerable())).toBe(OPEN);
  });

  it("is dropped with the image that is left, also one whose turn comes only then", async () => {
    const turns: boolean[] = [];
    const queue = encoding
      .answerable()
      .then((first) => turns.push(first))
      .then(() => encoding.answerable())
      .then((second) => turns.push(second));
    encoding.leaveSoon();
    expect(await settled(queue)).not.toBe(OPEN);
    expect(turns).toEqual([false, false]);
    encoding.leave();
    expect(await settled(encoding.answerable())).toBe(false);
  });

  it("of an encoded image is answered before the image is left", async () => {
    encoding.done(FRAME);
    encoding.leaveSoon();
    expect(await settled(encoding.answerable())).toBe(true);
    encoding.leave();
    expect(await settled(encoding.answerable())).toBe(false);
    expect(encoding.frame.value).toBeNull();
  });
});
