/**
 * [ONE1] Sees to it that only the owner writes the slot. A head block of another incarnation means that a second agent
 * does: then this one stops for good. Looked at once for each beacon, and after a standstill (SIGSTOP, a suspended
 * machine) before anything is written.
 */
import { AGENT, type SharedState } from '../queue/shared-state.ts';
import type { SlotWriter } from '../volume/slot-writer.ts';

/** After this many beacons without a look nothing is written before one. */
const OWNER_BEACONS = 2;

export class OwnerWatch {
  readonly #writer: SlotWriter;
  readonly #state: SharedState;
  readonly #beaconMs: number;
  #checkedMs = -Infinity;
  /** A head block of ours is on the volume: before that another one there says nothing. */
  hasBegun = false;

  constructor(writer: SlotWriter, state: SharedState, beaconMs: number) {
    this.#writer = writer;
    this.#state = state;
    this.#beaconMs = beaconMs;
  }

  mayWrite(nowMs: number): boolean {
    if (Atomics.load(this.#state.words, AGENT.slotTaken) === 1) return false;
    return nowMs - this.#checkedMs <= OWNER_BEACONS * this.#beaconMs || this.stillOurs(nowMs);
  }

  stillOurs(nowMs: number): boolean {
    if (!this.hasBegun || nowMs - this.#checkedMs < this.#beaconMs) return true;
    this.#checkedMs = nowMs;
    if (this.#writer.ownsHead()) return true;
    Atomics.store(this.#state.words, AGENT.slotTaken, 1);
    return false;
  }
}
