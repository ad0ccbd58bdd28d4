/**
 * The receiving side of one lane in the switch thread: holds frames that came before their turn until the gap closes,
 * and gives the gap up when it will not.
 *
 * A gap is given up when the sender's floor has passed it, when the oldest held frame has waited too long, or when too
 * many bytes are held. A frame that came by the network waits longer where it is to come by storage too: storage keeps
 * order, so until it has brought a frame from behind the gap it may still bring the gap.
 *
 * [AGE1] A frame's age counts until it is delivered: one that has become too old while it was held is given up, and with
 * it all before it, which are older still.
 */
import { seqAfter, seqDistance, seqNext } from '../base/serial.ts';
import type { Gate } from './gate.ts';

const HELD_BYTES_MAX = 8 * 1024 * 1024;

interface Held {
  readonly frame: Uint8Array;
  readonly arrivedMs: number;
  /** When it entered at the sender, by our clock; earlier rather than later. */
  readonly bornMs: number;
  /** Storage has brought it too: what is missing before it does not come that way any more. */
  cameByStorage: boolean;
}

export class Resequencer {
  readonly gate: Gate;
  readonly #maxAgeMs: number;
  readonly #deliver: (frame: Uint8Array, bornMs: number) => void;
  readonly #held = new Map<number, Held>();
  #heldBytes = 0;
  duplicates = 0;
  delivered = 0;
  bytes = 0;
  tooOld = 0;
  /** Numbers that were given up: lost, as far as this side can tell. */
  lost = 0;

  constructor(gate: Gate, maxAgeMs: number, deliver: (frame: Uint8Array, bornMs: number) => void) {
    this.gate = gate;
    this.#maxAgeMs = maxAgeMs;
    this.#deliver = deliver;
  }

  get heldCount(): number {
    return this.#held.size;
  }

  /** A frame came that was born at `bornMs`. True when it closed a gap or was delivered. */
  offer(sequence: number, frame: Uint8Array, bornMs: number, nowMs: number, isByStorage = false): boolean {
    if (nowMs - bornMs > this.#maxAgeMs) {
      if (this.gate.isPast(sequence)) {
        this.duplicates++;
        return false;
      }
      this.tooOld++;
      this.lost += this.gate.skipTo(sequence);
      this.gate.skipTo(seqNext(sequence));
      this.drain(nowMs);
      return false;
    }
    const verdict = this.#offerGate(sequence, frame, bornMs);
    if (verdict === 'duplicate') {
      this.duplicates++;
      return false;
    }
    if (verdict === 'ahead') {
      this.#hold(sequence, frame, bornMs, nowMs, isByStorage);
      return false;
    }
    this.drain(nowMs);
    return true;
  }

  #offerGate(sequence: number, frame: Uint8Array, bornMs: number): ReturnType<Gate['offer']> {
    return this.gate.offer(sequence, () => {
      this.delivered++;
      this.bytes += frame.length;
      this.#deliver(frame, bornMs);
    });
  }

  #hold(sequence: number, frame: Uint8Array, bornMs: number, nowMs: number, cameByStorage: boolean): void {
    const held = this.#held.get(sequence);
    if (held) {
      this.duplicates++;
      held.cameByStorage ||= cameByStorage;
      return;
    }
    this.#held.set(sequence, { frame: frame.slice(), arrivedMs: nowMs, bornMs, cameByStorage });
    this.#heldBytes += frame.length;
    this.gate.held = this.#held.size;
    // The other thread may have moved the gate on between our look and the hold.
    this.drain(nowMs);
    while (this.#heldBytes > HELD_BYTES_MAX) this.#giveUpTo(this.#lowestHeld(), nowMs);
  }

  /** Delivers what is in turn; drops what is past. */
  drain(nowMs: number): void {
    if (this.#held.size === 0) return;
    for (;;) {
      const next = this.gate.next;
      const held = this.#held.get(next);
      if (!held) break;
      if (nowMs - held.bornMs > this.#maxAgeMs) {
        this.tooOld++;
        this.gate.skipTo(seqNext(next));
        this.#forget(next, held);
      } else if (this.#offerGate(next, held.frame, held.bornMs) === 'delivered') {
        this.#forget(next, held);
      }
    }
    for (const [sequence, held] of this.#held) if (this.gate.isPast(sequence)) this.#forget(sequence, held);
    this.gate.held = this.#held.size;
  }

  #forget(sequence: number, held: Held): void {
    if (this.#held.delete(sequence)) this.#heldBytes -= held.frame.length;
  }

  #lowestHeld(): number {
    let lowest: number | null = null;
    for (const sequence of this.#held.keys()) if (lowest === null || seqAfter(lowest, sequence)) lowest = sequence;
    return lowest ?? this.gate.next;
  }

  #giveUpTo(sequence: number, nowMs: number): void {
    this.lost += this.gate.skipTo(sequence);
    this.drain(nowMs);
  }

  /** The sender will send nothing below `floor` again: what is held below it is delivered, its gaps are given up. */
  floor(floor: number, nowMs: number): void {
    while (seqAfter(floor, this.gate.next)) {
      const lowest = this.#held.size > 0 ? this.#lowestHeld() : floor;
      this.#giveUpTo(seqAfter(floor, lowest) ? lowest : floor, nowMs);
    }
  }

  /** Gives up gaps that have lasted too long. `storageMs`: how long a gap may last that storage may still close. */
  expire(nowMs: number, patienceMs: number, storageMs: number = patienceMs): void {
    while (this.#held.size > 0) {
      let oldest = Infinity;
      let isPassed = false;
      for (const { arrivedMs, cameByStorage } of this.#held.values()) {
        oldest = Math.min(oldest, arrivedMs);
        isPassed ||= cameByStorage;
      }
      if (nowMs - oldest < (isPassed ? patienceMs : storageMs)) return;
      this.#giveUpTo(this.#lowestHeld(), nowMs);
    }
  }

  /** What is missing below the highest frame held, at most `limit` numbers. */
  missing(limit: number): number[] {
    if (this.#held.size === 0) return [];
    const numbers: number[] = [];
    let highest = this.gate.next;
    for (const sequence of this.#held.keys()) if (seqAfter(sequence, highest)) highest = sequence;
    const start = this.gate.next;
    for (let i = 0; i < seqDistance(highest, start) && numbers.length < limit; i++) {
      const sequence = (start + i) >>> 0;
      if (!this.#held.has(sequence)) numbers.push(sequence);
    }
    return numbers;
  }

  /** A new incarnation of the peer begins at `sequence`: nothing of the old one is delivered any more. */
  reset(sequence: number): void {
    this.#held.clear();
    this.#heldBytes = 0;
    this.gate.reset(sequence);
  }
}
