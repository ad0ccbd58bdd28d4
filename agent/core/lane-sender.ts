/**
 * The sending side of one lane (peer, type): numbers frames, chooses their way by the type's policy, keeps what is not
 * confirmed, and sends it again on the other way at a switch.
 *
 * Always true:
 * - [ORD1] frames leave in the order of their numbers; after a switch everything unconfirmed leaves again, in order.
 * - Kept bytes are bounded; what is older than `maxAgeMs` is dropped and counted, for it would not be delivered anyway.
 */
import { seqAfter, seqDistance, seqNext } from '../base/serial.ts';
import { FrameStore } from './frame-store.ts';
import type { Turn } from './turns.ts';

/** The two ways out. False: no room now, try again later. */
export interface LaneWays {
  network(sequence: number, frame: Uint8Array, enteredMs: number, nowMs: number): boolean;
  storage(sequence: number, frame: Uint8Array, enteredMs: number): boolean;
}

export type Way = 'network' | 'storage' | 'none';

export interface LaneCounters {
  sent: number;
  bytes: number;
  resent: number;
  expired: number;
  dropped: number;
}

const newCounters = (): LaneCounters => ({ sent: 0, bytes: 0, resent: 0, expired: 0, dropped: 0 });

/** Unconfirmed bytes on the network at once: below any receive buffer we ask for, so that a burst is not lost there. */
const NETWORK_WINDOW_BYTES = 4 * 1024 * 1024;
/**
 * Unconfirmed bytes in the write buffer and on the ring at once: several times what a reader takes in between two
 * confirmations, and less than a peer holds back while it waits for a gap to close.
 */
const STORAGE_WINDOW_BYTES_MAX = 6 * 1024 * 1024;

/** With its data and its bulk one peer takes half of the ring at most: when it is short of room, others wait too. */
export const storageWindowBytes = (slotBytes: number): number => Math.min(STORAGE_WINDOW_BYTES_MAX, slotBytes / 4);

/** Policy *failover*: one way at a time, confirmed, sent again. */
export class FailoverLane {
  #store: FrameStore;
  #retainBytes: number;
  readonly #ways: LaneWays;
  readonly #maxAgeMs: number;
  readonly #storageWindowBytes: number;
  readonly counters: LaneCounters = newCounters();
  /** It was full for longer than the interface may wait, and nothing was confirmed since: others are not to wait for it. */
  isStuck = false;
  #way: Way = 'none';
  /** The next frame to leave on the present way. */
  #cursor: number;
  /** The first frame that never left on any way. */
  #fresh: number;

  /** `first`: the number of the first frame, beyond all that went to this peer before. */
  constructor(retainBytes: number, maxAgeMs: number, storageWindow: number, ways: LaneWays, first = 1) {
    this.#store = new FrameStore(retainBytes, first);
    this.#retainBytes = retainBytes;
    this.#cursor = first;
    this.#fresh = first;
    this.#maxAgeMs = maxAgeMs;
    this.#storageWindowBytes = storageWindow;
    this.#ways = ways;
  }

  /** Keeps so many bytes from now on; fewer than are kept now, as soon as that many are confirmed. */
  retain(bytes: number): void {
    this.#retainBytes = bytes;
    this.#resize();
  }

  #resize(): void {
    this.#store = this.#store.resized(this.#retainBytes) ?? this.#store;
  }

  /** The number that the next frame will get. */
  get next(): number {
    return this.#store.next;
  }

  /** Nothing below this number will ever be sent again. */
  get floor(): number {
    return this.#store.first;
  }

  get keptFrames(): number {
    return this.#store.count;
  }

  get keptBytes(): number {
    return this.#store.usedBytes;
  }

  /** Frames that wait because the present way has no room. */
  get waiting(): number {
    return seqDistance(this.#store.next, this.#cursor);
  }

  hasRoom(length: number): boolean {
    return this.#store.hasRoom(length);
  }

  /** Where the next frame may be read into, so that taking it in costs no copy; null when the lane is full. */
  placeFor(length: number): Uint8Array | null {
    return this.#store.placeFor(length);
  }

  /** Takes a frame in; false when the lane is full: the caller pushes back, then drops the newest. */
  enqueue(frame: Uint8Array, enteredMs: number): boolean {
    if (this.#store.push(frame, enteredMs) < 0) return false;
    this.counters.sent++;
    this.counters.bytes += frame.length;
    return true;
  }

  /** A frame that found no room for too long. */
  countDropped(): void {
    this.counters.dropped++;
  }

  /** The judge's word. At a change everything unconfirmed goes again, on the new way. */
  setWay(way: Way): void {
    if (way === this.#way) return;
    this.#way = way;
    this.#cursor = this.#store.first;
  }

  /** The peer has everything before `next`. Answers true when that was news. */
  confirm(next: number): boolean {
    if (!seqAfter(next, this.#store.first) || seqAfter(next, this.#store.next)) return false;
    this.#store.dropBefore(next);
    this.isStuck = false;
    if (seqAfter(next, this.#cursor)) this.#cursor = next;
    if (seqAfter(next, this.#fresh)) this.#fresh = next;
    return true;
  }

  /** The peer asks for these again. */
  again(missing: readonly number[], nowMs: number): void {
    for (const sequence of missing) {
      if (!this.#store.has(sequence) || !seqAfter(this.#cursor, sequence)) continue;
      if (!this.#leave(sequence, nowMs)) return;
      this.counters.resent++;
    }
  }

  /**
   * The peer said, `roundTripMs` away, that it still waits for `next`. When that frame left long enough ago for the word
   * to be an answer to it, it was lost and nothing came behind it to show the gap: it leaves again.
   */
  stillWaitsFor(next: number, nowMs: number, roundTripMs: number): void {
    if (!this.#store.has(next) || !seqAfter(this.#cursor, next)) return;
    const patience = 2 * roundTripMs + 60;
    if (nowMs - this.#store.sentMs(next) < patience) return;
    if (this.#way !== 'storage') {
      this.again([next], nowMs);
      return;
    }
    // Storage keeps order, so whatever left after the lost frame is held or lost too: everything from it goes again.
    this.#cursor = next;
  }

  /** Sends what is due on the present way, about `bytesMax` of it. */
  pump(nowMs: number, bytesMax: number = Infinity): Turn {
    this.expire(nowMs);
    const window = this.#way === 'network' ? NETWORK_WINDOW_BYTES : this.#storageWindowBytes;
    let bytes = 0;
    if (this.#store.capacityBytes !== this.#retainBytes && this.#store.count === 0) this.#resize();
    while (this.#way !== 'none' && seqAfter(this.#store.next, this.#cursor)) {
      if (this.#store.bytesBefore(this.#cursor) > window) return 'done';
      if (bytes >= bytesMax) return 'more';
      const sequence = this.#cursor;
      bytes += this.#store.lengthOf(sequence);
      if (!this.#leave(sequence, nowMs)) return 'refused';
      if (seqAfter(this.#fresh, sequence)) this.counters.resent++;
      this.#cursor = seqNext(sequence);
      if (seqAfter(this.#cursor, this.#fresh)) this.#fresh = this.#cursor;
    }
    return 'done';
  }

  #leave(sequence: number, nowMs: number): boolean {
    const frame = this.#store.frame(sequence);
    const entered = this.#store.enteredMs(sequence);
    const taken =
      this.#way === 'network'
        ? this.#ways.network(sequence, frame, entered, nowMs)
        : this.#way === 'storage' && this.#ways.storage(sequence, frame, entered);
    if (taken) this.#store.markSent(sequence, nowMs);
    return taken;
  }

  /** Drops what has become too old. */
  expire(nowMs: number): void {
    let first = this.#store.first;
    const end = this.#store.next;
    while (first !== end && nowMs - this.#store.enteredMs(first) > this.#maxAgeMs) first = seqNext(first);
    const gone = this.#store.dropBefore(first);
    this.counters.expired += gone;
    if (seqAfter(first, this.#cursor)) this.#cursor = first;
    if (seqAfter(first, this.#fresh)) this.#fresh = first;
  }

  /**
   * The peer began anew. What has left on any way may have been delivered by its former incarnation: it is not sent
   * again, for twice is worse than lost. What never left goes to the new one.
   */
  peerBeganAnew(): void {
    this.counters.expired += this.#store.dropBefore(this.#fresh);
    this.#cursor = this.#store.first;
  }
}

/** Policy *both*: at once over network and storage, never confirmed, never sent again. The oldest goes first. */
export class BothLane {
  readonly #ways: LaneWays;
  readonly #maxAgeMs: number;
  readonly #useNetwork: boolean;
  readonly counters: LaneCounters = newCounters();
  /** Frames for which the write buffer had no room. */
  readonly #waiting: { sequence: number; frame: Uint8Array; enteredMs: number }[] = [];
  #waitingBytes = 0;
  readonly #waitingBytesMax: number;
  #next: number;

  constructor(waitingBytesMax: number, maxAgeMs: number, useNetwork: boolean, ways: LaneWays, first = 1) {
    this.#next = first;
    this.#waitingBytesMax = waitingBytesMax;
    this.#maxAgeMs = maxAgeMs;
    this.#useNetwork = useNetwork;
    this.#ways = ways;
  }

  get next(): number {
    return this.#next;
  }

  get waiting(): number {
    return this.#waiting.length;
  }

  get waitingBytes(): number {
    return this.#waitingBytes;
  }

  enqueue(frame: Uint8Array, nowMs: number, enteredMs: number = nowMs): void {
    const sequence = this.#next;
    this.#next = seqNext(sequence);
    this.counters.sent++;
    this.counters.bytes += frame.length;
    if (this.#useNetwork) this.#ways.network(sequence, frame, enteredMs, nowMs);
    if (this.#waiting.length === 0 && this.#ways.storage(sequence, frame, enteredMs)) return;
    this.#waiting.push({ sequence, frame: frame.slice(), enteredMs });
    this.#waitingBytes += frame.length;
    while (this.#waitingBytes > this.#waitingBytesMax) this.#dropOldest('dropped');
  }

  #dropOldest(why: 'dropped' | 'expired'): void {
    const oldest = this.#waiting.shift();
    if (!oldest) return;
    this.#waitingBytes -= oldest.frame.length;
    this.counters[why]++;
  }

  /** Moves waiting frames into the write buffer as room appears. */
  pump(nowMs: number): void {
    for (;;) {
      const oldest = this.#waiting[0];
      if (!oldest) return;
      if (nowMs - oldest.enteredMs > this.#maxAgeMs) {
        this.#dropOldest('expired');
        continue;
      }
      if (!this.#ways.storage(oldest.sequence, oldest.frame, oldest.enteredMs)) return;
      this.#waiting.shift();
      this.#waitingBytes -= oldest.frame.length;
    }
  }
}
