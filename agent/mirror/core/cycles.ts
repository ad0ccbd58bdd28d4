/**
 * Cycles at the source: which marks belong together, when one is closed, and what all active targets have of it (CY2, CY3,
 * CY10). A cycle closes after `cycleMs`, when it is large, or at once when somebody's answer waits for that and everything
 * admitted so far is durable: a lone client is not made to wait for the clock.
 */
export interface Cycle {
  readonly number: number;
  readonly firstMark: number;
  readonly lastMark: number;
}

export interface CycleLimits {
  readonly cycleMs: number;
  readonly bytes: number;
}

export class Cycles {
  readonly #limits: CycleLimits;
  #number: number;
  #firstMark: number;
  #lastMark: number;
  #bytes = 0;
  #openedMs = 0;
  /** Closed, and not committed yet; ascending. */
  readonly #closed: Cycle[] = [];

  constructor(limits: CycleLimits, next: { readonly cycle: number; readonly mark: number }) {
    this.#limits = limits;
    this.#number = next.cycle;
    this.#firstMark = next.mark;
    this.#lastMark = next.mark - 1;
  }

  /** The number that an entry admitted now bears. */
  get open(): number {
    return this.#number;
  }

  /** Last mark of the newest closed cycle. */
  get closedMark(): number {
    return this.#firstMark - 1;
  }

  get uncommitted(): readonly Cycle[] {
    return this.#closed;
  }

  /** Nothing was admitted since the last one was closed. */
  get isEmpty(): boolean {
    return this.#lastMark < this.#firstMark;
  }

  admit(mark: number, bytes: number, nowMs: number): void {
    if (this.isEmpty) this.#openedMs = nowMs;
    this.#lastMark = mark;
    this.#bytes += bytes;
  }

  /**
   * Whether it has as much as a cycle may have, or would have with `more` bytes; `room`: what the smallest target can hold of
   * one. What is larger than that by itself is a cycle of its own.
   */
  isLarge(room: number, more = 0): boolean {
    return !this.isEmpty && this.#bytes + more >= Math.min(this.#limits.bytes, room);
  }

  /** Whether to close the open cycle; `awaited`: somebody's answer hangs on it; `durable`: marks in the journal. */
  isDue(nowMs: number, awaited: boolean, durable: number): boolean {
    if (this.isEmpty) return false;
    const isOld = nowMs - this.#openedMs >= this.#limits.cycleMs;
    const isDone = awaited && durable >= this.#lastMark;
    return isOld || isDone || this.isLarge(Infinity);
  }

  /** Closes it; null when nothing is in it. */
  close(): Cycle | null {
    if (this.isEmpty) return null;
    const cycle = { number: this.#number, firstMark: this.#firstMark, lastMark: this.#lastMark };
    this.#closed.push(cycle);
    this.#number++;
    this.#firstMark = this.#lastMark + 1;
    this.#bytes = 0;
    return cycle;
  }

  /** `sealed`: the newest cycle that every active target has sealed. Gives the newest one to commit, null for nothing new. */
  commit(sealed: number, durable: number): Cycle | null {
    let newest: Cycle | null = null;
    for (let cycle = this.#closed[0]; cycle; cycle = this.#closed[0]) {
      if (cycle.number > sealed || cycle.lastMark > durable) break;
      newest = cycle;
      this.#closed.shift();
    }
    return newest;
  }
}
