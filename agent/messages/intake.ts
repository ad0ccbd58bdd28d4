/**
 * The switch thread's end of the ring by which programs' messages come: each goes into the lane of its peer and type as if
 * it had entered the interface.
 *
 * Always true: within a lane they go in the order in which they were written. A lane without room keeps only its own
 * messages waiting, and none beyond its deadline: its writer has counted it as missed by then.
 */
import type { TypeIndex } from '../base/packet-type.ts';
import { emptyRingRecord, type Ring } from '../queue/ring.ts';
import { messageRing, type MessageMemory } from './memory.ts';

const MESSAGES_PER_ROUND = 64;

/** Puts a frame into a lane; false when that is full. */
export type IntoLane = (peer: number, type: TypeIndex, frame: Uint8Array, enteredMs: number) => boolean;

interface Waiting {
  readonly frame: Uint8Array;
  readonly enteredMs: number;
  readonly untilMs: number;
}

/** Peer, type and deadline of a message in the two words of a ring's record. */
export const laneWord = (peer: number, type: TypeIndex): number => (peer << 8) | type;
const laneOf = (word: number): [peer: number, type: TypeIndex] => [word >>> 8, (word & 0xff) as TypeIndex];

export class MessageIntake {
  readonly #ring: Ring;
  readonly #record = emptyRingRecord();
  readonly #waiting = new Map<number, Waiting[]>();

  constructor(memory: MessageMemory) {
    this.#ring = messageRing(memory.toSwitch);
  }

  /** Something waits for room in its lane. */
  get isWaiting(): boolean {
    return this.#waiting.size > 0;
  }

  /** One round; true when there is more to take at once. */
  pump(nowMs: number, into: IntoLane): boolean {
    for (const [lane, queue] of this.#waiting) this.#offerAgain(lane, queue, nowMs, into);
    for (let taken = 0; this.#ring.peek(this.#record); taken++) {
      if (taken === MESSAGES_PER_ROUND) return true;
      const { offset, length, a, b, time } = this.#record;
      this.#offer(a, this.#ring.bytes.subarray(offset, offset + length), time, time + b, into);
      this.#ring.release(this.#record);
    }
    return false;
  }

  #offerAgain(lane: number, queue: Waiting[], nowMs: number, into: IntoLane): void {
    const [peer, type] = laneOf(lane);
    for (let first = queue[0]; first; first = queue[0]) {
      if (nowMs < first.untilMs && !into(peer, type, first.frame, first.enteredMs)) return;
      queue.shift();
    }
    this.#waiting.delete(lane);
  }

  #offer(lane: number, frame: Uint8Array, enteredMs: number, untilMs: number, into: IntoLane): void {
    const queue = this.#waiting.get(lane);
    const [peer, type] = laneOf(lane);
    if (!queue && into(peer, type, frame, enteredMs)) return;
    const waiting = { frame: frame.slice(), enteredMs, untilMs };
    if (queue) queue.push(waiting);
    else this.#waiting.set(lane, [waiting]);
  }
}
