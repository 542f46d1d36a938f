import { describe, expect, it } from "vitest";
import { paint } from "../src/canvas/tint";
import { namesByArea } from "../src/candidates";
import { colourOf, giveColours } from "../src/colours";
import { History } from "../src/history";
import { View } from "../src/canvas/view";
import { ACTIONS, Keys, load, nameOf, rebound, refusal, shown, store, usual } from "../src/keys";
import type { MaskCrop, Rect } from "../src/masks/crop";
import { ActiveTimer, clock, IDLE } from "../src/timer";
import { loadView, storeView } from "../src/view-settings";

const press = (key: string, held: Partial<Record<"ctrlKey" | "shiftKey" | "altKey", boolean>> = {}) => ({
  key, ctrlKey: false, metaKey: false, shiftKey: false, altKey: false, ...held,
});

describe("undo", () => {
  it("goes back and forth through the states of an object, and a new change ends redo", () => {
    const history = new History<string>();
    history.push("empty");
    history.push("one");
    expect(history.undo("two")).toBe("one");
    expect(history.undo("one")).toBe("empty");
    expect(history.undo("empty")).toBeUndefined();
    expect(history.redo("empty")).toBe("one");
    history.push("one");
    expect(history.canRedo).toBe(false);
    expect(history.undo("other")).toBe("one");
  });
});

describe("keys", () => {
  it("are named with what is held, signs without Shift", () => {
    expect(nameOf(press("Z", { ctrlKey: true, shiftKey: true }))).toBe("Ctrl+Shift+z");
    expect(nameOf(press("?", { shiftKey: true }))).toBe("?");
    expect(nameOf(press("Tab", { shiftKey: true }))).toBe("Shift+Tab");
  });

  it("no key means two things", () => {
    const all = Object.values(ACTIONS).flatMap(([, keys]) => [...keys] as string[]);
    expect(new Set(all).size).toBe(all.length);
  });

  it("can be bound anew, are kept, and damaged settings do no harm", () => {
    let kept = "";
    store({ setItem: (_, text) => (kept = text) }, rebound(usual(), "brush", "n"));
    const keys = new Keys(load({ getItem: () => kept }));
    expect(keys.actionOf(press("n"))).toBe("brush");
    expect(keys.actionOf(press("Enter"))).toBe("commit");
    expect(load({ getItem: () => "{" })).toEqual(usual());
  });
});

describe("keys that have a fixed meaning", () => {
  it("are refused with a sentence, also where settings have them", () => {
    expect(["1", "9", "Space", "Tab"].map((key) => refusal("brush", key)).every(Boolean)).toBe(true);
    expect([refusal("brush", "0"), refusal("brush", "q"), refusal("candidate", "Tab")]).toEqual(["", "", ""]);
    expect(load({ getItem: () => '{"brush": ["1", "q"]}' }).brush).toEqual(["q"]);
  });

  it("texts name letters as keyboards do", () => {
    expect(["l", "Ctrl+Shift+z", "Escape", "?"].map(shown)).toEqual(["L", "Ctrl+Shift+Z", "Escape", "?"]);
  });
});

describe("the view", () => {
  const view = new View();
  view.resize(800, 600);
  view.setImage({ width: 400, height: 300 });

  it("stays where a fitted image has all in sight", () => {
    const before = view.left;
    expect(view.reveal({ x: 0.5, y: 0.5 })).toBe(false);
    expect(view.reveal({ x: 399.5, y: 299.5 })).toBe(false);
    expect(view.left).toBe(before);
  });

  it("follows a cursor that leaves it", () => {
    view.zoom(8, 400, 300);
    expect(view.reveal({ x: 200, y: 150 })).toBe(false);
    for (const place of [{ x: 260, y: 150 }, { x: 399.5, y: 0.5 }, { x: 0.5, y: 299.5 }]) {
      expect(view.reveal(place)).toBe(true);
      const { x, y } = view.toScreen(place);
      expect(x > 12 && x < 788 && y > 12 && y < 588).toBe(true);
    }
  });
});

describe("the timer", () => {
  it("counts activity, and of a pause only its first seconds", () => {
    let now = 0;
    const timer = new ActiveTimer(() => now);
    timer.touch();
    now = 3;
    timer.touch();
    now = 100;
    expect(timer.seconds).toBe(3 + IDLE);
    timer.touch();
    now = 101;
    expect(timer.seconds).toBe(3 + IDLE + 1);
    expect(clock(timer.seconds)).toBe("0:09");
  });
});

describe("a tint", () => {
  const bits = (text: string): MaskCrop => {
    const rows = text.split("/");
    const w = rows[0]!.length;
    return { x: 2, y: 3, w, h: rows.length, bits: Uint8Array.from(rows.join(""), Number) };
  };
  const colour: [number, number, number] = [1, 2, 3];

  function painted(mask: MaskCrop, rect: Rect, rim: number): string {
    const target = new Uint32Array(rect.w * rect.h);
    paint(target, rect, mask, { colour, rim, rimColour: [9, 9, 9], striped: false });
    const shown = Array.from(target, (value) => (value === 0 ? "." : value >>> 24 === 255 ? "#" : "o"));
    return Array.from({ length: rect.h }, (_, y) => shown.slice(y * rect.w, (y + 1) * rect.w).join("")).join("/");
  }

  const mask = bits("11111/11111/11101/11111/01111");
  const own = { x: 2, y: 3, w: 5, h: 5 };

  it("has a rim of a pixel around the mask and its holes", () => {
    expect(painted(mask, own, 1)).toBe("#####/#oo##/#o#.#/#oo##/.####");
  });
  it("has none where none is asked for", () => {
    expect(painted(mask, own, 0)).toBe("ooooo/ooooo/ooo.o/ooooo/.oooo");
  });
  it("is the same in a part of it", () => {
    const all = painted(mask, own, 1).split("/");
    expect(painted(mask, { x: 4, y: 4, w: 2, h: 3 }, 1)).toBe(all.slice(1, 4).map((row) => row.slice(2, 4)).join("/"));
  });
});

describe("colours of objects", () => {
  const ids = Array.from({ length: 12 }, (_, i) => `${i}`);

  it("differ, for as many as the palette has, and are the same when the image is opened again", () => {
    giveColours(ids);
    const first = ids.map(colourOf);
    expect(new Set(first).size).toBe(ids.length);
    giveColours(["of another image"]);
    expect(colourOf("of another image")).toBe(first[0]);
    giveColours(ids);
    expect(ids.map(colourOf)).toEqual(first);
  });

  it("a new object has the next one, and keeps it", () => {
    giveColours(ids.slice(0, 3));
    const fourth = colourOf("new");
    giveColours(ids);
    expect(colourOf(ids[3]!)).toBe(fourth);
    expect(colourOf("newer")).toBe(colourOf("newer"));
    expect(ids.map(colourOf)).not.toContain(colourOf("newer"));
  });
});

it("candidates are named by their area, in whatever order they come", () => {
  expect(namesByArea([30, 500, 70])).toEqual(["sub-part", "whole", "part"]);
  expect(namesByArea([1, 2])).toEqual(["part", "whole"]);
});

it("opacity and contrast are kept, and damaged ones are the usual", () => {
  let kept = "";
  const usual = loadView({ getItem: () => null });
  storeView({ setItem: (_, text) => (kept = text) }, { opacity: 0.4, contrast: 2 });
  expect(loadView({ getItem: () => kept })).toEqual({ opacity: 0.4, contrast: 2 });
  for (const damaged of ["{", "null", '{"opacity": 7, "contrast": "2"}']) {
    expect(loadView({ getItem: () => damaged })).toEqual(usual);
  }
});
