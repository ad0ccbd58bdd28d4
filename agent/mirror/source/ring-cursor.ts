/**
 * Goes through a source's ring for one target: takes whole entries, from the window while it has them, else from the file.
 * What it takes is a copy, unless it is borrowed: the window may be written over before a slow link has taken it.
 */
import { AgentError } from '../../base/errors.ts';
import { fileOffset, type RingPlace, type RingSize } from '../store/ring.ts';
import { decodeEntry, ENTRY_KIND, isChained, ringBytesOf, type Entry } from '../wire/entry.ts';
import { JOURNAL_RING_OFFSET } from '../wire/layout.ts';

/** The ring as main sees it. */
export interface LiveRing extends RingSize {
  /** The end of what was appended. */
  readonly head: number;
  /** What the file holds for sure; behind it a write may be under way, or have failed. */
  readonly durable: number;
  /** What the window holds from `position` to its boundary; null when it has been written over. */
  windowFrom(position: number): Uint8Array | null;
  /** Whether the file still holds what lay at `position`. */
  inFile(position: number): boolean;
}

/** Reads the journal's file: fills `into`, or rejects. */
export type ReadFile = (offset: number, into: Uint8Array) => Promise<void>;

/** Whole entries, one behind the other. */
export interface Batch {
  readonly bytes: Uint8Array;
  readonly count: number;
  /** Of the last one. */
  readonly mark: number;
  /** Bytes of the longest. */
  readonly longest: number;
}

interface Wanted {
  readonly bytesMax?: number;
  readonly untilMark?: number;
  readonly isBorrowed?: boolean;
}

const READ_BYTES = 1024 * 1024;
/** Entries in one frame: its `count` has 16 bits. */
const ENTRIES_MAX = 4096;

export class RingCursor {
  readonly #ring: LiveRing;
  readonly #readFile: ReadFile;
  #place: RingPlace;

  /** `from`: a place that the ring still holds. */
  constructor(ring: LiveRing, from: RingPlace, readFile: ReadFile) {
    this.#ring = ring;
    this.#place = from;
    this.#readFile = readFile;
  }

  /** Behind the last entry that was taken. */
  get place(): RingPlace {
    return this.#place;
  }

  get isAtEnd(): boolean {
    return this.#place.position >= this.#ring.head;
  }

  /** Goes to the place behind `mark`, which lies ahead in the ring. Rejects when it does not. */
  async seek(mark: number): Promise<void> {
    while (this.#place.mark < mark) {
      const { bytes, length } = await this.#bytes(1);
      this.#collect(bytes.subarray(0, length), { untilMark: mark });
      if (this.isAtEnd && this.#place.mark < mark) throw lost(`mark ${mark} is not in the journal`);
    }
  }

  /**
   * The next entries if the window has them, up to about `bytesMax`; null at the end, or where the file has to be read. `isBorrowed`: the
   * bytes are the window's own, and what is said here holds for this turn of the event loop alone.
   */
  take(bytesMax: number, isBorrowed = false): Batch | null {
    while (!this.isAtEnd) {
      const window = this.#ring.windowFrom(this.#place.position);
      if (!window) return null;
      const length = Math.min(window.length, this.#ring.head - this.#place.position);
      const batch = this.#collect(window.subarray(0, length), { bytesMax, isBorrowed });
      // Nothing but a skip: on behind it.
      if (batch) return batch;
    }
    return null;
  }

  /** The same, from wherever they are; null at the end. Rejects when the journal cannot be read or has lost them. */
  async load(bytesMax: number): Promise<Batch | null> {
    while (!this.isAtEnd) {
      const batch = this.take(bytesMax);
      if (batch) return batch;
      if (this.isAtEnd) return null;
      const { bytes, length } = await this.#bytes(bytesMax);
      const loaded = this.#collect(bytes.subarray(0, length), { bytesMax });
      if (loaded) return loaded;
    }
    return null;
  }

  /** What lies ahead, at least one whole entry. */
  async #bytes(bytesMax: number): Promise<{ bytes: Uint8Array; length: number }> {
    const { position } = this.#place;
    let most = Math.max(READ_BYTES, bytesMax);
    for (;;) {
      const window = this.#ring.windowFrom(position);
      if (window) return { bytes: window, length: Math.min(window.length, this.#ring.head - position) };
      const offset = fileOffset(position, this.#ring);
      // What the window has lost is durable, to the end of its last entry.
      const length = Math.min(most, JOURNAL_RING_OFFSET + this.#ring.ringBytes - offset, this.#ring.durable - position);
      const bytes = new Uint8Array(length);
      await this.#readFile(offset, bytes);
      if (!this.#ring.inFile(position)) throw lost('what it lacks has been written over');
      const entry = decodeEntry(bytes, 0);
      if (!entry.ok || entry.entry.position !== position) throw lost(`the journal is damaged at position ${position}`);
      const needed = entry.entry.kind === ENTRY_KIND.skip ? 0 : ringBytesOf(entry.entry);
      if (needed <= length) return { bytes, length };
      most = needed;
    }
  }

  /** Takes whole entries from the front of `bytes`, at least one if there is one; null for nothing but skips. */
  #collect(bytes: Uint8Array, { bytesMax = Infinity, untilMark = Infinity, isBorrowed = false }: Wanted): Batch | null {
    let at = 0;
    let start = 0;
    let count = 0;
    let longest = 0;
    while (at < bytes.length && count < ENTRIES_MAX && this.#place.mark < untilMark) {
      const decoded = decodeEntry(bytes, at);
      // What was appended last may be in the window alone: in the file a former lap's entry lies there yet.
      if (!decoded.ok || decoded.entry.position !== this.#place.position) break;
      const length = ringBytesOf(decoded.entry);
      const isSkip = decoded.entry.kind === ENTRY_KIND.skip;
      if (isSkip && count > 0) break;
      if (!isSkip && at + length > bytes.length) break;
      if (count > 0 && at + length - start > bytesMax) break;
      this.#pass(decoded.entry, length);
      at += length;
      if (isSkip) start = at;
      else count++;
      if (!isSkip) longest = Math.max(longest, length);
    }
    if (count === 0) return null;
    const taken = isBorrowed ? bytes.subarray(start, at) : bytes.slice(start, at);
    return { bytes: taken, count, longest, mark: this.#place.mark };
  }

  #pass(entry: Entry, length: number): void {
    const position = this.#place.position + length;
    const { mark, time, cycle, chain } = entry;
    this.#place = isChained(entry.kind) ? { position, mark, time, cycle, chain } : { ...this.#place, position };
  }
}

const lost = (why: string): AgentError => new AgentError('volume', why);
