/** Undo and redo of one object: states before and after each stroke or click, never across objects. */

const MOST = 200;

export class History<T> {
  private readonly past: T[] = [];
  private readonly future: T[] = [];

  /** Remembers the state before a change. */
  push(before: T): void {
    this.past.push(before);
    if (this.past.length > MOST) this.past.shift();
    this.future.length = 0;
  }

  /** The state before the last change, or undefined where there is none. */
  undo(now: T): T | undefined {
    const before = this.past.pop();
    if (before !== undefined) this.future.push(now);
    return before;
  }

  redo(now: T): T | undefined {
    const after = this.future.pop();
    if (after !== undefined) this.past.push(now);
    return after;
  }

  get canUndo(): boolean {
    return this.past.length > 0;
  }

  get canRedo(): boolean {
    return this.future.length > 0;
  }
}
