/** Tools that ask the decoder: points, a box, a scribble. */

import { distance } from "../canvas/stage";
import { hoverAt, stopHover } from "../decoding";
import { prompt } from "../editor";
import type { Point } from "../masks/brush";
import { setDrawing, stage } from "../scene";
import type { Prompt } from "../types";
import type { Press, Tool } from "./tool";

const onImage = ({ x, y }: Point): boolean =>
  x >= 0 && y >= 0 && x < stage.size.width && y < stage.size.height;

const clamped = ({ x, y }: Point): Point => ({
  x: Math.min(Math.max(x, 0), stage.size.width - 1),
  y: Math.min(Math.max(y, 0), stage.size.height - 1),
});

const pointPrompt = ({ x, y }: Point, background: boolean): Prompt => ({
  kind: "point",
  x: Math.round(x * 10) / 10,
  y: Math.round(y * 10) / 10,
  label: background ? 0 : 1,
});

export const pointTool: Tool = {
  hover(at, { time }) {
    if (onImage(at)) hoverAt(at, time);
    else stopHover();
  },
  down(at, { background }) {
    if (onImage(at)) void prompt(pointPrompt(at, background));
  },
};

class BoxTool implements Tool {
  private start: Point | null = null;

  down(at: Point): void {
    this.start ??= clamped(at); // or the other corner is already there
  }

  drag(places: readonly Point[]): void {
    const last = places.at(-1);
    if (this.start && last) setDrawing({ kind: "box", points: [this.start, clamped(last)] });
  }

  up(at: Point): void {
    const { start } = this;
    if (!start) return;
    const end = clamped(at);
    const long = distance(start, end) * stage.view.scale > 4;
    if (!long) return; // a click: the other corner comes with the next one
    this.cancel();
    const round = (v: number): number => Math.round(v * 10) / 10;
    void prompt({
      kind: "box",
      box: [
        round(Math.min(start.x, end.x)),
        round(Math.min(start.y, end.y)),
        round(Math.max(start.x, end.x)),
        round(Math.max(start.y, end.y)),
      ],
    });
  }

  hover(at: Point): void {
    if (this.start) setDrawing({ kind: "box", points: [this.start, clamped(at)] });
  }

  cancel(): boolean {
    const had = this.start !== null;
    this.start = null;
    setDrawing(null);
    return had;
  }
}

export const boxTool: Tool = new BoxTool();

const SCRIBBLE_POINTS = 8;

class ScribbleTool implements Tool {
  private places: Point[] = [];

  down(at: Point): void {
    this.places = [at];
  }

  drag(places: readonly Point[]): void {
    this.places.push(...places);
    setDrawing({ kind: "line", points: this.places });
  }

  up(_at: Point, { background }: { background: boolean }): void {
    const places = spread(this.places.filter(onImage), stage.view.scale);
    this.cancel();
    this.give(places, background);
  }

  private give(places: readonly Point[], background: boolean): void {
    if (places.length) void prompt(...places.map((p) => pointPrompt(p, background)));
  }

  line(from: Point, at: Point, { background }: Press): void {
    const [, ...places] = spread([from, at].map(clamped), stage.view.scale);
    this.give(places.length ? places : [clamped(at)], background);
  }

  cancel(): boolean {
    const had = this.places.length > 0;
    this.places = [];
    setDrawing(null);
    return had;
  }
}

/** Few places of a line, evenly spread: what the model knows as several clicks. */
function spread(line: readonly Point[], scale: number): Point[] {
  const first = line[0];
  if (!first) return [];
  const along = [0];
  for (let i = 1; i < line.length; i++) along.push(along[i - 1]! + distance(line[i - 1]!, line[i]!));
  const total = along.at(-1)!;
  const count = Math.min(SCRIBBLE_POINTS, 1 + Math.floor((total * scale) / 24));
  return Array.from({ length: count }, (_, k) => {
    const wanted = count === 1 ? total / 2 : (k * total) / (count - 1);
    const i = along.findIndex((d) => d >= wanted - 1e-9);
    const [a, b] = [line[i - 1] ?? first, line[i] ?? first];
    const t = i > 0 ? (wanted - along[i - 1]!) / (along[i]! - along[i - 1]!) : 0;
    return { x: a.x + t * (b.x - a.x), y: a.y + t * (b.y - a.y) };
  });
}

export const scribbleTool: Tool = new ScribbleTool();
