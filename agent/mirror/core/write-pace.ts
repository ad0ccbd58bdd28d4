/**
 * How fast clients may write while a target holds the ring (MI10): freely, until three quarters are kept for it; from then on
 * each 10 ms may take a 64th of what is left. So writes slow down to what the target takes before the ring is full, and a client
 * sees a slower disk, not one that stands still.
 */
const TICK_MS = 10;
const SHARE = 64;

export class WritePace {
  #freeAtMs = 0;

  /** Bytes of the ring, and of them those that no target keeps. */
  isFree(roomBytes: number, ringBytes: number, nowMs: number): boolean {
    return roomBytes > ringBytes / 4 || this.#freeAtMs <= nowMs + TICK_MS;
  }

  /** So much was put into the ring. */
  took(bytes: number, roomBytes: number, ringBytes: number, nowMs: number): void {
    if (roomBytes > ringBytes / 4) return;
    const ms = (bytes * SHARE * TICK_MS) / Math.max(1, roomBytes);
    this.#freeAtMs = Math.max(this.#freeAtMs, nowMs) + Math.min(ms, 1000);
  }
}
