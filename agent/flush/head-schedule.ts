/**
 * When the head block is due: as a beacon, and sooner when somebody waits for it: readers that poll the heads only and
 * have not seen the newest position, or the switch with words for a peer.
 */

/** While batches flow the head block follows at this distance, for readers that poll the heads only. */
export const HEAD_INTERVAL_MS = 20;
/** Heads before their time may take this share of a limited storage. */
const LIMITED_SHARE = 5;

export interface HeadLimits {
  readonly bytesPerSecond: number;
  readonly operationsPerSecond: number;
}

/** How far apart heads are that are no beacons. */
export function headIntervalMs({ bytesPerSecond, operationsPerSecond }: HeadLimits, blockBytes: number): number {
  const apart = (cost: number, perSecond: number): number => (perSecond === 0 ? 0 : (1000 * cost) / perSecond);
  const slowest = Math.max(apart(blockBytes, bytesPerSecond), apart(1, operationsPerSecond));
  return Math.max(HEAD_INTERVAL_MS, LIMITED_SHARE * slowest);
}

export class HeadSchedule {
  readonly #beaconMs: number;
  /** How far apart heads are that are no beacons. */
  intervalMs: number;
  #writtenMs = -Infinity;
  #dueMs = -Infinity;
  #position = -1;

  constructor(beaconMs: number, intervalMs: number) {
    this.#beaconMs = beaconMs;
    this.intervalMs = intervalMs;
  }

  /** A head block has been written once at least. */
  get hasBegun(): boolean {
    return this.#writtenMs !== -Infinity;
  }

  /** It is time for a beacon. */
  isDue(nowMs: number): boolean {
    return nowMs >= this.#dueMs;
  }

  /** The head block names this position. */
  names(position: number): boolean {
    return this.#position === position;
  }

  /** How long until the head block is to be written; 0 or less: now. */
  waitMs(nowMs: number, isWanted: boolean): number {
    const due = isWanted ? Math.min(this.#dueMs, this.#writtenMs + this.intervalMs) : this.#dueMs;
    return due - nowMs;
  }

  written(nowMs: number, position: number): void {
    this.#position = position;
    this.#writtenMs = nowMs;
    this.#dueMs = nowMs + this.#beaconMs;
  }
}
