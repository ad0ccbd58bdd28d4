/** Tells that something stands still: it has work, and has not got on with it for some time. A call that hangs tells no errno. */
export const HUNG_MS = 1000;
/** What a hang is called where an errno is wanted. */
export const ETIMEDOUT = 110;

export class StandWatch {
  #progress = -1;
  #movedMs: number;

  constructor(nowMs: number) {
    this.#movedMs = nowMs;
  }

  /** `progress`: any number that changes while it gets on; `hasWork`: something is left to do. */
  look(progress: number, hasWork: boolean, nowMs: number): void {
    if (progress !== this.#progress || !hasWork) this.#movedMs = nowMs;
    this.#progress = progress;
  }

  /** How long it has stood still, in ms; 0 while that may still be ordinary. */
  hungMs(nowMs: number): number {
    const ms = nowMs - this.#movedMs;
    return ms > HUNG_MS ? ms : 0;
  }
}
