/** What tests and curious people read in the console: window.__samkit. */

import type { Point } from "./masks/brush";

export interface Hooks {
  /** Milliseconds of the last run of the decoder. */
  lastDecodeMs: number | null;
  /** Milliseconds from the last pointer event whose mask was shown to the painted frame. */
  lastHoverMs: number | null;
  /** Hover masks that were painted. */
  hovers: number;
  threads: number;
  /** Milliseconds of the last frames while a brush stroke went on. */
  frames: number[];
  /** A place of the image in CSS pixels of the window, and back. */
  toWindow: (x: number, y: number) => Point;
  toImage: (x: number, y: number) => Point;
}

declare global {
  interface Window {
    __samkit: Hooks;
  }
}

const nowhere = (x: number, y: number): Point => ({ x, y });

export const hooks: Hooks = {
  lastDecodeMs: null,
  lastHoverMs: null,
  hovers: 0,
  threads: 0,
  frames: [],
  toWindow: nowhere,
  toImage: nowhere,
};
window.__samkit = hooks;
