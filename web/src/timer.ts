/** Active seconds: time counts while there is input, and a pause longer than IDLE does not. */

export const IDLE = 5;

export class ActiveTimer {
  private counted = 0;
  private last: number | null = null;

  constructor(private readonly now: () => number = () => performance.now() / 1000) {}

  /** A person did something. */
  touch(): void {
    const now = this.now();
    if (this.last !== null) this.counted += Math.min(now - this.last, IDLE);
    this.last = now;
  }

  get seconds(): number {
    const since = this.last === null ? 0 : Math.min(this.now() - this.last, IDLE);
    return this.counted + since;
  }

  /** Counts from zero, and from now on. */
  restart(): void {
    this.counted = 0;
    this.last = this.now();
  }
}

export function clock(seconds: number): string {
  const whole = Math.floor(seconds);
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
}
