/**
 * [ONE1] Sees to it that only the owner writes the slot. A head block of another incarnation means that a second agent
 * does: then this one stops for good. Looked at before each head block that is written, or one that writes them more often
 * than the other would write over the only sign of it; and after a standstill (SIGSTOP, a suspended machine) before
 * anything is written.
 */
import { AGENT, AGENT_TIME, type SharedState } from '../queue/shared-state.ts';
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
    if (!this.hasBegun || nowMs === this.#checkedMs) return true;
    this.#checkedMs = nowMs;
    const { words, times } = this.#state;
    // Part of the write: one that hangs here is storage that hangs, and no thread that does.
    times[AGENT_TIME.writeBeganMs] = nowMs;
    Atomics.store(words, AGENT.writing, 1);
    const isOurs = this.#writer.ownsHead();
    Atomics.store(words, AGENT.writing, 0);
    if (isOurs) return true;
    Atomics.store(words, AGENT.slotTaken, 1);
    return false;
  }
}
