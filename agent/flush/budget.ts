/**
 * Keeps the agent's writes below the operator's limits: two token buckets, bytes and operations, each of a tenth of a
 * second. 0 means no limit.
 *
 * Everything that is written is counted. Data waits for what it costs, but for one packet at most, which may be larger
 * than the bucket. Heartbeats need not wait for what data has spent: they may run up a debt, which data then waits for.
 * So over any five seconds no more is written than five seconds allow, and a bucket and a debt on top.
 */
const BURST_SECONDS = 0.1;
/** Data is written in pieces worth a batch, where the bucket is that large. */
const PIECE_BYTES = 65_536;
/** A super-packet in its batch: what data may owe when a heartbeat comes. */
const OWED_BYTES = 81_920;

export interface Limits {
  readonly bytesPerSecond: number;
  readonly operationsPerSecond: number;
}

class Bucket {
  readonly #rate: number;
  readonly #burst: number;
  readonly #pieceMax: number;
  readonly #debtMax: number;
  #tokens: number;
  #atMs = -Infinity;

  constructor(perSecond: number, burstMin: number, pieceMax: number, owed: number) {
    this.#rate = perSecond;
    this.#burst = Math.max(perSecond * BURST_SECONDS, burstMin);
    this.#pieceMax = pieceMax;
    this.#debtMax = this.#burst + owed;
    this.#tokens = this.#burst;
  }

  refill(nowMs: number): void {
    if (this.#atMs !== -Infinity) {
      this.#tokens = Math.min(this.#burst, this.#tokens + ((nowMs - this.#atMs) / 1000) * this.#rate);
    }
    this.#atMs = nowMs;
  }

  /** Milliseconds until data, or what is urgent, may go. */
  waitMs(isUrgent: boolean): number {
    const wanted = isUrgent ? 1 - this.#debtMax : Math.min(this.#burst, this.#pieceMax);
    if (this.#rate === 0 || this.#tokens >= wanted) return 0;
    return ((wanted - this.#tokens) / this.#rate) * 1000;
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

  constructor({ bytesPerSecond, operationsPerSecond }: Limits) {
    this.#bytes = new Bucket(bytesPerSecond, 4096, PIECE_BYTES, OWED_BYTES);
    this.#operations = new Bucket(operationsPerSecond, 1, 1, 1);
  }

  /** Milliseconds until data may be written, or, when `isUrgent`, heartbeats. */
  waitMs(nowMs: number, isUrgent = false): number {
    this.#bytes.refill(nowMs);
    this.#operations.refill(nowMs);
    return Math.max(this.#bytes.waitMs(isUrgent), this.#operations.waitMs(isUrgent));
  }

  /** A batch that is written anyway may carry data too: that costs bytes, and no operation more. */
  get mayCarryData(): boolean {
    return this.#bytes.waitMs(false) === 0;
  }

  /** How long a batch with data may become; one packet goes in any case. */
  get bytesAllowed(): number {
    return Math.max(0, this.#bytes.tokens);
  }

  spent(bytes: number, operations: number): void {
    this.#bytes.spend(bytes);
    this.#operations.spend(operations);
  }
}
