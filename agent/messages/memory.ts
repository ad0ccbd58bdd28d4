/**
 * The shared memory between the main thread and the threads that carry messages of programs: one ring to the switch, one
 * from each thread that delivers (the switch, and each reader), one word that wakes the main thread, and one that numbers
 * what is delivered.
 *
 * Always true: each ring has one producer and one consumer. Nothing here waits for the main thread: a full ring loses the
 * message, which its writer then counts as missed, and packets go on. A lane's frames come out of several rings in the order
 * in which they were delivered: under the lane's lock each gets its number and is in its ring before the next one has its.
 */
import { Ring, ringBytes } from '../queue/ring.ts';

const RING_BYTES = 1024 * 1024;
const WAKE = 0;
const ORDER = 1;

export interface MessageMemory {
  /** The word that wakes, and the one that numbers. */
  readonly words: SharedArrayBuffer;
  readonly toSwitch: SharedArrayBuffer;
  readonly fromSwitch: SharedArrayBuffer;
}

export const allocateMessageRing = (): SharedArrayBuffer => new SharedArrayBuffer(ringBytes(RING_BYTES));

export const allocateMessages = (): MessageMemory => ({
  words: new SharedArrayBuffer(8),
  toSwitch: allocateMessageRing(),
  fromSwitch: allocateMessageRing(),
});

export const messageRing = (buffer: SharedArrayBuffer): Ring => new Ring(buffer, 0, RING_BYTES);

/** A delivering thread's end: frames of programs go to the main thread. */
export class MessageOutlet {
  readonly #ring: Ring;
  readonly #words: Int32Array;

  /** `ring`: this thread's own; `words`: of the memory. */
  constructor(ring: SharedArrayBuffer, words: SharedArrayBuffer) {
    this.#ring = messageRing(ring);
    this.#words = new Int32Array(words);
  }

  /** Called under the lane's lock. `bornMs`: when it entered at the sender, by our clock. False: no room, it is lost. */
  deliver(frame: Uint8Array, bornMs: number): boolean {
    const offset = this.#ring.reserve(frame.length);
    if (offset < 0) return false;
    this.#ring.bytes.set(frame, offset);
    this.#ring.commit(frame.length, Atomics.add(this.#words, ORDER, 1), 0, bornMs);
    Atomics.add(this.#words, WAKE, 1);
    Atomics.notify(this.#words, WAKE);
    return true;
  }
}
