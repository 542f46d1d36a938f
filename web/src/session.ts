/** What was made in this tab, and how long it took; the browser keeps the figures for a reload. */

import { signal } from "@preact/signals";
import { ActiveTimer } from "./timer";

export interface Statistics {
  readonly masks: number;
  readonly seconds: number;
}

const STORED = "samkit-session";

export class Session {
  readonly statistics = signal<Statistics>({ masks: 0, seconds: 0 });

  constructor(
    private readonly storage: Pick<Storage, "getItem" | "setItem">,
    /** Active seconds since the last object ended or the image was opened. */
    readonly timer = new ActiveTimer(),
  ) {
    try {
      const stored = JSON.parse(storage.getItem(STORED) ?? "{}") as Partial<Statistics>;
      this.statistics.value = { masks: stored.masks ?? 0, seconds: stored.seconds ?? 0 };
    } catch {
      // Damaged figures are begun anew.
    }
  }

  /** Adds to the figures. */
  count(masks: number, seconds: number): void {
    const { statistics, storage } = this;
    const { masks: made, seconds: spent } = statistics.value;
    statistics.value = { masks: made + masks, seconds: spent + seconds };
    storage.setItem(STORED, JSON.stringify(statistics.value));
  }

  /** An object ended, kept (1 mask) or not: from now on the next one's seconds count. */
  ended(masks: number, seconds = this.timer.seconds): void {
    this.count(masks, seconds);
    this.timer.restart();
  }
}

/** That of this tab. */
export const session = new Session(sessionStorage);
