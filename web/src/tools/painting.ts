/** Tools that set pixels: brush, eraser, polygon. */

import { distance } from "../canvas/stage";
import { inTurn, painted, realise } from "../editor";
import type { Draft } from "../draft";
import { hooks } from "../hooks";
import { Painting, snapped, type Point } from "../masks/brush";
import { around, EMPTY, isEmpty, subtract, union, type Rect } from "../masks/crop";
import { fillPolygon } from "../masks/polygon";
import { setDrawing, setStroke, stage } from "../scene";
import { brushSize, corners } from "../state";
import type { Press, Tool } from "./tool";

/** A stroke that is under way. It may begin before the object's pixels are there. */
class Stroke {
  private painting: Painting | null = null;
  private draft: Draft | null = null;
  private last: Point | null = null;
  private waiting: Point[] = [];
  private ended = false;
  private frameAt = 0;
  readonly ready: Promise<void>;

  constructor(
    private readonly value: 0 | 1,
    private readonly size: number,
    private readonly tool: "brush" | "eraser",
  ) {
    hooks.frames = [];
    this.ready = inTurn(async () => {
      this.draft = await realise();
      this.painting = new Painting(this.draft.state.mask ?? EMPTY, stage.size);
      setStroke(this.painting.current);
      this.paint([]);
      if (this.ended) this.finish();
    });
  }

  paint(places: readonly Point[]): void {
    this.waiting.push(...places);
    if (!this.painting) return;
    let touched: Rect = EMPTY;
    for (const place of this.waiting) {
      const at = snapped(place, this.size);
      touched = around(touched, this.painting.line(this.last ?? at, at, this.size, this.value));
      this.last = at;
    }
    this.waiting = [];
    if (isEmpty(touched)) return;
    setStroke(this.painting.current, touched);
    this.countFrame();
  }

  end(): void {
    this.ended = true;
    if (this.painting) this.finish();
  }

  drop(): void {
    this.ended = true;
    this.painting = null;
    this.waiting = [];
    setStroke(null);
  }

  private finish(): void {
    const { draft, painting } = this;
    if (!draft || !painting) return;
    this.painting = null;
    painted(draft, painting.current, this.tool);
    setStroke(null, EMPTY); // the pixels that are shown stay as they are
  }

  private countFrame(): void {
    requestAnimationFrame((now) => {
      if (this.frameAt && now > this.frameAt) hooks.frames.push(now - this.frameAt);
      this.frameAt = now;
    });
  }
}

class BrushTool implements Tool {
  private stroke: Stroke | null = null;

  constructor(private readonly tool: "brush" | "eraser") {}

  down(at: Point, { alt, background }: Press): void {
    const sets = (this.tool === "brush") !== (alt || background);
    this.stroke = new Stroke(sets ? 1 : 0, brushSize.value, sets ? "brush" : "eraser");
    this.stroke.paint([at]);
  }

  drag(places: readonly Point[]): void {
    this.stroke?.paint(places);
  }

  up(): void {
    this.stroke?.end();
    this.stroke = null;
  }

  line(from: Point, at: Point, press: Press): void {
    this.down(from, press);
    this.drag([at]);
    this.up();
  }

  cancel(): boolean {
    const had = this.stroke !== null;
    this.stroke?.drop();
    this.stroke = null;
    return had;
  }
}

export const brushTool: Tool = new BrushTool("brush");
export const eraserTool: Tool = new BrushTool("eraser");

class PolygonTool implements Tool {
  private points: readonly Point[] = [];
  private erases = false;

  down(at: Point, { alt, background }: Press): void {
    const [first] = this.points;
    if (!first) this.erases = alt || background;
    else if (this.points.length > 2 && distance(first, at) * stage.view.scale < 8) {
      this.finish();
      return;
    }
    this.become([...this.points, at]);
  }

  hover(at: Point): void {
    if (this.points.length) setDrawing({ kind: "line", points: [...this.points, at] });
  }

  finish(): boolean {
    const { points, erases } = this;
    if (points.length < 3) return false;
    this.become([]);
    const shape = fillPolygon(points, stage.size);
    void inTurn(async () => {
      const draft = await realise();
      const mask = draft.state.mask ?? EMPTY;
      painted(draft, erases ? subtract(mask, shape) : union(mask, shape), "polygon");
    });
    return true;
  }

  /** Takes back the last corner. */
  undo(): boolean {
    const had = this.points.length > 0;
    if (had) this.become(this.points.slice(0, -1));
    return had;
  }

  cancel(): boolean {
    const had = this.points.length > 0;
    this.become([]);
    return had;
  }

  private become(points: readonly Point[]): void {
    this.points = points;
    corners.value = points.length;
    setDrawing(points.length ? { kind: "line", points } : null);
  }
}

export const polygonTool: Tool = new PolygonTool();
