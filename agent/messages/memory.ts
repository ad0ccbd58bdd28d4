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
  /** From the switch, then from each receive volume's reader. */
  readonly arrivals: readonly SharedArrayBuffer[];
}

export function allocateMessages(receiveCount: number): MessageMemory {
  const ring = () => new SharedArrayBuffer(ringBytes(RING_BYTES));
  return {
    wake: new SharedArrayBuffer(4),
    toSwitch: ring(),
    arrivals: Array.from({ length: 1 + receiveCount }, ring),
  };
}

export const messageRing = (buffer: SharedArrayBuffer): Ring => new Ring(buffer, 0, RING_BYTES);

/** Which ring of `arrivals` is whose. */
export const SWITCH_ARRIVALS = 0;
export const readerArrivals = (receiveIndex: number): number => 1 + receiveIndex;

/** A delivering thread's end: frames of programs go to the main thread. */
export class MessageOutlet {
  readonly #ring: Ring;
  readonly #wake: Int32Array;

  constructor(memory: MessageMemory, index: number) {
    const buffer = memory.arrivals[index];
    if (!buffer) throw new Error('no such delivering thread');
    this.#ring = messageRing(buffer);
    this.#wake = new Int32Array(memory.wake);
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
