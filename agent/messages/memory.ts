/**
 * The shared memory between the main thread and the threads that carry messages of programs: one ring to the switch, one
 * from each thread that delivers (the switch, and each reader), and one word that wakes the main thread.
 *
 * Always true: each ring has one producer and one consumer. Nothing here waits for the main thread: a full ring loses the
 * message, which its writer then counts as missed, and packets go on.
 */
import { Ring, ringBytes } from '../queue/ring.ts';

const RING_BYTES = 1024 * 1024;

export interface MessageMemory {
  readonly wake: SharedArrayBuffer;
  readonly toSwitch: SharedArrayBuffer;
  readonly fromSwitch: SharedArrayBuffer;
}

export const allocateMessageRing = (): SharedArrayBuffer => new SharedArrayBuffer(ringBytes(RING_BYTES));

export const allocateMessages = (): MessageMemory => ({
  wake: new SharedArrayBuffer(4),
  toSwitch: allocateMessageRing(),
  fromSwitch: allocateMessageRing(),
});

export const messageRing = (buffer: SharedArrayBuffer): Ring => new Ring(buffer, 0, RING_BYTES);

/** A delivering thread's end: frames of programs go to the main thread. */
export class MessageOutlet {
  readonly #ring: Ring;
  readonly #wake: Int32Array;

  /** `ring`: this thread's own; `wake` wakes the main thread. */
  constructor(ring: SharedArrayBuffer, wake: SharedArrayBuffer) {
    this.#ring = messageRing(ring);
    this.#wake = new Int32Array(wake);
  }

  /** `bornMs`: when it entered at the sender, by our clock. False: no room, it is lost. */
  deliver(frame: Uint8Array, bornMs: number): boolean {
    const offset = this.#ring.reserve(frame.length);
    if (offset < 0) return false;
    this.#ring.bytes.set(frame, offset);
    this.#ring.commit(frame.length, 0, 0, bornMs);
    Atomics.add(this.#wake, 0, 1);
    Atomics.notify(this.#wake, 0);
    return true;
  }
}
