/** The object that is being made or changed, and its states to undo to. */

import type { Candidate } from "./decoder/model";
import type { Frame } from "./decoder/prompts";
import { History } from "./history";
import type { MaskCrop } from "./masks/crop";
import type { MaskObject } from "./objects";
import { session } from "./session";
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
  /** What was encoded when the candidates were made. */
  readonly frame: Frame | null;
  /** Pixels, where the object was painted or loaded; null while a candidate stands for it. */
  readonly mask: MaskCrop | null;
  /** Predicted IoU of `mask`, where it is as the decoder gave it. */
  readonly iou: number | null;
}

export const BLANK: DraftState = {
  prompts: [], record: [], before: null,
  candidates: [], chosen: 0, frame: null, mask: null, iou: null,
};

export class Draft {
  readonly history: History<DraftState>;
  state: DraftState = BLANK;
  changed = false;
  /** Seconds that it had before it came to hand, and how many of them the session's figures hold. */
  private earlier: number;
  private told: number;
  private readonly begun: number;

  constructor(
    readonly id: string,
    /** The object as it was, where one is being changed. */
    public origin: MaskObject | null,
    public labels: string[],
    histories: Map<string, History<DraftState>>,
  ) {
    this.history = histories.get(id) ?? new History<DraftState>();
    histories.set(id, this.history);
    if (origin) this.state = { ...BLANK, record: origin.instance.prompts, mask: origin.mask };
    this.earlier = this.told = origin?.instance.seconds ?? 0;
    this.begun = origin ? session.timer.seconds : 0;
  }

  /** Goes on with what was kept of it. */
  resume(state: DraftState, seconds: number): void {
    this.state = state;
    this.changed = true;
    this.earlier = seconds;
  }

  get candidate(): Candidate | null {
    return this.state.mask ? null : (this.state.candidates[this.state.chosen] ?? null);
  }

  get empty(): boolean {
    return !this.candidate && !(this.state.mask && this.state.mask.w > 0);
  }

  /** The prompts that a person gave; the box around pixels that they refine is none of them. */
  get given(): readonly Prompt[] {
    return this.state.prompts.filter((prompt) => this.state.record.includes(prompt));
  }

  change(state: DraftState): void {
    this.history.push(this.state);
    this.state = state;
    this.changed = true;
  }

  /** Active seconds of the object: those that it had, and all since the last object ended. */
  get seconds(): number {
    return this.earlier + session.timer.seconds;
  }

  /** Those since it came to hand; of a new object all since the last one ended. */
  get recentSeconds(): number {
    return Math.max(0, session.timer.seconds - this.begun);
  }

  /** It leaves the hand, as a mask that is new or accepted (1), or as none (0). */
  end(masks: number): void {
    const { seconds, told } = this;
    this.earlier = this.told = seconds;
    session.ended(masks, seconds - told);
  }
}
