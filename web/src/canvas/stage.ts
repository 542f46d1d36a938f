/**
 * The layers: image, committed masks, the object that is being made, the cursor. Each is a canvas
 * of the screen area; in a frame only what changed is drawn, and of it only the changed rectangle.
 */

import type { Point } from "../masks/brush";
import { around, grown, isEmpty, type Rect, type Size } from "../masks/crop";
import { View } from "./view";

export const LAYERS = ["image", "masks", "live", "cursor"] as const;
export type Layer = (typeof LAYERS)[number];

/** Draws a layer; the context is in pixels of the image and clipped to what changed. */
export type Painter = (context: CanvasRenderingContext2D, view: View, part: Rect) => void;

const EVERYTHING = "everything";

export class Stage {
  readonly view = new View();
  /** Called after each frame in which something was drawn. */
  onFrame: ((layers: ReadonlySet<Layer>) => void) | null = null;
  onView: (() => void) | null = null;
  size: Size = { width: 1, height: 1 };

  private element: HTMLElement | null = null;
  private readonly canvases = new Map<Layer, HTMLCanvasElement>();
  private readonly painters = new Map<Layer, Painter>();
  private readonly empty = new Set<Layer>();
  private readonly dirty = new Map<Layer, Rect | typeof EVERYTHING>();
  private ratio = 1;
  private scheduled = false;

  /** Puts the layers into an element and follows its size. */
  mount(element: HTMLElement): () => void {
    this.element = element;
    for (const layer of LAYERS) {
      const canvas = document.createElement("canvas");
      canvas.className = `layer layer-${layer}`;
      canvas.setAttribute("aria-hidden", "true");
      element.append(canvas);
      this.canvases.set(layer, canvas);
      this.setEmpty(layer, this.empty.has(layer));
    }
    const observer = new ResizeObserver(() => this.resize(element));
    observer.observe(element);
    this.resize(element);
    return () => observer.disconnect();
  }

  /** Gives the keyboard back to the image, so that the next key uses a tool and no button. */
  focus(): void {
    this.element?.focus();
  }

  paintWith(layer: Layer, painter: Painter): void {
    this.painters.set(layer, painter);
  }

  /** Leaves a layer with nothing in it out of the frames, where each layer costs its time. */
  setEmpty(layer: Layer, empty: boolean): void {
    if (empty) this.empty.add(layer);
    else this.empty.delete(layer);
    const canvas = this.canvases.get(layer);
    if (canvas) canvas.style.visibility = empty ? "hidden" : "visible";
  }

  canvas(layer: Layer): HTMLCanvasElement | undefined {
    return this.canvases.get(layer);
  }

  setSize(size: Size): void {
    this.size = size;
    this.view.setImage(size);
    this.viewChanged();
  }

  /** Draws again what lies in a rectangle of the image, or all of a layer. */
  invalidate(layer: Layer, rect?: Rect): void {
    const before = this.dirty.get(layer);
    if (rect && isEmpty(rect)) return;
    if (!rect || before === EVERYTHING) this.dirty.set(layer, EVERYTHING);
    else this.dirty.set(layer, before ? around(before, rect) : rect);
    if (this.scheduled) return;
    this.scheduled = true;
    requestAnimationFrame(() => this.frame());
  }

  viewChanged(): void {
    for (const layer of LAYERS) this.invalidate(layer);
    this.onView?.();
  }

  private resize(element: HTMLElement): void {
    const { clientWidth: width, clientHeight: height } = element;
    this.ratio = window.devicePixelRatio || 1;
    for (const canvas of this.canvases.values()) {
      canvas.width = Math.round(width * this.ratio);
      canvas.height = Math.round(height * this.ratio);
    }
    this.view.resize(width, height);
    this.viewChanged();
  }

  private frame(): void {
    this.scheduled = false;
    const drawn = new Set(this.dirty.keys());
    for (const [layer, what] of this.dirty) this.draw(layer, what);
    this.dirty.clear();
    this.onFrame?.(drawn);
  }

  private draw(layer: Layer, what: Rect | typeof EVERYTHING): void {
    const canvas = this.canvases.get(layer);
    const context = canvas?.getContext("2d");
    if (!canvas || !context) return;
    const { view, ratio } = this;
    const scale = view.scale * ratio;
    const [left, top] = [view.left * ratio, view.top * ratio];
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.save();
    let part = view.visible;
    if (what === EVERYTHING) context.clearRect(0, 0, canvas.width, canvas.height);
    else {
      const margin = 2 + 3 / scale;
      part = grown(what, margin, this.size);
      const x = Math.floor(part.x * scale + left);
      const y = Math.floor(part.y * scale + top);
      const w = Math.ceil((part.x + part.w) * scale + left) - x;
      const h = Math.ceil((part.y + part.h) * scale + top) - y;
      context.beginPath();
      context.rect(x, y, w, h);
      context.clip();
      context.clearRect(x, y, w, h);
    }
    context.setTransform(scale, 0, 0, scale, left, top);
    this.painters.get(layer)?.(context, view, part);
    context.restore();
  }
}

/** Draws a canvas whose pixels are `step` pixels of the image, no more of it than `part`. */
export function drawPart(
  context: CanvasRenderingContext2D,
  source: HTMLCanvasElement | ImageBitmap,
  step: number,
  part: Rect,
): void {
  const x = Math.max(0, Math.floor(part.x / step) - 1);
  const y = Math.max(0, Math.floor(part.y / step) - 1);
  const w = Math.min(source.width, Math.ceil((part.x + part.w) / step) + 1) - x;
  const h = Math.min(source.height, Math.ceil((part.y + part.h) / step) + 1) - y;
  if (w <= 0 || h <= 0) return;
  context.drawImage(source, x, y, w, h, x * step, y * step, w * step, h * step);
}

/** Strokes with a thin dark line around a bright one: visible on any picture. */
export function outlined(
  context: CanvasRenderingContext2D,
  view: View,
  colour: string,
  width: number,
  path: () => void,
): void {
  context.beginPath();
  path();
  context.lineWidth = (width + 2) / view.scale;
  context.strokeStyle = "rgb(0 0 0 / .55)";
  context.stroke();
  context.lineWidth = width / view.scale;
  context.strokeStyle = colour;
  context.stroke();
}

export const distance = (a: Point, b: Point): number => Math.hypot(a.x - b.x, a.y - b.y);
