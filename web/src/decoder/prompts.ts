/** A person's prompts as the decoder's inputs. */

import type { Rect } from "../masks/crop";
import type { Prompt } from "../types";
import type { Constants } from "./constants";

/** What was encoded, and how its pixels become those of the model's input. */
export interface Frame {
  /** The part of the image, in its pixels. */
  readonly crop: Rect;
  /** Width and height inside the model's square input. */
  readonly input: { readonly width: number; readonly height: number };
}

export interface PointInputs {
  readonly coords: Float32Array;
  readonly labels: Float32Array;
}

/** Points and boxes in pixels of the model's input. Where there are points and no box, one padding
 * point comes last, as in the predictor; without any there is none. */
export function pointInputs(
  prompts: readonly Prompt[],
  frame: Frame,
  meaning: Constants["labels"],
): PointInputs {
  const coords: number[] = [];
  const labels: number[] = [];
  const scaleX = frame.input.width / frame.crop.w;
  const scaleY = frame.input.height / frame.crop.h;
  const add = (x: number, y: number, label: number): void => {
    coords.push((x - frame.crop.x) * scaleX, (y - frame.crop.y) * scaleY);
    labels.push(label);
  };
  for (const prompt of prompts) {
    if (prompt.kind !== "point") continue;
    add(prompt.x, prompt.y, prompt.label ? meaning.foreground : meaning.background);
  }
  const box = prompts.findLast((prompt) => prompt.kind === "box");
  if (box?.kind === "box") {
    add(box.box[0], box.box[1], meaning.box_upper_left);
    add(box.box[2], box.box[3], meaning.box_lower_right);
  } else if (labels.length) {
    coords.push(0, 0);
    labels.push(meaning.padding);
  }
  return { coords: Float32Array.from(coords), labels: Float32Array.from(labels) };
}

/** Whether prompts are ambiguous: one alone, a mask counting as one (SAM, section 3). */
export function ambiguous(prompts: readonly Prompt[], hasMask: boolean): boolean {
  const points = prompts.filter(({ kind }) => kind === "point").length;
  const boxes = prompts.some(({ kind }) => kind === "box") ? 1 : 0;
  return points + boxes + (hasMask ? 1 : 0) <= 1;
}
