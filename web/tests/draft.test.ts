import { expect, it, vi } from "vitest";
import { objectOf } from "../src/objects";
import type { Instance } from "../src/types";

const storage = { getItem: () => null, setItem: () => undefined };
vi.stubGlobal("localStorage", storage);
vi.stubGlobal("sessionStorage", storage);
vi.useFakeTimers({ toFake: ["performance"] });
const { Draft } = await import("../src/draft");
const { session } = await import("../src/session");

const instance: Instance = {
  id: "a", version: 1, rle: { size: [2, 2], counts: "4" }, labels: [], stage: "manual", prompts: [],
  model: null, predicted_iou: null, seconds: 40,
};

/** Seconds in which there is input. */
function work(seconds: number): void {
  for (let i = 0; i < seconds; i++) {
    vi.advanceTimersByTime(1000);
    session.timer.touch();
  }
}

it("an object's seconds begin where the last one ended; a reopened one adds, and is new to the eye", () => {
  session.timer.restart();
  work(7);
  const made = new Draft("b", null, [], new Map());
  work(1);
  expect([made.seconds, made.recentSeconds]).toEqual([8, 8]);
  made.end(1);
  work(3);
  const reopened = new Draft("a", objectOf(instance), [], new Map());
  work(2);
  expect([reopened.seconds, reopened.recentSeconds]).toEqual([45, 2]);
  reopened.end(0); // put aside
  work(1); // and taken up again
  expect(reopened.seconds).toBe(46);
  reopened.end(0);
  expect(session.statistics.value).toEqual({ masks: 1, seconds: 8 + 5 + 1 });
});
