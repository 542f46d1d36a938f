/** constants.json: every number and rule of the model, written by `samkit export --decoder`. */

import type { MaskPromptRule } from "../masks/prompt";

/** Those that the page needs. */
export interface Constants {
  model: { id: string };
  /** Side of the model's square input. */
  img_size: number;
  /** Side of the low-res logits and of a mask prompt. */
  low_res: number;
  /** Logits above it are the mask. */
  mask_threshold: number;
  labels: {
    foreground: number;
    background: number;
    box_upper_left: number;
    box_lower_right: number;
    padding: number;
  };
  /** The output that answers several prompts, and those that answer a single one. */
  tokens: { single: number; multi: number[] };
  /** How a mask of one's own becomes logits. */
  mask_prompt: MaskPromptRule;
}
