/**
 * Puts entries into the window: stamps them, copies the payload once, and keeps within what may be overwritten. The one
 * place where marks are given ([MI1]): whoever appends first comes first.
 */
import { copyBytes } from '../../base/bytes.ts';
import { assert } from '../../base/errors.ts';
import { crc32 } from '../../base/crc32.ts';
import { JOURNAL_WORD, type JournalMemory } from '../store/journal-memory.ts';
import { payloadBytesMax, skipBefore, type RingPlace } from '../store/ring.ts';
import { encodeEntry, ENTRY, ENTRY_KIND, entryBytes, isChained, type Entry, type EntryKind } from '../wire/entry.ts';
import { ENTRY_ALIGN } from '../wire/layout.ts';

/** Of a ring, for seals alone. */
const SEALS_BYTES = 32 * ENTRY_ALIGN;
const NO_CHUNKS: readonly Uint8Array[] = [];

/** Where an entry begins and ends in the ring, and its mark. */
export interface Appended {
  readonly mark: number;
  readonly position: number;
  readonly end: number;
}

export class Appender {
  readonly #memory: JournalMemory;
  readonly #now: () => bigint;
  readonly #entry: Entry;
  #head: number;
  #chain: bigint;
  #windowStart: number;
  /** The open cycle; the next entries belong to it. */
  cycle: number;
  /** Nothing at or behind it may be overwritten in the window. */
  windowFloor: number;
  /** Nothing at or behind it may be overwritten in the file. */
  ringFloor: number;
  /** What is durable, as far as main knows. */
  durable: number;

  /** `now`: ns since 1970; the stamps go on from it, and never back. */
  constructor(memory: JournalMemory, generation: Uint8Array, from: RingPlace, ringFloor: number, now: () => bigint) {
    this.#memory = memory;
    this.#now = now;
    this.#head = from.position;
    this.#chain = from.chain;
    // The window is empty: what lies before `from` is in the file alone.
    this.#windowStart = from.position;
    this.cycle = from.cycle;
    this.windowFloor = from.position;
    this.ringFloor = ringFloor;
    this.durable = from.position;
    this.#entry = {
      kind: ENTRY_KIND.skip,
      flags: 0,
      volume: 0,
      mark: from.mark,
      time: from.time,
      cycle: from.cycle,
      offset: 0,
      length: 0,
      payloadBytes: 0,
      payloadCrc: 0,
      position: 0,
      generation,
      chain: 0n,
      durableBack: 0,
    };
    memory.publish(JOURNAL_WORD.windowStart, this.#windowStart);
    memory.publish(JOURNAL_WORD.appended, this.#head);
  }

  /** Where the next entry goes. */
  get head(): number {
    return this.#head;
  }

  /** The mark of the newest entry. */
  get mark(): number {
    return this.#entry.mark;
  }

  /** The end as it is now: what the next entry will follow. */
  get place(): RingPlace {
    const { mark, time, cycle } = this.#entry;
    return { position: this.#head, mark, chain: this.#chain, time, cycle };
  }

  /** Entries at this position and behind it are in the window, unaltered. */
  get windowStart(): number {
    return this.#windowStart;
  }

  /** Bytes of the ring that an entry with this payload would take now, with the skip before it. */
  bytesFor(payloadBytes: number): number {
    return skipBefore(this.#head, payloadBytes, this.#memory) + entryBytes(payloadBytes);
  }

  /** Whether there is room in the window and in the file; `spare`: what has to stay free in the file. */
  hasRoom(payloadBytes: number, spare = 0): boolean {
    const end = this.#head + this.bytesFor(payloadBytes);
    const isInFile = end + spare - this.#memory.ringBytes <= this.ringFloor;
    return end - this.#memory.windowBytes <= this.windowFloor && isInFile;
  }

  /**
   * Appends one entry; null when there is no room now. `chunks`: the payload, `length` bytes together; none for a kind
   * without. They are copied. The threads see it after `publish`.
   */
  append(
    kind: EntryKind,
    volume: number,
    offset: number,
    length: number,
    chunks: readonly Uint8Array[] = NO_CHUNKS,
    flags = 0,
  ): Appended | null {
    const payloadBytes = chunks.length === 0 ? 0 : length;
    assert(payloadBytes <= payloadBytesMax(this.#memory), 'a payload that the window can take');
    // A ring full of an open cycle could never be sealed, committed and freed.
    if (!this.hasRoom(payloadBytes, kind === ENTRY_KIND.seal ? 0 : SEALS_BYTES)) return null;
    this.#claim(this.#head + this.bytesFor(payloadBytes));
    const skip = skipBefore(this.#head, payloadBytes, this.#memory);
    if (skip > 0) this.#skip(skip);
    const entry = this.#entry;
    const at = this.#head % this.#memory.windowBytes;
    entry.kind = kind;
    entry.flags = flags;
    entry.volume = volume;
    if (isChained(kind)) entry.mark++;
    entry.time = this.#nextTime();
    entry.cycle = this.cycle;
    entry.offset = offset;
    entry.length = length;
    entry.payloadBytes = payloadBytes;
    entry.payloadCrc = this.#copy(chunks, at + ENTRY.bytes, payloadBytes);
    return this.#finish(at);
  }

  /** Shows the threads what has been appended. */
  publish(): void {
    this.#memory.publish(JOURNAL_WORD.appended, this.#head);
  }

  /** The window up to `end` is about to be written: whoever reads what it held before must be able to notice. */
  #claim(end: number): void {
    const start = end - this.#memory.windowBytes;
    if (start <= this.#windowStart) return;
    this.#windowStart = start;
    this.#memory.publish(JOURNAL_WORD.windowStart, start);
  }

  #skip(bytes: number): void {
    const entry = this.#entry;
    entry.kind = ENTRY_KIND.skip;
    entry.flags = 0;
    entry.offset = 0;
    entry.length = bytes;
    entry.payloadBytes = 0;
    entry.payloadCrc = 0;
    this.#put(this.#head % this.#memory.windowBytes);
    this.#head += bytes;
  }

  #put(at: number): void {
    const entry = this.#entry;
    entry.position = this.#head;
    entry.durableBack = this.#head - this.durable;
    this.#chain = encodeEntry(entry, this.#chain, this.#memory.window, at);
  }

  #finish(at: number): Appended {
    this.#put(at);
    const { mark, position, payloadBytes } = this.#entry;
    const bytes = entryBytes(payloadBytes);
    this.#memory.window.fill(0, at + ENTRY.bytes + payloadBytes, at + bytes);
    this.#head += bytes;
    return { mark, position, end: this.#head };
  }

  #copy(chunks: readonly Uint8Array[], at: number, payloadBytes: number): number {
    const { window } = this.#memory;
    let crc = 0;
    let to = at;
    for (const chunk of chunks) {
      copyBytes(chunk, window, to);
      crc = crc32(chunk, crc);
      to += chunk.length;
    }
    assert(to - at === payloadBytes, 'the payload has the length that was told');
    return crc;
  }

  /** [MI1] A hybrid logical clock: the wall clock, but always later than the last stamp. */
  #nextTime(): bigint {
    const now = this.#now();
    const { time } = this.#entry;
    return now > time ? now : time + 1n;
  }
}
