/** Where the image lies on the screen: scale and shift, in CSS pixels. */

import type { Point } from "../masks/brush";
import type { Rect, Size } from "../masks/crop";

const MARGIN = 16;
const MOST = 40;
/** How far from the border a place is in sight, and how far one is brought that was not. */
const SEEN = 12; // less than MARGIN: no place of a fitted image is out of sight
const AROUND = 96;

export class View {
  scale = 1;
  left = 0;
  top = 0;
  /** Size of the screen area. */
  width = 1;
  height = 1;
  private image: Size = { width: 1, height: 1 };
  private fitted = true;

  setImage(image: Size): void {
    this.image = image;
    this.fit();
  }

  /** The screen area changed; a fitted image stays fitted, another keeps its middle. */
  resize(width: number, height: number): void {
    this.left += (width - this.width) / 2;
    this.top += (height - this.height) / 2;
    this.width = width;
    this.height = height;
    if (this.fitted) this.fit();
  }

  get fitScale(): number {
    const across = (this.width - 2 * MARGIN) / this.image.width;
    const down = (this.height - 2 * MARGIN) / this.image.height;
    return Math.max(1e-3, Math.min(across, down));
  }

  fit(): void {
    this.scale = this.fitScale;
    this.left = (this.width - this.image.width * this.scale) / 2;
    this.top = (this.height - this.image.height * this.scale) / 2;
    this.fitted = true;
  }

  /** Zooms by a factor; the place under (x, y) of the screen stays there. */
  zoom(factor: number, x: number, y: number): void {
    const least = Math.min(1, this.fitScale) / 2;
    const scale = Math.min(MOST, Math.max(least, this.scale * factor));
    this.left = x - ((x - this.left) * scale) / this.scale;
    this.top = y - ((y - this.top) * scale) / this.scale;
    this.scale = scale;
    this.fitted = false;
    this.keepInSight();
  }

  pan(dx: number, dy: number): void {
    this.left += dx;
    this.top += dy;
    this.fitted = false;
    this.keepInSight();
  }

  toImage(x: number, y: number): Point {
    return { x: (x - this.left) / this.scale, y: (y - this.top) / this.scale };
  }

  toScreen(p: Point): Point {
    return { x: p.x * this.scale + this.left, y: p.y * this.scale + this.top };
  }

  /** What of the image is in sight, in its pixels. */
  get visible(): Rect {
    const a = this.toImage(0, 0);
    const b = this.toImage(this.width, this.height);
    const x = Math.max(0, Math.floor(a.x));
    const y = Math.max(0, Math.floor(a.y));
    return {
      x,
      y,
      w: Math.max(0, Math.min(this.image.width, Math.ceil(b.x)) - x),
      h: Math.max(0, Math.min(this.image.height, Math.ceil(b.y)) - y),
    };
  }

  /** Pans to a place that is not in sight, so that one sees what is around it; says whether it had to. */
  reveal(p: Point): boolean {
    const at = this.toScreen(p);
    const shift = (v: number, length: number): number => {
      if (v >= SEEN && v <= length - SEEN) return 0;
      const inside = Math.min(AROUND, length / 2);
      return v < SEEN ? inside - v : length - inside - v;
    };
    const [dx, dy] = [shift(at.x, this.width), shift(at.y, this.height)];
    if (dx === 0 && dy === 0) return false;
    this.pan(dx, dy);
    return true;
  }

  private keepInSight(): void {
    const [w, h] = [this.image.width * this.scale, this.image.height * this.scale];
    const keep = 48;
    this.left = Math.min(this.width - keep, Math.max(keep - w, this.left));
    this.top = Math.min(this.height - keep, Math.max(keep - h, this.top));
  }
}
