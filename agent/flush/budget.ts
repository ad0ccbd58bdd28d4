/**
 * Keeps the agent's load on the storage below the operator's limits: two token buckets, bytes and operations, each of a
 * tenth of a second, so that a burst cannot exceed the limit over any noticeable time. 0 means no limit.
 */
const BURST_SECONDS = 0.1;

class Bucket {
  readonly #rate: number;
  readonly #burst: number;
  #tokens: number;
  #atMs = -Infinity;

  constructor(perSecond: number, burstMin: number) {
    this.#rate = perSecond;
    this.#burst = Math.max(perSecond * BURST_SECONDS, burstMin);
    this.#tokens = this.#burst;
  }

  refill(nowMs: number): void {
    if (this.#atMs !== -Infinity) {
      this.#tokens = Math.min(this.#burst, this.#tokens + ((nowMs - this.#atMs) / 1000) * this.#rate);
    }
    this.#atMs = nowMs;
  }

  /** Milliseconds until there is at least one token. */
  waitMs(): number {
    if (this.#rate === 0 || this.#tokens >= 1) return 0;
    return ((1 - this.#tokens) / this.#rate) * 1000;
  }

  get tokens(): number {
    return this.#rate === 0 ? Infinity : this.#tokens;
  }

  /** May go below zero: the debt is waited for. */
  spend(count: number): void {
    if (this.#rate > 0) this.#tokens -= count;
  }
}

export class Budget {
  readonly #bytes: Bucket;
  readonly #operations: Bucket;

  constructor(limits: { readonly bytesPerSecond: number; readonly operationsPerSecond: number }) {
    this.#bytes = new Bucket(limits.bytesPerSecond, 4096);
    this.#operations = new Bucket(limits.operationsPerSecond, 1);
  }

  /** Milliseconds until the next write is allowed. */
  waitMs(nowMs: number): number {
    this.#bytes.refill(nowMs);
    this.#operations.refill(nowMs);
    return Math.max(this.#bytes.waitMs(), this.#operations.waitMs());
  }

  /** The size of the next write; at least what one super-packet needs, which the bucket then owes. */
  bytesAllowed(): number {
    return Math.max(131_072, this.#bytes.tokens);
  }

  spent(bytes: number, operations: number): void {
    this.#bytes.spend(bytes);
    this.#operations.spend(operations);
  }
}
