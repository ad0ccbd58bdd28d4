/** One direction of a simulated connection, and what a link's faults make of it. */
import { FRAME, FRAME_KIND } from '../../agent/mirror/wire/frame.ts';
import type { World } from '../sim/world.ts';
import { HIGH_WATER_BYTES, type SimSocket } from './socket.ts';

export interface LinkFaults {
  /** From the source to the target, and back. */
  up: [boolean, boolean];
  delayMs: number;
  jitterMs: number;
  bytesPerMs: number;
  /** Of a thousand transfers so many change places with the one before, or come twice. */
  reorderPerMille: number;
  duplicatePerMille: number;
  /** Of a thousand frames so many have a bit turned. */
  flipPerMille: number;
}

export const GOOD_LINK: Readonly<LinkFaults> = {
  up: [true, true],
  delayMs: 0.2,
  jitterMs: 0.1,
  bytesPerMs: 100_000,
  reorderPerMille: 0,
  duplicatePerMille: 0,
  flipPerMille: 0,
};

/** Looks at, changes, or swallows (null) a frame on its way; `by`: the site that dialled. */
export type Tap = (link: string, isToTarget: boolean, frame: Uint8Array, by: string) => Uint8Array | null;

/** More than this is not taken from a sender whose receiver does not read. */
const UNREAD_BYTES_MAX = 256 * 1024;

/** What befalls one connection of a link alone. */
export interface Own {
  /** Beside the link's. */
  delayMs: number;
  isSilent: boolean;
}

/** What of the network its connections need. */
export interface Wires {
  readonly world: World;
  faults(link: string): LinkFaults;
  record(link: string, by: string, frame: Uint8Array): void;
  readonly tap: Tap;
  /** A transfer has come to a target: on which connection. */
  arrived(link: string, by: string, frame: Uint8Array, connection: Own): void;
}

export const viewOf = (frame: Uint8Array): DataView => new DataView(frame.buffer, frame.byteOffset, frame.length);

/** One direction of a connection: frames in a queue, sent one behind the other, in order of arrival at the other end. */
export class Way {
  readonly #network: Wires;
  readonly #link: string;
  readonly #by: string;
  readonly #from: SimSocket;
  readonly #to: SimSocket;
  readonly #index: 0 | 1;
  readonly #own: Own;
  other: Way | null = null;
  #partial: Uint8Array[] = [];
  #partialBytes = 0;
  #queue: Uint8Array[] = [];
  queuedBytes = 0;
  #needsDrain = false;
  #isSending = false;
  /** On the wire, then waiting for a receiver that does not read. */
  #arrived: Uint8Array[] = [];
  #unreadBytes = 0;
  #lastMs = 0;
  /** The sender will say nothing more: `end`, or it is gone. */
  #isFinished = false;
  #isOver = false;

  constructor(network: Wires, link: string, from: SimSocket, to: SimSocket, index: 0 | 1, own: Own) {
    this.#own = own;
    this.#network = network;
    this.#link = link;
    this.#from = from;
    this.#to = to;
    this.#index = index;
    this.#by = (index === 0 ? from : to).machine.name;
  }

  push(bytes: Uint8Array): void {
    if (bytes.length === 0) return;
    this.#partial.push(bytes);
    this.#partialBytes += bytes.length;
    this.queuedBytes += bytes.length;
    if (this.queuedBytes >= HIGH_WATER_BYTES) this.#needsDrain = true;
    const [head] = this.#partial;
    if (!head || head.length < FRAME.bytes) throw new Error('a frame begins with its header');
    const bodyBytes = viewOf(head).getUint32(FRAME.at.bodyBytes, true);
    if (this.#partialBytes < FRAME.bytes + bodyBytes) return;
    const whole = this.#partial.length === 1 ? head : Buffer.concat(this.#partial);
    this.queuedBytes -= this.#partialBytes;
    this.#partial = [];
    this.#partialBytes = 0;
    this.#enqueue(whole);
  }

  /** Between two frames. */
  inject(frame: Uint8Array): void {
    this.queuedBytes += frame.length;
    this.#queue.push(frame);
    this.wake();
  }

  #enqueue(whole: Uint8Array): void {
    const { prng } = this.#network.world;
    const faults = this.#network.faults(this.#link);
    let frame = this.#network.tap(this.#link, this.#index === 0, whole, this.#by);
    if (!frame) return;
    const isEntries = frame[FRAME.at.kind] === FRAME_KIND.entries;
    if (this.#index === 0) this.#network.record(this.#link, this.#by, frame);
    if (prng.below(1000) < faults.flipPerMille) frame = flipped(frame, prng.below(frame.length * 8));
    const before = this.#queue.at(-1);
    const maySwap = isEntries && before?.[FRAME.at.kind] === FRAME_KIND.entries;
    if (maySwap && prng.below(1000) < faults.reorderPerMille) this.#queue.splice(-1, 0, frame);
    else this.#queue.push(frame);
    this.queuedBytes += frame.length;
    if (isEntries && prng.below(1000) < faults.duplicatePerMille) this.inject(frame);
    this.wake();
  }

  finish(): void {
    this.#isFinished = true;
    this.wake();
  }

  /** The sender is gone: what is on the wire still arrives, or does not. */
  abandon(): void {
    this.#queue = [];
    this.queuedBytes = 0;
    this.#isFinished = true;
    this.wake();
  }

  /** Some of what is under way arrives, up to the middle of a frame. */
  breakOff(): void {
    const { prng } = this.#network.world;
    const next = this.#arrived.shift() ?? this.#queue.shift();
    const isReading = !this.#to.isDestroyed && !this.#to.isPaused && this.#isUp;
    if (next && isReading && prng.chance(1, 2)) {
      const part = next.subarray(0, prng.below(next.length));
      this.#to.machine.run(() => void (part.length > 0 && this.#to.emit('data', part)));
    }
    this.#isOver = true;
  }

  wake(): void {
    this.#send();
    this.#deliver();
  }

  #send(): void {
    if (this.#isSending || this.#isOver || this.#unreadBytes > UNREAD_BYTES_MAX) return;
    const faults = this.#network.faults(this.#link);
    const [frame] = this.#queue;
    if (!frame || !this.#isUp) return;
    this.#isSending = true;
    const { world } = this.#network;
    // Looked at when it begins, not when it was put there: the sooner ones may have changed places.
    world.after(0.005 + frame.length / faults.bytesPerMs, () => {
      this.#isSending = false;
      const sent = this.#queue.shift();
      // Abandoned meanwhile: the other end is still to be told.
      if (!sent) return this.#deliver();
      if (this.#isOver) return;
      this.queuedBytes -= sent.length;
      if (this.#needsDrain && this.queuedBytes === 0) {
        this.#needsDrain = false;
        this.#from.machine.run(() => void (this.#from.isDestroyed || this.#from.emit('drain')));
      }
      this.#unreadBytes += sent.length;
      const atMs = Math.max(
        this.#lastMs,
        world.nowMs + faults.delayMs + this.#own.delayMs + world.fraction() * faults.jitterMs,
      );
      this.#lastMs = atMs;
      world.at(atMs, () => {
        this.#arrived.push(sent);
        this.#deliver();
      });
      this.#send();
    });
  }

  get #isUp(): boolean {
    return this.#network.faults(this.#link).up[this.#index] && !this.#own.isSilent;
  }

  #deliver(): void {
    const to = this.#to;
    while (this.#isUp && this.#arrived.length > 0 && !to.isPaused && !this.#isOver && !to.isDestroyed) {
      const frame = this.#arrived.shift() as Uint8Array;
      this.#unreadBytes -= frame.length;
      const isTransfer = this.#index === 0 && frame[FRAME.at.kind] === FRAME_KIND.entries;
      if (isTransfer) this.#network.arrived(this.#link, this.#by, frame, this.#own);
      for (const piece of this.#cut(frame)) to.machine.run(() => void (to.isDestroyed || to.emit('data', piece)));
    }
    if (!this.#isSending) this.#send();
    const isEmpty = this.#queue.length + this.#arrived.length === 0 && !this.#isSending && this.#unreadBytes <= 0;
    if (!this.#isFinished || this.#isOver || !this.#isUp || !isEmpty) return;
    this.#isOver = true;
    this.#network.world.after(this.#network.faults(this.#link).delayMs, () => to.destroy());
  }

  /** A frame comes in one piece mostly. */
  #cut(frame: Uint8Array): Uint8Array[] {
    const { prng } = this.#network.world;
    if (prng.below(8) > 0) return [frame];
    const at = prng.below(frame.length);
    return [frame.subarray(0, at), frame.subarray(at)].filter(({ length }) => length > 0);
  }
}

function flipped(frame: Uint8Array, bit: number): Uint8Array {
  const copy = frame.slice();
  copy[bit >> 3] = (copy[bit >> 3] ?? 0) ^ (1 << (bit & 7));
  return copy;
}
