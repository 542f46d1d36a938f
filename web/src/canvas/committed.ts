/** The layer of committed masks: one picture of all of them, repainted only where one changed. */

import { colourOf } from "../colours";
import { common, grown, isEmpty, type MaskCrop, type Rect, type Size } from "../masks/crop";
import type { MaskObject } from "../objects";
import { drawPart, type Painter } from "./stage";
import { paint, Surface } from "./tint";

/** Above it every second pixel (or third …) is painted: the layer is for the eye alone. */
const MOST_PIXELS = 16e6;

export class Committed {
  private readonly surface = new Surface();
  private step = 1;
  private size: Size = { width: 1, height: 1 };
  private rim = 1;

  /** fitScale: screen pixels of an image pixel when all is in sight; sets the width of rims. */
  setSize(size: Size, fitScale: number): void {
    this.size = size;
    this.step = Math.ceil(Math.sqrt((size.width * size.height) / MOST_PIXELS));
    this.rim = Math.max(1, Math.round(1.2 / (fitScale * this.step)));
    this.surface.resize(Math.ceil(size.width / this.step), Math.ceil(size.height / this.step));
  }

  /** Paints a rectangle of the image again; returns what was touched. */
  repaint(objects: readonly MaskObject[], rect: Rect): Rect {
    const { step } = this;
    const touched = grown(rect, this.rim * step + step, this.size);
    if (isEmpty(touched)) return touched;
    const target = {
      x: Math.floor(touched.x / step),
      y: Math.floor(touched.y / step),
      w: Math.ceil(touched.w / step),
      h: Math.ceil(touched.h / step),
    };
    const shown = objects
      .filter(({ instance, mask }) => !instance.hidden && !isEmpty(common(mask, touched)))
      .map(({ instance, mask }) => ({ mask: coarse(mask, step), instance }));
    this.surface.replace(target, (pixels, band) => {
      for (const { mask, instance } of shown) {
        const striped = instance.stage === "suggested";
        paint(pixels, band, mask, { colour: colourOf(instance.id), rim: this.rim, striped });
      }
    });
    return touched;
  }

  readonly painter: Painter = (context, view, part) => {
    context.imageSmoothingEnabled = view.scale * this.step < 1;
    drawPart(context, this.surface.canvas, this.step, part);
  };
}

function coarse(mask: MaskCrop, step: number): MaskCrop {
  if (step === 1) return mask;
  const x = Math.ceil(mask.x / step);
  const y = Math.ceil(mask.y / step);
  const w = Math.max(0, Math.floor((mask.x + mask.w - 1) / step) - x + 1);
  const h = Math.max(0, Math.floor((mask.y + mask.h - 1) / step) - y + 1);
  const bits = new Uint8Array(w * h);
  for (let row = 0; row < h; row++) {
    for (let column = 0; column < w; column++) {
      const from = ((y + row) * step - mask.y) * mask.w + (x + column) * step - mask.x;
      bits[row * w + column] = mask.bits[from]!;
    }
  }
  return { x, y, w, h, bits };
}
