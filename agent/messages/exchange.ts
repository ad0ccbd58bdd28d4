/**
 * The main thread's end of the rings of `memory.ts`: hands programs' messages to the switch and takes in what the
 * delivering threads have put there. Lives as long as its agent.
 */
import type { TypeIndex } from '../base/packet-type.ts';
import { seqAfter } from '../base/serial.ts';
import { emptyRingRecord, type Ring } from '../queue/ring.ts';
import { laneWord } from './intake.ts';
import { messageRing, type MessageMemory } from './memory.ts';

/** A notification that is lost costs this much, and no more. */
const WAIT_MS_MAX = 1000;

export type OnArrival = (frame: Uint8Array, bornMs: number) => void;

export class MessageExchange {
  readonly #toSwitch: Ring;
  readonly #memory: MessageMemory;
  #arrivals: readonly Ring[];
  readonly #wake: Int32Array;
  readonly #bell: () => void;
  readonly #looked = emptyRingRecord();
  readonly #record = emptyRingRecord();
  #onArrival: OnArrival = () => {};
  #closed = false;

  /** `bell` wakes the switch thread. */
  constructor(memory: MessageMemory, bell: () => void) {
    this.#toSwitch = messageRing(memory.toSwitch);
    this.#memory = memory;
    this.#arrivals = [messageRing(memory.fromSwitch)];
    this.#wake = new Int32Array(memory.words);
    this.#bell = bell;
    void this.#watch();
  }

  /** A frame for the lane of a peer and type; false while the ring is full. */
  send(peer: number, type: TypeIndex, frame: Uint8Array, enteredMs: number, deadlineMs: number): boolean {
    if (this.#closed) return false;
    const offset = this.#toSwitch.reserve(frame.length);
    if (offset < 0) return false;
    this.#toSwitch.bytes.set(frame, offset);
    this.#toSwitch.commit(frame.length, laneWord(peer, type), deadlineMs, enteredMs);
    this.#bell();
    return true;
  }

  /** The rings of the readers that there are now; what a reader that is gone had left is too old to matter. */
  hear(readers: readonly SharedArrayBuffer[]): void {
    this.#arrivals = [this.#memory.fromSwitch, ...readers].map(messageRing);
  }

  /** From now on `onArrival` gets what arrives, in order; the frame is valid during the call only. */
  listen(onArrival: OnArrival): void {
    this.#onArrival = onArrival;
  }

  async #watch(): Promise<void> {
    while (!this.#closed) {
      // Read before the rings are looked at: what comes after the look has changed the word, and the wait ends at once.
      const seen = Atomics.load(this.#wake, 0);
      this.#takeAll();
      const wait = Atomics.waitAsync(this.#wake, 0, seen, WAIT_MS_MAX);
      // Without a turn of the event loop a flood of arrivals would keep the sockets from being served.
      await (wait.async ? wait.value : new Promise((resolve) => setImmediate(resolve)));
    }
  }

  #takeAll(): void {
    const record = this.#record;
    for (let ring = this.#first(); ring && !this.#closed; ring = this.#first()) {
      try {
        this.#onArrival(ring.bytes.subarray(record.offset, record.offset + record.length), record.time);
      } finally {
        ring.release(record);
      }
    }
  }

  /**
   * The ring with the frame that was delivered first, and that frame in `#record`. Looked for until two looks agree: what was
   * delivered before the one found may have come into a ring that had been looked at already.
   */
  #first(): Ring | null {
    let found = this.#lowest();
    for (let before = null; found !== before;) {
      before = found;
      found = this.#lowest();
    }
    return found;
  }

  #lowest(): Ring | null {
    const looked = this.#looked;
    let lowest: Ring | null = null;
    for (const ring of this.#arrivals) {
      if (!ring.peek(looked) || (lowest && !seqAfter(this.#record.a, looked.a))) continue;
      lowest = ring;
      Object.assign(this.#record, looked);
    }
    return lowest;
  }

  close(): void {
    this.#closed = true;
    Atomics.add(this.#wake, 0, 1);
    Atomics.notify(this.#wake, 0);
  }
}
