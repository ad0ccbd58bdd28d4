/**
 * When a head block is wanted for what it confirms: what came by storage and is not answered by any packet of ours, soon.
 * While something is missing the same is said again and again: over storage that is all that makes the peer send it again.
 */

const CONFIRM_MS = 50;
/** Longer than the patience of a lane that is asked for something again. */
const MISSING_MS = 100;
/** After the reader passed over batches their packets are being sent again for so long. */
const SKIP_OVER_MS = 1000;

export class HeadConfirmation {
  #next = 0;
  #saidMs = -Infinity;
  #skips = 0;
  #skippedMs = -Infinity;

  /**
   * True when a head block is to be written. `next`: changes with whatever is confirmed; `skips`: how often the reader
   * has passed over batches; `isHeld`: a frame waits behind a gap.
   */
  isWanted(nowMs: number, next: number, skips: number, isHeld: boolean): boolean {
    if (skips !== this.#skips) this.#skippedMs = nowMs;
    this.#skips = skips;
    const isMissing = isHeld || nowMs - this.#skippedMs < SKIP_OVER_MS;
    if (nowMs - this.#saidMs < (next === this.#next ? MISSING_MS : CONFIRM_MS)) return false;
    if (next === this.#next && !isMissing) return false;
    this.#next = next;
    this.#saidMs = nowMs;
    return true;
  }
}
