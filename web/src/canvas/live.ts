/** The layer of the object that is being made: its mask, its prompts, and what a click would give. */

import { ACTIVE, css, type Rgb } from "../colours";
import type { Point } from "../masks/brush";
import { edges } from "../masks/contour";
import { isEmpty, type MaskCrop, type Rect, type Size } from "../masks/crop";
import type { Prompt } from "../types";
import { drawPart, outlined, type Painter } from "./stage";
import { paint, Surface } from "./tint";
import type { View } from "./view";

/** A mask at preview size and the part of the image that the preview covers. */
export interface Shown {
  readonly mask: MaskCrop;
  readonly preview: Size;
  readonly crop: Rect;
}

export interface LiveScene {
  /** The answer to the prompts, while it is not pixels of its own. */
  predicted: Shown | null;
  /** Whether `predicted` is only what a click would give. */
  tentative: boolean;
  /** Pixels of the object, once they were painted or loaded. */
  painted: MaskCrop | null;
  prompts: readonly Prompt[];
  /** A box or a polygon that is being drawn. */
  drawing: { kind: "box" | "line"; points: readonly Point[] } | null;
}

/** A pixel of a preview that is larger than this on the screen shows its corners. */
const LARGE_PIXEL = 2.5;
const WHITE: Rgb = [255, 255, 255];

export class Live {
  private readonly predicted = new Surface();
  private readonly painted = new Surface();
  private scene: LiveScene = {
    predicted: null, tentative: false, painted: null, prompts: [], drawing: null,
  };
  /** What the surface of the prediction holds. */
  private drawn: { mask: MaskCrop; rim: number } | null = null;
  private outline: Float32Array | null = null;

  setSize(size: Size): void {
    this.size = size;
    this.painted.resize(1, 1);
  }
  private size: Size = { width: 1, height: 1 };

  /** Takes the scene; `changed` is where its painted pixels changed (all where undefined). */
  set(scene: LiveScene, changed?: Rect): void {
    if (scene.predicted !== this.scene.predicted) this.drawn = this.outline = null;
    const anew = changed ? !isEmpty(changed) : scene.painted !== this.scene.painted;
    if (anew) this.setPainted(scene.painted, changed);
    this.scene = scene;
  }

  readonly painter: Painter = (context, view, part) => {
    const { predicted, painted, tentative, prompts, drawing } = this.scene;
    if (painted && !isEmpty(painted)) {
      context.imageSmoothingEnabled = view.scale < 1;
      drawPart(context, this.painted.canvas, 1, part);
    } else if (predicted && !isEmpty(predicted.mask)) {
      this.drawPredicted(context, view, predicted, tentative);
    }
    for (const prompt of prompts) drawPrompt(context, view, prompt);
    if (drawing) drawDrawing(context, view, drawing);
  };

  /** A line along the pixels is thin at any zoom, but costs milliseconds; a rim of pixels does not. */
  private tintPredicted(mask: MaskCrop, rim: number): void {
    if (this.drawn?.mask === mask && this.drawn.rim === rim) return;
    this.drawn = { mask, rim };
    this.predicted.resize(mask.w, mask.h);
    const inPlace = { ...mask, x: 0, y: 0 };
    const tint = { colour: ACTIVE, rim, rimColour: WHITE, striped: false };
    this.predicted.replace(inPlace, (pixels, band) => paint(pixels, band, inPlace, tint));
  }

  private setPainted(mask: MaskCrop | null, changed?: Rect): void {
    if (!mask) return this.painted.clear();
    const { canvas } = this.painted;
    const { width, height } = this.size;
    let rect = changed;
    if (canvas.width !== width || canvas.height !== height) {
      this.painted.resize(width, height);
      rect = undefined;
    }
    if (!rect) this.painted.clear();
    const tint = { colour: ACTIVE, rim: 0, striped: false };
    this.painted.replace(rect ?? mask, (pixels, band) => paint(pixels, band, mask, tint));
  }

  private drawPredicted(
    context: CanvasRenderingContext2D,
    view: View,
    { mask, preview, crop }: Shown,
    tentative: boolean,
  ): void {
    const scale = crop.w / preview.width;
    const rim = tentative && view.scale * scale < LARGE_PIXEL;
    this.tintPredicted(mask, rim ? 1 : 0);
    context.save();
    context.translate(crop.x, crop.y);
    context.scale(scale, crop.h / preview.height);
    context.globalAlpha = tentative ? 0.75 : 1;
    context.imageSmoothingEnabled = view.scale * scale < 1;
    context.drawImage(this.predicted.canvas, mask.x, mask.y);
    context.globalAlpha = 1;
    if (!rim) {
      context.beginPath();
      const outline = (this.outline ??= edges(mask));
      for (let i = 0; i < outline.length; i += 4) {
        context.moveTo(outline[i]!, outline[i + 1]!);
        context.lineTo(outline[i + 2]!, outline[i + 3]!);
      }
      context.lineWidth = (tentative ? 1 : 1.5) / (view.scale * scale);
      context.strokeStyle = tentative ? "rgb(255 255 255 / .85)" : "white";
      context.stroke();
    }
    context.restore();
  }
}

const FOREGROUND: Rgb = [46, 160, 67];
const BACKGROUND: Rgb = [215, 58, 73];

function drawPrompt(context: CanvasRenderingContext2D, view: View, prompt: Prompt): void {
  if (prompt.kind === "box") {
    const [x0, y0, x1, y1] = prompt.box;
    outlined(context, view, "white", 1.5, () => context.rect(x0, y0, x1 - x0, y1 - y0));
  } else if (prompt.kind === "point") {
    const unit = 1 / view.scale;
    const { x, y, label } = prompt;
    context.beginPath();
    context.arc(x, y, 6 * unit, 0, 2 * Math.PI);
    context.fillStyle = css(label ? FOREGROUND : BACKGROUND);
    context.fill();
    context.lineWidth = 1.5 * unit;
    context.strokeStyle = "white";
    context.stroke();
    context.beginPath(); // a plus or a minus: not by colour alone
    context.moveTo(x - 3 * unit, y);
    context.lineTo(x + 3 * unit, y);
    if (label) {
      context.moveTo(x, y - 3 * unit);
      context.lineTo(x, y + 3 * unit);
    }
    context.stroke();
  }
}

function drawDrawing(
  context: CanvasRenderingContext2D,
  view: View,
  { kind, points }: NonNullable<LiveScene["drawing"]>,
): void {
  const [first, ...rest] = points;
  if (!first) return;
  outlined(context, view, "white", 1.5, () => {
    if (kind === "box") {
      const last = rest.at(-1) ?? first;
      context.rect(first.x, first.y, last.x - first.x, last.y - first.y);
      return;
    }
    context.moveTo(first.x, first.y);
    for (const p of rest) context.lineTo(p.x, p.y);
  });
  if (kind === "line") {
    const r = 3 / view.scale;
    context.fillStyle = "white";
    for (const p of points) context.fillRect(p.x - r, p.y - r, 2 * r, 2 * r);
  }
}
