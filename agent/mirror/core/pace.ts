/** A bound on bytes a second: what went out beyond it is a debt, and nothing more goes out until that is paid off. */
export class Pace {
  readonly #bytesPerSecond: number;
  /** Until when what went out so far keeps the link busy at that rate. */
  #busyUntilMs = 0;

  /** `bytesPerSecond` 0: no bound. */
  constructor(bytesPerSecond: number) {
    this.#bytesPerSecond = bytesPerSecond;
  }

  sent(bytes: number, nowMs: number): void {
    if (this.#bytesPerSecond === 0) return;
    // What was not used is not saved up: a pause is followed by no burst.
    this.#busyUntilMs = Math.max(this.#busyUntilMs, nowMs) + (1000 * bytes) / this.#bytesPerSecond;
  }

  /** ms until more may go out; 0: now. */
  waitMs(nowMs: number): number {
    return Math.max(0, this.#busyUntilMs - nowMs);
  }
}
