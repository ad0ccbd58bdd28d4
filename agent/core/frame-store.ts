/**
 * Frames under consecutive sequence numbers, kept in order in one piece of memory: what a lane has sent and not yet
 * seen confirmed. Bounded in bytes and in count; nothing is allocated for a frame.
 */
import { assert } from '../base/errors.ts';
import { seqDistance, seqNext } from '../base/serial.ts';

const COUNT_MAX = 16_384;

export class FrameStore {
  readonly #bytes: Uint8Array;
  readonly #offsets = new Float64Array(COUNT_MAX);
  readonly #lengths = new Uint32Array(COUNT_MAX);
  readonly #entered = new Float64Array(COUNT_MAX);
  readonly #sent = new Float64Array(COUNT_MAX);
  /** Bytes of all frames ever kept before this one: differences tell the bytes between two frames. */
  readonly #before = new Float64Array(COUNT_MAX);
  #pushedBytes = 0;
  /** Sequence number of the oldest frame kept, and of the next one to come. */
  #first = 1;
  #next = 1;
  #writeAt = 0;

  /** `first`: the number of the first frame to come. */
  constructor(capacityBytes: number, first = 1) {
    this.#bytes = new Uint8Array(capacityBytes);
    this.#first = first;
    this.#next = first;
  }

  get capacityBytes(): number {
    return this.#bytes.length;
  }

  /** The same frames in another size of memory; null when they do not fit there now. */
  resized(capacityBytes: number): FrameStore | null {
    const store = new FrameStore(capacityBytes, this.#first);
    for (let sequence = this.#first; sequence !== this.#next; sequence = seqNext(sequence)) {
      if (store.push(this.frame(sequence), this.enteredMs(sequence)) < 0) return null;
      store.markSent(sequence, this.sentMs(sequence));
    }
    return store;
  }

  get first(): number {
    return this.#first;
  }

  get next(): number {
    return this.#next;
  }

  get count(): number {
    return seqDistance(this.#next, this.#first);
  }

  #slot(sequence: number): number {
    return sequence % COUNT_MAX;
  }

  /** Bytes between the oldest frame kept and the place for the next. */
  get usedBytes(): number {
    if (this.count === 0) return 0;
    const start = this.#offsets[this.#slot(this.#first)] ?? 0;
    const used = this.#writeAt - start;
    return used > 0 ? used : used + this.#bytes.length;
  }

  /** Where a frame of `length` bytes can lie, or -1. */
  #placeFor(length: number): number {
    if (this.count >= COUNT_MAX) return -1;
    if (this.count === 0) return length <= this.#bytes.length ? 0 : -1;
    const start = this.#offsets[this.#slot(this.#first)] ?? 0;
    if (this.#writeAt > start) {
      if (this.#writeAt + length <= this.#bytes.length) return this.#writeAt;
      return length < start ? 0 : -1;
    }
    return this.#writeAt + length < start ? this.#writeAt : -1;
  }

  hasRoom(length: number): boolean {
    return this.#placeFor(length) >= 0;
  }

  /**
   * Where the next frame of at most `length` bytes would lie, to be read into directly; null when there is no room.
   * A frame that is pushed from there is kept without a copy.
   */
  placeFor(length: number): Uint8Array | null {
    const place = this.#placeFor(length);
    return place < 0 ? null : this.#bytes.subarray(place, place + length);
  }

  /** Keeps a copy of `frame`; answers its sequence number, or -1 when there is no room. */
  push(frame: Uint8Array, enteredMs: number): number {
    const inPlace = frame.buffer === this.#bytes.buffer;
    // Read in place, it lies where a longer frame would: at the ring's start although it would still fit at the end.
    const place = inPlace ? frame.byteOffset : this.#placeFor(frame.length);
    if (place < 0) return -1;
    const sequence = this.#next;
    const slot = this.#slot(sequence);
    if (!inPlace) this.#bytes.set(frame, place);
    this.#offsets[slot] = place;
    this.#lengths[slot] = frame.length;
    this.#entered[slot] = enteredMs;
    this.#sent[slot] = -Infinity;
    this.#before[slot] = this.#pushedBytes;
    this.#pushedBytes += frame.length;
    this.#writeAt = place + frame.length;
    this.#next = seqNext(sequence);
    return sequence;
  }

  has(sequence: number): boolean {
    return seqDistance(sequence, this.#first) >= 0 && seqDistance(this.#next, sequence) > 0;
  }

  /** The frame's bytes, valid until it is dropped. */
  frame(sequence: number): Uint8Array {
    assert(this.has(sequence), 'frame not kept');
    const slot = this.#slot(sequence);
    const offset = this.#offsets[slot] ?? 0;
    return this.#bytes.subarray(offset, offset + (this.#lengths[slot] ?? 0));
  }

  lengthOf(sequence: number): number {
    return this.#lengths[this.#slot(sequence)] ?? 0;
  }

  /** Bytes of the frames kept before `sequence` (which may be the next one to come). */
  bytesBefore(sequence: number): number {
    if (this.count === 0) return 0;
    const end = sequence === this.#next ? this.#pushedBytes : (this.#before[this.#slot(sequence)] ?? 0);
    return end - (this.#before[this.#slot(this.#first)] ?? 0);
  }

  enteredMs(sequence: number): number {
    return this.#entered[this.#slot(sequence)] ?? 0;
  }

  sentMs(sequence: number): number {
    return this.#sent[this.#slot(sequence)] ?? -Infinity;
  }

  markSent(sequence: number, nowMs: number): void {
    this.#sent[this.#slot(sequence)] = nowMs;
  }

  /** Forgets everything before `sequence`; answers how many frames that were. */
  dropBefore(sequence: number): number {
    const dropped = seqDistance(sequence, this.#first);
    if (dropped <= 0) return 0;
    assert(seqDistance(this.#next, sequence) >= 0, 'dropping frames that never were');
    this.#first = sequence;
    return dropped;
  }
}
