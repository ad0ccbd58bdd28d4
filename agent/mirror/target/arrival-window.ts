/**
 * Puts arrivals into the window, in the order in which they come: each as it is, but for what tells of its place. Keeps
 * within what may be overwritten: in the window what is durable, in the file what the tail has passed.
 */
import { copyBytes, dataView, setU64 } from '../../base/bytes.ts';
import { crc32 } from '../../base/crc32.ts';
import { JOURNAL_WORD, type JournalMemory } from '../store/journal-memory.ts';
import { skipBefore } from '../store/ring.ts';
import { encodeEntry, ENTRY, ENTRY_KIND, entryBytes, type Entry } from '../wire/entry.ts';
import { ENTRY_ALIGN } from '../wire/layout.ts';

/** Where an arrival begins and ends in the ring. */
export interface Placed {
  readonly position: number;
  readonly end: number;
}

const { at } = ENTRY;

export class ArrivalWindow {
  readonly #memory: JournalMemory;
  readonly #view: DataView;
  #head: number;
  #windowStart: number;
  /** Durable in the file, as far as main knows: nothing at or behind it may be overwritten in the window. */
  durable: number;
  /** The tail that a durable superblock names: nothing at or behind it may be overwritten in the file. */
  tail: number;

  constructor(memory: JournalMemory, head: number, tail: number) {
    this.#memory = memory;
    this.#view = dataView(memory.window);
    this.#head = head;
    // The window is empty: what lies before is in the file alone.
    this.#windowStart = head;
    this.durable = head;
    this.tail = tail;
    memory.publish(JOURNAL_WORD.windowStart, head);
    memory.publish(JOURNAL_WORD.appended, head);
  }

  /** Where the next one goes. */
  get head(): number {
    return this.#head;
  }

  /** Room in the file, in bytes; skips take some of it. */
  get roomBytes(): number {
    return this.tail + this.#memory.ringBytes - this.#head;
  }

  /** Places the entry whose bytes lie in `from` at `offset`, header first; null when there is no room now. */
  place(entry: Entry, from: Uint8Array, offset: number): Placed | null {
    const { windowBytes, ringBytes, window } = this.#memory;
    const skip = skipBefore(this.#head, entry.payloadBytes, this.#memory);
    const bytes = entryBytes(entry.payloadBytes);
    const end = this.#head + skip + bytes;
    if (end - windowBytes > this.durable || end - ringBytes > this.tail) return null;
    this.#claim(end);
    if (skip > 0) this.#skip(skip, entry);
    const position = this.#head;
    const to = position % windowBytes;
    copyBytes(from.subarray(offset, offset + bytes), window, to);
    setU64(this.#view, to + at.position, position);
    this.#view.setUint32(to + at.durableBack, (position - this.durable) / ENTRY_ALIGN, true);
    this.#view.setUint32(to + at.headerCrc, crc32(window.subarray(to, to + at.headerCrc)), true);
    this.#head = end;
    return { position, end };
  }

  /** Whether an entry with this payload has no room in the file: only a tail that moves on gives it some. */
  lacksRoom(payloadBytes: number): boolean {
    const bytes = skipBefore(this.#head, payloadBytes, this.#memory) + entryBytes(payloadBytes);
    return this.#head + bytes - this.#memory.ringBytes > this.tail;
  }

  /** Shows the thread what has been placed. */
  publish(): void {
    this.#memory.publish(JOURNAL_WORD.appended, this.#head);
  }

  #claim(end: number): void {
    const start = end - this.#memory.windowBytes;
    if (start <= this.#windowStart) return;
    this.#windowStart = start;
    this.#memory.publish(JOURNAL_WORD.windowStart, start);
  }

  #skip(length: number, { generation }: Entry): void {
    const skip: Entry = {
      kind: ENTRY_KIND.skip,
      flags: 0,
      volume: 0,
      mark: 0,
      time: 0n,
      cycle: 0,
      offset: 0,
      length,
      payloadBytes: 0,
      payloadCrc: 0,
      position: this.#head,
      generation,
      chain: 0n,
      durableBack: this.#head - this.durable,
    };
    encodeEntry(skip, 0n, this.#memory.window, this.#head % this.#memory.windowBytes);
    this.#head += length;
  }
}
