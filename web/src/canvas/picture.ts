/** The image layer: the picture, and smaller copies of it so that zooming out is quick and smooth. */

import { drawPart, type Painter } from "./stage";

interface Level {
  readonly source: ImageBitmap | HTMLCanvasElement;
  readonly step: number;
}

export class Picture {
  private levels: Level[] = [];

  async set(bitmap: ImageBitmap | null): Promise<void> {
    for (const { source } of this.levels) if (source instanceof ImageBitmap) source.close();
    this.levels = [];
    if (!bitmap) return;
    this.levels.push({ source: bitmap, step: 1 });
    let last: ImageBitmap | HTMLCanvasElement = bitmap;
    for (let step = 2; bitmap.width / step > 512 || bitmap.height / step > 512; step *= 2) {
      const canvas: HTMLCanvasElement = document.createElement("canvas");
      canvas.width = Math.max(1, Math.round(bitmap.width / step));
      canvas.height = Math.max(1, Math.round(bitmap.height / step));
      const context = canvas.getContext("2d")!;
      context.imageSmoothingQuality = "medium";
      context.drawImage(last, 0, 0, canvas.width, canvas.height);
      this.levels.push({ source: canvas, step });
      last = canvas;
    }
  }

  /** The picture itself, to cut parts from. */
  get bitmap(): ImageBitmap | null {
    return (this.levels[0]?.source as ImageBitmap | undefined) ?? null;
  }

  readonly painter: Painter = (context, view, part) => {
    const scale = view.scale * devicePixelRatio;
    const level = this.levels.findLast(({ step }) => step * scale <= 1.01) ?? this.levels[0];
    if (!level) return;
    context.imageSmoothingEnabled = scale < 3;
    drawPart(context, level.source, level.step, part);
  };
}
