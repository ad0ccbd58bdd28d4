/**
 * The delivery gate of one lane: the next sequence number to go into the interface, in shared memory, because frames
 * come by two threads (tunnel and volume reader). Whoever holds the lock checks, delivers and moves on; so a frame is
 * delivered once and in order, whichever way it came first.
 */
import { seqDistance, seqNext } from '../base/serial.ts';

const LOCK = 0;
const NEXT = 1;
const HELD = 2;
export const GATE_WORDS = 3;

/** Spins before the thread sleeps for the lock; the section is a few microseconds long. */
const SPINS = 2000;

export type GateVerdict =
  /** It was the next one, and `deliver` was called. */
  | 'delivered'
  /** It has been delivered, or given up, before. */
  | 'duplicate'
  /** Something before it is missing. */
  | 'ahead';

const always = (): boolean => true;

export class Gate {
  readonly #words: Int32Array;
  readonly #base: number;

  constructor(words: Int32Array, base: number) {
    this.#words = words;
    this.#base = base;
  }

  #lock(): void {
    const at = this.#base + LOCK;
    for (let spin = 0; Atomics.compareExchange(this.#words, at, 0, 1) !== 0; spin++) {
      if (spin > SPINS) Atomics.wait(this.#words, at, 1, 1);
    }
  }

  #unlock(): void {
    Atomics.store(this.#words, this.#base + LOCK, 0);
    Atomics.notify(this.#words, this.#base + LOCK, 1);
  }

  get next(): number {
    return Atomics.load(this.#words, this.#base + NEXT) >>> 0;
  }

  /** How many frames the switch thread holds for this lane: a reader that closes a gap must wake it. */
  get held(): number {
    return Atomics.load(this.#words, this.#base + HELD);
  }

  set held(count: number) {
    Atomics.store(this.#words, this.#base + HELD, count);
  }

  /** A cheap look without the lock: certainly delivered or given up already. */
  isPast(sequence: number): boolean {
    return seqDistance(sequence, this.next) < 0;
  }

  /** Delivers `sequence` if it is its turn. `isCurrent`, asked under the lock: false makes it a thing of the past. */
  offer(sequence: number, deliver: () => void, isCurrent: () => boolean = always): GateVerdict {
    this.#lock();
    try {
      if (!isCurrent()) return 'duplicate';
      const distance = seqDistance(sequence, this.next);
      if (distance < 0) return 'duplicate';
      if (distance > 0) return 'ahead';
      Atomics.store(this.#words, this.#base + NEXT, seqNext(sequence) | 0);
      deliver();
      return 'delivered';
    } finally {
      this.#unlock();
    }
  }

  /** Gives up everything before `sequence`; answers how many numbers were skipped (0 when it is past). */
  skipTo(sequence: number, isCurrent: () => boolean = always): number {
    this.#lock();
    try {
      if (!isCurrent()) return 0;
      const distance = seqDistance(sequence, this.next);
      if (distance <= 0) return 0;
      Atomics.store(this.#words, this.#base + NEXT, sequence | 0);
      return distance;
    } finally {
      this.#unlock();
    }
  }

  /** The next number, when nobody is delivering any more; the caller has made it a thing of the past before. */
  close(): number {
    this.#lock();
    const { next } = this;
    this.#unlock();
    return next;
  }

  /** A new incarnation of the peer: its lane begins at `sequence`. */
  reset(sequence: number): void {
    this.#lock();
    Atomics.store(this.#words, this.#base + NEXT, sequence | 0);
    Atomics.store(this.#words, this.#base + HELD, 0);
    this.#unlock();
  }

  /** The supervisor's: a thread that died inside the section would keep it locked for ever. */
  breakLock(): void {
    this.#unlock();
  }
}
