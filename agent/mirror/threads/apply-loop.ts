/**
 * The apply thread's logic, without the thread: brings the entries of a list, in the list's order, or the blocks of a checkpoint,
 * from the arrival journal's file onto the receive volumes and flushes these. Whoever makes the list has made the superblock durable first ([MI9]): the
 * entries themselves are the intent, and to apply them again changes nothing.
 *
 * [MI15] When a write or a flush of a volume fails, the volumes are opened anew and the list is applied from its begin.
 */
import { crc32 } from '../../base/crc32.ts';
import { fileOffset, type RingSize } from '../store/ring.ts';
import { decodeEntry, ENTRY, ENTRY_KIND, type Entry } from '../wire/entry.ts';
import { CheckpointWork, type CheckpointList, type RunFailure as Failure } from './checkpoint-work.ts';
import type { JournalDevice } from './journal-loop.ts';
import type { VolumeDevice } from './volume-loop.ts';

/** Entries, in the order in which they are applied: where each begins and ends in the ring. */
export interface EntriesCommand {
  readonly id: number;
  readonly places: Float64Array;
}

/** A checkpoint's blocks: to be verified, which touches no volume, or brought. */
export interface BlocksCommand {
  readonly id: number;
  readonly blocks: CheckpointList;
  readonly isVerify: boolean;
}

export type ApplyCommand = EntriesCommand | BlocksCommand;

/** Errnos are 0 when all is well. */
export interface ApplyReport {
  readonly id: number;
  /** All of the list is on the flushed volumes, or verified. */
  readonly isDone: boolean;
  /** Of a verified one: which blocks cannot be brought. */
  readonly failed: readonly number[];
  readonly journalErrno: number;
  readonly volumesErrno: number;
  /** What was written beside the list since the last good flush may be gone: nobody but its source has it. */
  readonly imagesLost: boolean;
}

/** What was read at the source, to be written at once: of volumes that nobody reads yet. */
export interface ImageWrite {
  readonly image: number;
  readonly volume: number;
  readonly offset: number;
  readonly bytes: Uint8Array;
}

/** `errno` 0: it is written. It is flushed with the next list; should that fail, `imagesLost` says so. */
export interface ImageReport {
  readonly image: number;
  readonly errno: number;
}

export interface ApplyLoopParts {
  readonly ring: RingSize;
  readonly volumeCount: number;
  /** Opens a receive volume: the device, or a negative errno. */
  open(volume: number): VolumeDevice | number;
  /** Opens the arrival journal's file for reading, likewise. */
  openJournal(): JournalDevice | number;
  nowMs(): number;
  tell(report: ApplyReport): void;
}

const ENTRIES_A_STEP = 256;
/** Read in one go. One entry may be more. */
const RUN_BYTES = 512 * 1024;
const BLOCKS_A_STEP = 1024;
const RETRY_MS_MIN = 10;
const RETRY_MS_MAX = 1000;
const EIO = 5;

export class ApplyLoop {
  readonly #parts: ApplyLoopParts;
  readonly #devices: (VolumeDevice | null)[];
  /** May hold what no flush has seen; at first all: a comparison finds equal what a process wrote that was killed. */
  readonly #dirty: Set<number>;
  #journal: JournalDevice | null = null;
  #command: ApplyCommand | null = null;
  /** The next one of the list. */
  #next = 0;
  #work: CheckpointWork | null = null;
  #unverified: number[] = [];
  #bytes = new Uint8Array(0);
  /** Written beside a list, and not flushed yet. */
  #hasImages = false;
  #retryMs = 0;
  #retryAtMs = -Infinity;

  constructor(parts: ApplyLoopParts) {
    this.#parts = parts;
    this.#devices = Array.from({ length: parts.volumeCount }, () => null);
    this.#dirty = new Set(this.#devices.keys());
  }

  /** The next list, when the one before is done. */
  take(command: ApplyCommand): void {
    this.#command = command;
    this.#next = 0;
    this.#unverified = [];
    this.#work = 'blocks' in command ? this.#checkpoint(command.blocks) : null;
  }

  /** Writes it before anything else. */
  write({ image, volume, offset, bytes }: ImageWrite): ImageReport {
    const device = this.#device(volume);
    if (typeof device === 'number') return { image, errno: -device };
    this.#dirty.add(volume);
    this.#hasImages = true;
    const put = device.write(offset, bytes);
    return { image, errno: put === bytes.length ? 0 : put < 0 ? -put : EIO };
  }

  /** Does some of what is due; answers how many ms may pass before the next step, Infinity when there is nothing to do. */
  step(): number {
    const command = this.#command;
    if (!command) return Infinity;
    const nowMs = this.#parts.nowMs();
    if (nowMs < this.#retryAtMs) return this.#retryAtMs - nowMs;
    const done = this.#some(command);
    if (typeof done === 'object') return this.#failed(command.id, done, nowMs);
    if (!done) return 0;
    const isVerify = 'blocks' in command && command.isVerify;
    const failure = isVerify ? null : this.#flush();
    if (failure) return this.#failed(command.id, failure, nowMs);
    this.#command = null;
    this.#work = null;
    this.#retryMs = 0;
    const failed = this.#unverified;
    this.#parts.tell({ id: command.id, isDone: true, failed, journalErrno: 0, volumesErrno: 0, imagesLost: false });
    return Infinity;
  }

  close(): void {
    this.#devices.forEach((device, volume) => {
      device?.close();
      this.#devices[volume] = null;
    });
    this.#journal?.close();
    this.#journal = null;
  }

  /** Some of the list: whether that was all, or what failed. */
  #some(command: ApplyCommand): boolean | Failure {
    const work = this.#work;
    if ('places' in command) return this.#entries(command.places);
    if (!work) return true;
    for (const end = this.#next + BLOCKS_A_STEP; this.#next < Math.min(end, work.count);) {
      const done = command.isVerify ? work.verify(this.#next) : work.apply(this.#next);
      if ('of' in done) return done;
      this.#unverified.push(...done.failed);
      this.#next += done.count;
    }
    return this.#next >= work.count;
  }

  #entries(places: Float64Array): boolean | Failure {
    const end = Math.min(places.length, this.#next + 2 * ENTRIES_A_STEP);
    while (this.#next < end) {
      const behind = this.#runFrom(this.#next, places, end);
      const failure = this.#applyRun(places.subarray(this.#next, behind));
      if (failure) return failure;
      this.#next = behind;
    }
    return this.#next >= places.length;
  }

  /** Behind the places that lie in one piece of the file, and are read in one go. */
  #runFrom(first: number, places: Float64Array, end: number): number {
    const { ringBytes } = this.#parts.ring;
    const from = places[first] ?? 0;
    let at = first + 2;
    for (; at < end && places[at] === places[at - 1]; at += 2) {
      if ((places[at] ?? 0) % ringBytes === 0 || (places[at + 1] ?? 0) - from > RUN_BYTES) break;
    }
    return at;
  }

  #checkpoint(blocks: CheckpointList): CheckpointWork {
    return new CheckpointWork(blocks, {
      readRing: (position, into) => {
        const journal = this.#openJournal();
        return typeof journal === 'number' ? journal : journal.read(fileOffset(position, this.#parts.ring), into);
      },
      write: (volume, offset, bytes) => {
        const device = this.#dirtied(volume);
        const put = typeof device === 'number' ? device : device.write(offset, bytes);
        return put === bytes.length ? 0 : put < 0 ? put : -EIO;
      },
      zero: (volume, offset, length) => {
        const device = this.#dirtied(volume);
        return typeof device === 'number' ? device : Math.min(0, device.zero(offset, length, true));
      },
    });
  }

  #applyRun(places: Float64Array): Failure | null {
    const from = places[0] ?? 0;
    const bytes = this.#read(from, (places.at(-1) ?? 0) - from);
    if (typeof bytes === 'number') return { of: 'journal', errno: bytes };
    for (let i = 0; i < places.length; i += 2) {
      const [position, end] = [places[i] ?? 0, places[i + 1] ?? 0];
      const one = bytes.subarray(position - from, end - from);
      const entry = wholeEntry(one, position);
      if (!entry) return { of: 'journal', errno: -EIO };
      const errno = this.#apply(entry, one.subarray(ENTRY.bytes, ENTRY.bytes + entry.payloadBytes));
      if (errno < 0) return { of: 'volumes', errno };
    }
    return null;
  }

  /** Into `#bytes`: what was read, or a negative errno. */
  #read(position: number, length: number): Uint8Array | number {
    const journal = this.#openJournal();
    if (typeof journal === 'number') return journal;
    if (this.#bytes.length < length) this.#bytes = new Uint8Array(length);
    const bytes = this.#bytes.subarray(0, length);
    const got = journal.read(fileOffset(position, this.#parts.ring), bytes);
    if (got < length) return got < 0 ? got : -EIO;
    return bytes;
  }

  #openJournal(): JournalDevice | number {
    const journal = this.#journal ?? this.#parts.openJournal();
    if (typeof journal !== 'number') this.#journal = journal;
    return journal;
  }

  #apply(entry: Entry, payload: Uint8Array): number {
    const { kind, volume, offset, length } = entry;
    if (kind === ENTRY_KIND.skip || kind === ENTRY_KIND.seal) return 0;
    const device = this.#dirtied(volume);
    if (typeof device === 'number') return device;
    if (kind === ENTRY_KIND.zero || kind === ENTRY_KIND.trim) {
      return Math.min(0, device.zero(offset, length, kind === ENTRY_KIND.trim));
    }
    const put = device.write(offset, payload);
    return put === length ? 0 : put < 0 ? put : -EIO;
  }

  #dirtied(volume: number): VolumeDevice | number {
    const device = this.#device(volume);
    if (typeof device !== 'number') this.#dirty.add(volume);
    return device;
  }

  #device(volume: number): VolumeDevice | number {
    const open = this.#devices[volume];
    if (open) return open;
    const device = this.#parts.open(volume);
    if (typeof device !== 'number') this.#devices[volume] = device;
    return device;
  }

  #flush(): Failure | null {
    for (const volume of this.#dirty) {
      const device = this.#device(volume);
      const errno = typeof device === 'number' ? device : device.flush();
      if (errno < 0) return { of: 'volumes', errno };
    }
    this.#dirty.clear();
    this.#hasImages = false;
    return null;
  }

  #failed(id: number, { of, errno }: Failure, nowMs: number): number {
    this.close();
    this.#next = 0;
    this.#unverified = [];
    for (const volume of this.#devices.keys()) this.#dirty.add(volume);
    this.#retryMs = Math.min(RETRY_MS_MAX, Math.max(RETRY_MS_MIN, this.#retryMs * 2));
    this.#retryAtMs = nowMs + this.#retryMs;
    const [journalErrno, volumesErrno] = of === 'journal' ? [-errno, 0] : [0, -errno];
    this.#parts.tell({ id, isDone: false, failed: [], journalErrno, volumesErrno, imagesLost: this.#hasImages });
    this.#hasImages = false;
    return this.#retryMs;
  }
}

/** The entry that these bytes are; null when they are not, or not all of it: nothing that does not hold is ever applied. */
function wholeEntry(bytes: Uint8Array, position: number): Entry | null {
  const result = decodeEntry(bytes, 0);
  if (!result.ok || result.entry.position !== position) return null;
  const { entry } = result;
  const { payloadBytes, payloadCrc } = entry;
  if (payloadBytes === 0) return entry;
  const isWhole = payloadBytes <= bytes.length - ENTRY.bytes;
  return isWhole && crc32(bytes.subarray(ENTRY.bytes, ENTRY.bytes + payloadBytes)) === payloadCrc ? entry : null;
}
