/**
 * Reads a send volume as clients left it: what the flushed volume may lack is laid over it from the journal, newest last.
 * So it does not matter how far the volume thread is, whether a failed flush has taken something back, or whether the
 * volume answers at all as long as the journal holds the whole range ([CY8]).
 */
import { overlaid } from '../../nbd/allocation.ts';
import type { Extent } from '../../nbd/volume.ts';
import { fileOffset } from '../store/ring.ts';
import { ENTRY } from '../wire/entry.ts';
import type { FileReader } from '../machine.ts';
import type { SourceJournal } from './journal.ts';
import type { Pending } from './pending.ts';

type Done = (errno: number) => void;

/** Fewer than the pool has threads (4): a volume that hangs must leave one for the journal's file. */
const VOLUME_READS_MAX = 3;

/** Reads of volumes, of all readers of a process together. */
export class VolumeReads {
  #reading = 0;
  readonly #waiting: (() => void)[] = [];

  read(file: FileReader, offset: number, into: Uint8Array, done: Done): void {
    this.#inTurn((over) =>
      file.read(offset, into, (errno) => {
        over();
        done(errno);
      }),
    );
  }

  allocation(file: FileReader, offset: number, length: number, done: (extents: readonly Extent[]) => void): void {
    if (!file.allocation) return done([{ length, flags: 0 }]);
    this.#inTurn((over) =>
      file.allocation?.(offset, length, (extents) => {
        over();
        done(extents);
      }),
    );
  }

  #inTurn(action: (over: () => void) => void): void {
    if (this.#reading >= VOLUME_READS_MAX) {
      this.#waiting.push(() => this.#inTurn(action));
      return;
    }
    this.#reading++;
    action(() => {
      this.#reading--;
      this.#waiting.shift()?.();
    });
  }
}

/** What is looked through at once: a client asks for the rest. */
const ALLOCATION_BYTES_MAX = 256 * 1024 * 1024;

export class StagedReader {
  readonly #journal: SourceJournal;
  readonly #journalFile: FileReader;
  readonly #volumeFile: FileReader;
  readonly #reads: VolumeReads;
  readonly #volume: number;

  constructor(
    journal: SourceJournal,
    journalFile: FileReader,
    volumeFile: FileReader,
    volume: number,
    reads: VolumeReads,
  ) {
    this.#reads = reads;
    this.#journal = journal;
    this.#journalFile = journalFile;
    this.#volumeFile = volumeFile;
    this.#volume = volume;
  }

  /** Holes and data from `offset` on, as clients left them; perhaps not all of the range. */
  allocation(offset: number, length: number, done: (extents: readonly Extent[]) => void): void {
    const some = Math.min(length, ALLOCATION_BYTES_MAX);
    // Before the volume is looked at: what reaches it meanwhile is laid over it once more, which changes nothing.
    const changes = this.#journal.pending.overlaps(this.#volume, offset, some);
    this.#reads.allocation(this.#volumeFile, offset, some, (extents) => done(overlaid(offset, extents, changes)));
  }

  /** Fills `into` from `offset` on. */
  read(offset: number, into: Uint8Array, done: Done): void {
    const changes = this.#journal.pending.overlaps(this.#volume, offset, into.length);
    const first = changes.findLastIndex((change) => isAround(change, offset, into.length));
    if (first >= 0) return this.#overlay(changes, first, offset, into, done);
    this.#reads.read(this.#volumeFile, offset, into, (errno) => {
      if (errno !== 0) return done(errno);
      this.#overlay(changes, 0, offset, into, done);
    });
  }

  /** Lays changes from the one at `index` on over what is in `into`. */
  #overlay(changes: readonly Pending[], index: number, offset: number, into: Uint8Array, done: Done): void {
    for (let i = index; ; i++) {
      const change = changes[i];
      if (!change) return done(0);
      const from = Math.max(offset, change.offset);
      const to = Math.min(offset + into.length, change.offset + change.length);
      const part = into.subarray(from - offset, to - offset);
      if (change.isZero) part.fill(0);
      else {
        const bytes = this.#journal.inWindow(change.position, from - change.offset, part.length);
        if (!bytes) return this.#fromFile(changes, i, offset, into, done);
        part.set(bytes);
      }
    }
  }

  /** The same for one change whose payload is in the file alone, then goes on. */
  #fromFile(changes: readonly Pending[], index: number, offset: number, into: Uint8Array, done: Done): void {
    const change = changes[index];
    if (!change) return done(0);
    const from = Math.max(offset, change.offset);
    const to = Math.min(offset + into.length, change.offset + change.length);
    const part = into.subarray(from - offset, to - offset);
    const place = fileOffset(change.position, this.#journal.superblock) + ENTRY.bytes + from - change.offset;
    this.#journalFile.read(place, part, (errno) => {
      // Its place is another entry's by now, so the volume has it: once more from the beginning.
      if (!this.#journal.inFile(change.position)) return this.read(offset, into, done);
      if (errno !== 0) return done(errno);
      this.#overlay(changes, index + 1, offset, into, done);
    });
  }
}

const isAround = (change: Pending, offset: number, length: number): boolean =>
  change.offset <= offset && change.offset + change.length >= offset + length;
