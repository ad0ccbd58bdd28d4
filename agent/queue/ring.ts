/**
 * A ring for one producer thread and one consumer thread in shared memory. Records are contiguous, aligned to 8 bytes:
 *
 *   size u32 (of the whole record; 0 = nothing up to the end, go on at the start) | five words for the user | payload
 *
 * The producer reserves, fills in and commits; the consumer peeks and releases. Each side owns one cursor, on a cache
 * line of its own; a cursor is stored only after the bytes it covers.
 */
import { assert } from '../base/errors.ts';

const LINE_WORDS = 16; // 64 bytes
const WRITTEN_INDEX = 0;
const READ_INDEX = LINE_WORDS;
const CURSOR_BYTES = 2 * LINE_WORDS * 4;
export const RING_HEADER_BYTES = 24;

/** Shared bytes for a ring that holds `capacityBytes` (a power of two). */
export const ringBytes = (capacityBytes: number): number => CURSOR_BYTES + capacityBytes;

export class Ring {
  readonly #cursors: Int32Array;
  readonly #words: Uint32Array;
  readonly #times: Float64Array;
  /** The ring's bytes; records lie at the offsets that `reserve` and `peek` answer. */
  readonly bytes: Uint8Array;
  readonly #mask: number;
  readonly capacityBytes: number;
  #reservedSize = 0;

  constructor(buffer: SharedArrayBuffer, byteOffset: number, capacityBytes: number) {
    assert((capacityBytes & (capacityBytes - 1)) === 0, 'ring capacity is not a power of two');
    this.#cursors = new Int32Array(buffer, byteOffset, 2 * LINE_WORDS);
    const start = byteOffset + CURSOR_BYTES;
    this.bytes = new Uint8Array(buffer, start, capacityBytes);
    this.#words = new Uint32Array(buffer, start, capacityBytes / 4);
    this.#times = new Float64Array(buffer, start, capacityBytes / 8);
    this.#mask = capacityBytes - 1;
    this.capacityBytes = capacityBytes;
  }

  /** Bytes between the two cursors, the unused end of a lap included. */
  get usedBytes(): number {
    return (Atomics.load(this.#cursors, WRITTEN_INDEX) - Atomics.load(this.#cursors, READ_INDEX)) >>> 0;
  }

  get isEmpty(): boolean {
    return this.usedBytes === 0;
  }

  /**
   * Producer: room for a payload of up to `payloadBytes`; the offset of the payload, or -1 when there is no room now.
   */
  reserve(payloadBytes: number): number {
    const size = (RING_HEADER_BYTES + payloadBytes + 7) & ~7;
    assert(size <= this.capacityBytes / 2, 'record larger than half the ring');
    const written = Atomics.load(this.#cursors, WRITTEN_INDEX) >>> 0;
    const read = Atomics.load(this.#cursors, READ_INDEX) >>> 0;
    const free = this.capacityBytes - ((written - read) >>> 0);
    const at = written & this.#mask;
    const left = this.capacityBytes - at;
    if (left >= size) {
      if (free < size) return -1;
      this.#reservedSize = size;
      return at + RING_HEADER_BYTES;
    }
    if (free < left + size) return -1;
    this.#words[at >>> 2] = 0;
    Atomics.store(this.#cursors, WRITTEN_INDEX, (written + left) | 0);
    this.#reservedSize = size;
    return RING_HEADER_BYTES;
  }

  /**
   * Producer: publishes the reserved record with its real payload size. `a`, `b` and `c` are 32-bit words of the user,
   * `time` a 64-bit float.
   */
  commit(payloadBytes: number, a: number, b: number, time: number): void {
    const written = Atomics.load(this.#cursors, WRITTEN_INDEX) >>> 0;
    const at = written & this.#mask;
    const size = (RING_HEADER_BYTES + payloadBytes + 7) & ~7;
    assert(size <= this.#reservedSize, 'record larger than reserved');
    const word = at >>> 2;
    this.#words[word] = size;
    this.#words[word + 1] = payloadBytes;
    this.#words[word + 2] = a;
    this.#words[word + 3] = b;
    this.#times[(at >>> 3) + 2] = time;
    this.#reservedSize = 0;
    Atomics.store(this.#cursors, WRITTEN_INDEX, (written + size) | 0);
  }

  /** Consumer: true when a record is there; `record` then tells where. */
  peek(record: RingRecord): boolean {
    for (;;) {
      const read = Atomics.load(this.#cursors, READ_INDEX) >>> 0;
      const written = Atomics.load(this.#cursors, WRITTEN_INDEX) >>> 0;
      if (read === written) return false;
      const at = read & this.#mask;
      const word = at >>> 2;
      const size = this.#words[word] ?? 0;
      if (size === 0) {
        Atomics.store(this.#cursors, READ_INDEX, (read + this.capacityBytes - at) | 0);
        continue;
      }
      record.size = size;
      record.offset = at + RING_HEADER_BYTES;
      record.length = this.#words[word + 1] ?? 0;
      record.a = this.#words[word + 2] ?? 0;
      record.b = this.#words[word + 3] ?? 0;
      record.time = this.#times[(at >>> 3) + 2] ?? 0;
      return true;
    }
  }

  /** Consumer: gives the peeked record's bytes back to the producer. */
  release(record: RingRecord): void {
    const read = Atomics.load(this.#cursors, READ_INDEX);
    Atomics.store(this.#cursors, READ_INDEX, (read + record.size) | 0);
  }
}

/** A record in a ring, filled in by `peek`. */
export interface RingRecord {
  size: number;
  offset: number;
  length: number;
  a: number;
  b: number;
  time: number;
}

export const emptyRingRecord = (): RingRecord => ({ size: 0, offset: 0, length: 0, a: 0, b: 0, time: 0 });
