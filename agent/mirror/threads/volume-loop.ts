/**
 * The volume thread's logic, without the thread: brings entries onto the send volumes in the order of their marks ([MI1]),
 * and only those that are durable in the journal, so that no crash leaves a volume with what the journal lacks. Between two
 * entries it takes images, and it flushes on command. `step` does some of what is due and answers how long it may sleep.
 *
 * [MI15] When a write or a flush fails, that volume is opened anew and everything since the last good flush is written
 * again: the journal still has it, for main frees nothing that is not on a flushed volume.
 */
import { crc32 } from '../../base/crc32.ts';
import type { Disk } from '../store/disk.ts';
import { JOURNAL_WORD, type JournalMemory } from '../store/journal-memory.ts';
import { RingReader } from '../store/ring-reader.ts';
import { readCut, type CutBlocks } from './cut-image.ts';
import type { JournalDevice } from './journal-loop.ts';
import { decodeEntry, ENTRY, ENTRY_KIND, ringBytesOf, type Entry } from '../wire/entry.ts';

export interface VolumeDevice extends Disk {
  /** Makes the range read as zeros; its room may be given back with `mayPunch`. 0 or a negative errno. */
  zero(offset: number, length: number, mayPunch: boolean): number;
  close(): void;
}

/** Read this range when exactly the entries before `at` are on the volume; at once where `at` is null. */
export interface ImageCommand {
  readonly id: number;
  readonly at: number | null;
  readonly volume: number;
  readonly offset: number;
  readonly length: number;
}

/** Read these blocks when exactly the entries before `at` are on the volumes. */
export interface CutCommand {
  readonly id: number;
  readonly at: number;
  readonly cut: CutBlocks;
}

/** What was read, and behind which entry. `errno` 0, or why there is nothing. */
export interface Image {
  readonly id: number;
  readonly errno: number;
  readonly position: number;
  readonly mark: number;
  readonly bytes: Uint8Array;
}

export interface VolumeLoopParts {
  /** Opens a send volume: the device, or a negative errno. */
  open(volume: number): VolumeDevice | number;
  /** Opens the journal's file for reading, likewise. */
  openJournal(): JournalDevice | number;
  /** Commands that have come in. */
  commands(): readonly (ImageCommand | CutCommand)[];
  image(image: Image): void;
  nowMs(): number;
  tell(): void;
}

/** Where the thread begins: entries before it are on flushed volumes. */
export interface VolumeLoopStart {
  readonly position: number;
  /** Of the entry before. */
  readonly mark: number;
  readonly volumeCount: number;
}

const ENTRIES_A_STEP = 256;
const IDLE_MS = 1000;
const RETRY_MS_MIN = 10;
const RETRY_MS_MAX = 1000;
const ESTALE = 116;
const EIO = 5;
const NO_BYTES = new Uint8Array(0);

export class VolumeLoop {
  readonly #memory: JournalMemory;
  readonly #parts: VolumeLoopParts;
  readonly #devices: (VolumeDevice | null)[];
  readonly #dirty = new Set<number>();
  #journal: JournalDevice | null = null;
  #reader: RingReader | null = null;
  /** For payloads that are not in the window any more. */
  #payload = NO_BYTES;
  #durable: number;
  #stored: number;
  #mark: number;
  #flushed: number;
  #flushedMark: number;
  #commands: (ImageCommand | CutCommand)[] = [];
  #commandsSeen = 0;
  #retryMs = 0;
  #retryAtMs = -Infinity;
  /** Which volume the failing call was for. */
  #failing = 0;

  constructor(memory: JournalMemory, start: VolumeLoopStart, parts: VolumeLoopParts) {
    this.#memory = memory;
    this.#parts = parts;
    this.#devices = Array.from({ length: start.volumeCount }, () => null);
    this.#durable = start.position;
    this.#stored = start.position;
    this.#flushed = start.position;
    this.#mark = start.mark;
    this.#flushedMark = start.mark;
    this.#publishStored();
    memory.publish(JOURNAL_WORD.flushed, this.#flushed);
  }

  /** Does some of what is due; answers how many ms may pass before the next step unless the bell rings. */
  step(): number {
    const memory = this.#memory;
    const nowMs = this.#parts.nowMs();
    Atomics.add(memory.words, JOURNAL_WORD.volumeBeat, 1);
    if (nowMs < this.#retryAtMs) return this.#retryAtMs - nowMs;
    this.#durable = memory.position(JOURNAL_WORD.durable, this.#durable);
    const before = this.#stored;
    const result = this.#work();
    if (result < 0) return this.#failed(result, nowMs);
    if (this.#stored > before && memory.get(JOURNAL_WORD.storedWatched) === 1) this.#parts.tell();
    return this.#stored < this.#durable ? 0 : IDLE_MS;
  }

  close(): void {
    this.#devices.forEach((_, volume) => this.#close(volume));
    this.#closeJournal();
  }

  #work(): number {
    for (let done = 0; done < ENTRIES_A_STEP; done++) {
      this.#images();
      if (this.#stored >= this.#durable) break;
      const result = this.#applyNext();
      if (result < 0) return result;
    }
    return this.#flushIfDue();
  }

  /** Brings the next entry onto its volume: 0 or a negative errno. */
  #applyNext(): number {
    const position = this.#stored;
    const entry = this.#entryAt(position);
    if (typeof entry === 'number') return entry;
    const fromWindow = this.#payloadFromWindow(entry);
    const result = this.#apply(entry, fromWindow ?? this.#payload.subarray(0, entry.payloadBytes));
    if (result < 0) return result;
    // Main went past it meanwhile: something else may have been written. Once more, from the file.
    if (fromWindow && !this.#isInWindow(position)) return this.#applyFromFile(entry);
    this.#passed(entry);
    return 0;
  }

  #applyFromFile(entry: Entry): number {
    const read = this.#readPayload(entry);
    if (read < 0) return read;
    const result = this.#apply(entry, this.#payload.subarray(0, entry.payloadBytes));
    if (result < 0) return result;
    this.#passed(entry);
    return 0;
  }

  #passed(entry: Entry): void {
    this.#stored = entry.position + ringBytesOf(entry);
    if (entry.kind !== ENTRY_KIND.skip) this.#mark = entry.mark;
    this.#publishStored();
  }

  #isInWindow(position: number): boolean {
    return this.#memory.position(JOURNAL_WORD.windowStart, position) <= position;
  }

  /** The entry's header; its payload lies in the window, or else has been read into `#payload`. */
  #entryAt(position: number): Entry | number {
    const { window, windowBytes } = this.#memory;
    if (this.#isInWindow(position)) {
      const result = decodeEntry(window, position % windowBytes);
      if (this.#isInWindow(position)) {
        return result.ok && result.entry.position === position ? result.entry : -EIO;
      }
    }
    const reader = this.#openReader();
    if (typeof reader === 'number') return reader;
    const bytes = reader.header(position);
    if (typeof bytes === 'number') return bytes;
    const result = decodeEntry(bytes, 0);
    if (!result.ok || result.entry.position !== position) return -EIO;
    const read = this.#readPayload(result.entry);
    return read < 0 ? read : result.entry;
  }

  #payloadFromWindow({ position, payloadBytes }: Entry): Uint8Array | null {
    if (!this.#isInWindow(position)) return null;
    const at = (position % this.#memory.windowBytes) + ENTRY.bytes;
    return this.#memory.window.subarray(at, at + payloadBytes);
  }

  #readPayload({ position, payloadBytes, payloadCrc }: Entry): number {
    if (payloadBytes === 0) return 0;
    const reader = this.#openReader();
    if (typeof reader === 'number') return reader;
    if (this.#payload.length < payloadBytes) this.#payload = new Uint8Array(payloadBytes);
    const payload = this.#payload.subarray(0, payloadBytes);
    const read = reader.read(position + ENTRY.bytes, payload);
    if (read < 0) return read;
    return crc32(payload) === payloadCrc ? 0 : -EIO;
  }

  #openReader(): RingReader | number {
    if (this.#reader === null) {
      const journal = this.#parts.openJournal();
      if (typeof journal === 'number') return journal;
      this.#journal = journal;
      this.#reader = new RingReader(journal, this.#memory);
    }
    this.#reader.until = this.#durable;
    return this.#reader;
  }

  #closeJournal(): void {
    this.#journal?.close();
    this.#journal = null;
    this.#reader = null;
  }

  #apply(entry: Entry, payload: Uint8Array): number {
    const { kind, volume, offset, length } = entry;
    if (kind === ENTRY_KIND.skip || kind === ENTRY_KIND.seal) return 0;
    this.#failing = volume;
    const device = this.#device(volume);
    if (typeof device === 'number') return device;
    this.#dirty.add(volume);
    if (kind === ENTRY_KIND.zero || kind === ENTRY_KIND.trim) {
      return Math.min(0, device.zero(offset, length, kind === ENTRY_KIND.trim));
    }
    const put = device.write(offset, payload);
    return put === length ? 0 : put < 0 ? put : -EIO;
  }

  #device(volume: number): VolumeDevice | number {
    const open = this.#devices[volume];
    if (open) return open;
    if (open === undefined) return -ESTALE;
    const device = this.#parts.open(volume);
    if (typeof device !== 'number') this.#devices[volume] = device;
    return device;
  }

  #close(volume: number): void {
    this.#devices[volume]?.close();
    if (volume < this.#devices.length) this.#devices[volume] = null;
  }

  /** Takes the images that are due between the last entry and the next. */
  #images(): void {
    const seen = this.#memory.get(JOURNAL_WORD.commands);
    if (seen !== this.#commandsSeen) {
      this.#commandsSeen = seen;
      this.#commands.push(...this.#parts.commands());
    }
    if (this.#commands.length === 0) return;
    const isDue = ({ at }: ImageCommand | CutCommand) => at === null || at <= this.#stored;
    const due = this.#commands.filter(isDue);
    this.#commands = this.#commands.filter((command) => !isDue(command));
    for (const command of due) {
      if ('cut' in command) this.#cut(command);
      else this.#image(command);
    }
  }

  /** An image that cannot be read is its asker's affair: entries still have to be applied. */
  #image({ id, at, volume, offset, length }: ImageCommand): void {
    const told = { id, position: this.#stored, mark: this.#mark };
    const device = this.#device(volume);
    const bytes = new Uint8Array(length);
    const isLate = at !== null && at < this.#stored;
    const got = isLate ? -ESTALE : typeof device === 'number' ? device : device.read(offset, bytes);
    const errno = got === length ? 0 : got < 0 ? -got : EIO;
    this.#parts.image({ ...told, errno, bytes: errno === 0 ? bytes : NO_BYTES });
  }

  #cut({ id, at, cut }: CutCommand): void {
    const read = at < this.#stored ? -ESTALE : readCut(cut, (volume) => this.#device(volume));
    const [errno, bytes] = typeof read === 'number' ? [-read, NO_BYTES] : [0, read];
    this.#parts.image({ id, position: this.#stored, mark: this.#mark, errno, bytes });
  }

  /** Flushes when main wants what is stored, or when a failing volume has caught up: that is the proof that it is well. */
  #flushIfDue(): number {
    const memory = this.#memory;
    const wanted = memory.position(JOURNAL_WORD.volumeFlushWanted, this.#flushed);
    const isFailing = memory.get(JOURNAL_WORD.volumeErrno) !== 0;
    const isDue = (wanted > this.#flushed && this.#stored >= wanted) || (isFailing && this.#stored >= this.#durable);
    if (!isDue) return 0;
    for (const volume of this.#dirty) {
      this.#failing = volume;
      const device = this.#device(volume);
      const result = typeof device === 'number' ? device : device.flush();
      if (result < 0) return result;
      this.#dirty.delete(volume);
    }
    this.#flushed = this.#stored;
    this.#flushedMark = this.#mark;
    this.#retryMs = 0;
    memory.publish(JOURNAL_WORD.flushed, this.#flushed);
    memory.set(JOURNAL_WORD.volumeErrno, 0);
    this.#parts.tell();
    return 0;
  }

  #publishStored(): void {
    this.#memory.publish(JOURNAL_WORD.stored, this.#stored);
  }

  /** Goes back to the last good flush. */
  #failed(result: number, nowMs: number): number {
    this.#close(this.#failing);
    this.#closeJournal();
    this.#stored = this.#flushed;
    this.#mark = this.#flushedMark;
    this.#publishStored();
    this.#retryMs = Math.min(RETRY_MS_MAX, Math.max(RETRY_MS_MIN, this.#retryMs * 2));
    this.#retryAtMs = nowMs + this.#retryMs;
    this.#memory.set(JOURNAL_WORD.volumeErrno, -result);
    this.#parts.tell();
    return this.#retryMs;
  }
}
