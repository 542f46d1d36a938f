/** How far the open image is encoded, and the prompts that wait for it. */

import { batch, signal } from "@preact/signals";
import type { Frame } from "./decoder/prompts";

/** left: no image is open, or another one is about to be. */
export type EncodingState = "left" | "encoding" | "ready" | "failed";

export class Encoding {
  readonly state = signal<EncodingState>("left");
  /** What is encoded; null until the embedding and the decoder are there. */
  readonly frame = signal<Frame | null>(null);
  private waiting: ((answerable: boolean) => void)[] = [];

  begin(): void {
    this.become("encoding", null);
  }

  done(frame: Frame): void {
    this.become("ready", frame);
  }

  fail(): void {
    this.become("failed", null);
  }

  /**
   * The image is about to be left. Prompts that are not answered by then never are, except where
   * they can be at once: what was asked of an encoded image is answered before it is left.
   */
  leaveSoon(): void {
    if (this.state.value !== "ready") this.leave();
  }

  leave(): void {
    this.become("left", null);
  }

  /**
   * Whether a prompt can be answered: at once where the image is encoded, when it is where that is
   * under way. False where it never will be.
   */
  answerable(): Promise<boolean> {
    if (this.state.value !== "encoding") return Promise.resolve(this.state.value === "ready");
    return new Promise((resolve) => this.waiting.push(resolve));
  }

  private become(state: EncodingState, frame: Frame | null): void {
    batch(() => {
      this.state.value = state;
      this.frame.value = frame;
    });
    if (state === "encoding") return;
    const settled = this.waiting;
    this.waiting = [];
    for (const resolve of settled) resolve(state === "ready");
  }
}
