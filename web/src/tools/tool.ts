/** What every tool is told; places are in pixels of the image. */

import type { Point } from "../masks/brush";

export interface Press {
  /** Right button or Shift: the background. */
  readonly background: boolean;
  readonly alt: boolean;
  /** When the event happened, as performance.now() counts. */
  readonly time: number;
}

export interface Tool {
  /** The pointer moves without being pressed. */
  hover?(at: Point, press: Press): void;
  down(at: Point, press: Press): void;
  /** It moves while pressed; all places since the last call. */
  drag?(places: readonly Point[], press: Press): void;
  up?(at: Point, press: Press): void;
  /** By keys: a line to `at` from where the tool was used last; a second press draws it. */
  line?(from: Point, at: Point, press: Press): void;
  /** Undo or Backspace: true where the tool had something of its own to take back. */
  undo?(): boolean;
  /** Enter: true where the tool had something to finish. */
  finish?(): boolean;
  /** Esc, or another tool was taken: true where there was something to drop. */
  cancel?(): boolean;
}
