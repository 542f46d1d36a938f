import { expect, it, vi } from "vitest";
import { ActiveTimer } from "../src/timer";

vi.stubGlobal("sessionStorage", { getItem: () => null, setItem: () => undefined });
const { Session } = await import("../src/session");

it("counts the time before an object, whether it is kept or not, and outlives a reload", () => {
  let now = 0;
  let kept: string | null = null;
  const storage = { getItem: () => kept, setItem: (_: string, text: string) => void (kept = text) };
  const session = new Session(storage, new ActiveTimer(() => now));
  session.timer.restart();
  now = 4; // looked around
  session.timer.touch();
  now = 6;
  session.ended(0); // found nothing
  expect(new Session(storage).statistics.value).toEqual({ masks: 0, seconds: 6 });
  session.ended(1);
  now = 7;
  session.ended(0); // cancelled
  session.count(1, 0);
  expect(session.statistics.value).toEqual({ masks: 2, seconds: 7 });
  expect(new Session(storage).statistics.value).toEqual({ masks: 2, seconds: 7 });
  kept = "{";
  expect(new Session(storage).statistics.value).toEqual({ masks: 0, seconds: 0 });
});
