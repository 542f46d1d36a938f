/** The image layer: the picture, and smaller copies of it so that zooming out is quick and smooth. */

import type { Rect, Size } from "../masks/crop";
import { drawPart, type Painter } from "./stage";

interface Level {
  readonly source: ImageBitmap | HTMLCanvasElement;
  readonly step: number;
}

export class Picture {
  private levels: Level[] = [];

  /** size: of the image, of which the bitmap may be a smaller picture. */
  set(bitmap: ImageBitmap, size: Size): void {
    this.bitmap?.close();
    const first = size.width / bitmap.width;
    this.levels = [{ source: bitmap, step: first }];
    let last: ImageBitmap | HTMLCanvasElement = bitmap;
    for (let n = 2; bitmap.width / n > 512 || bitmap.height / n > 512; n *= 2) {
      const canvas: HTMLCanvasElement = document.createElement("canvas");
      canvas.width = Math.max(1, Math.round(bitmap.width / n));
      canvas.height = Math.max(1, Math.round(bitmap.height / n));
      const context = canvas.getContext("2d")!;
      context.imageSmoothingQuality = "medium";
      context.drawImage(last, 0, 0, canvas.width, canvas.height);
      this.levels.push({ source: canvas, step: n * first });
      last = canvas;
    }
  }

  /** Draws a rectangle of the image into another context, at (0, 0) and its own size. */
  draw(context: CanvasRenderingContext2D, { x, y, w, h }: Rect): void {
    const level = this.levels[0];
    if (!level) return;
    const { source, step } = level;
    context.drawImage(source, x / step, y / step, w / step, h / step, 0, 0, w, h);
  }

  private get bitmap(): ImageBitmap | undefined {
    return this.levels[0]?.source as ImageBitmap | undefined;
  }

  readonly painter: Painter = (context, view, part) => {
    const scale = view.scale * devicePixelRatio;
    const level = this.levels.findLast(({ step }) => step * scale <= 1.01) ?? this.levels[0];
    if (!level) return;
    context.imageSmoothingEnabled = scale < 3;
    drawPart(context, level.source, level.step, part);
  };
}
