/** The object that is being made or changed, and its states to undo to. */

import type { Candidate } from "./decoder/model";
import type { Frame } from "./decoder/prompts";
import { History } from "./history";
import type { MaskCrop } from "./masks/crop";
import { ActiveTimer } from "./timer";
import type { MaskObject } from "./objects";
import type { Prompt } from "./types";

/** What undo goes back to. Never changed in place. */
export interface DraftState {
  /** Given since the mask was last painted or loaded: what the decoder is asked. */
  readonly prompts: readonly Prompt[];
  /** Everything that was done, for provenance. */
  readonly record: readonly Prompt[];
  /** The mask that the prompts refine, as logits of an earlier answer or of painted pixels. */
  readonly before: Float32Array | null;
  readonly candidates: readonly Candidate[];
  readonly chosen: number;
  /** Pixels, where the object was painted or loaded; null while a candidate stands for it. */
  readonly mask: MaskCrop | null;
}

export const BLANK: DraftState = {
  prompts: [], record: [], before: null, candidates: [], chosen: 0, mask: null,
};

export class Draft {
  readonly history: History<DraftState>;
  readonly timer = new ActiveTimer();
  state: DraftState = BLANK;
  changed = false;

  constructor(
    readonly id: string,
    /** The object as it was, where one is being changed. */
    readonly origin: MaskObject | null,
    public labels: string[],
    histories: Map<string, History<DraftState>>,
    /** What was encoded when its candidates were made. */
    public frame: Frame | null,
  ) {
    this.history = histories.get(id) ?? new History<DraftState>();
    histories.set(id, this.history);
    if (origin) this.state = { ...BLANK, record: origin.instance.prompts, mask: origin.mask };
    this.timer.reset(origin?.instance.seconds ?? 0);
    this.timer.touch();
  }

  get candidate(): Candidate | null {
    return this.state.mask ? null : (this.state.candidates[this.state.chosen] ?? null);
  }

  get empty(): boolean {
    return !this.candidate && !(this.state.mask && this.state.mask.w > 0);
  }

  change(state: DraftState): void {
    this.history.push(this.state);
    this.state = state;
    this.changed = true;
    this.timer.touch();
  }
}
