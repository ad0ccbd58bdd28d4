/**
 * Bounds how often one thing is told: what comes in a storm would push everything else out of the log. Pure.
 *
 * Always true: the newest word on a thing is told in the end, so that the log never stops at a state that no longer holds;
 * and whoever reads it learns how many were left out before.
 */

/** So many of one thing at once, and then one more for each refill. */
export const BURST = 30;
export const REFILL_MS = 2000;

interface Bucket<T> {
  left: number;
  atMs: number;
  /** The newest that was not told; null: all were. */
  waiting: T | null;
  untold: number;
}

export interface Released<T> {
  readonly event: T;
  /** How many before it were not told. */
  readonly untold: number;
}

export class EventLimit<T> {
  readonly #buckets = new Map<string, Bucket<T>>();

  /** True when it may be told now; otherwise it waits, in the place of one that waited. */
  offer(thing: string, event: T, nowMs: number): boolean {
    const bucket = this.#filled(thing, nowMs);
    if (bucket.waiting === null && bucket.left >= 1) {
      bucket.left--;
      return true;
    }
    if (bucket.waiting !== null) bucket.untold++;
    bucket.waiting = event;
    return false;
  }

  /** What waited and may be told now. `isLast`: all of it, whatever the limit says. */
  due(nowMs: number, isLast = false): Released<T>[] {
    const released: Released<T>[] = [];
    for (const thing of this.#buckets.keys()) {
      const bucket = this.#filled(thing, nowMs);
      const { waiting: event, untold } = bucket;
      if (event === null || (bucket.left < 1 && !isLast)) continue;
      released.push({ event, untold });
      Object.assign(bucket, { left: bucket.left - 1, waiting: null, untold: 0 });
    }
    return released;
  }

  get isHolding(): boolean {
    return [...this.#buckets.values()].some(({ waiting }) => waiting !== null);
  }

  #filled(thing: string, nowMs: number): Bucket<T> {
    const bucket = this.#buckets.get(thing) ?? { left: BURST, atMs: nowMs, waiting: null, untold: 0 };
    bucket.left = Math.min(BURST, bucket.left + (nowMs - bucket.atMs) / REFILL_MS);
    bucket.atMs = nowMs;
    this.#buckets.set(thing, bucket);
    return bucket;
  }
}
