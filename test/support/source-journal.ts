/** A source's journal on real files and real threads, and an account of what its volumes must hold. */
import { mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'vitest';
import type { Appended } from '../../agent/mirror/source/appender.ts';
import { formatJournal } from '../../agent/mirror/source/format-journal.ts';
import type { JournalStatus, SourceJournal, SourceJournalOptions } from '../../agent/mirror/source/journal.ts';
import { ENTRY_KIND, type EntryKind } from '../../agent/mirror/wire/entry.ts';
import type { RingSize } from '../../agent/mirror/store/ring.ts';
import type { Prng } from '../../agent/base/prng.ts';
import { until } from './until.ts';

/** The compiled one: its threads are started as compiled files. */
const compiled = new URL('../../dist/agent/mirror/source/journal.js', import.meta.url).href;

export interface JournalBedOptions {
  readonly size?: RingSize;
  readonly volumeBytes?: number;
  readonly volumeCount?: number;
  /** Paths in place of files of the bed's own. */
  readonly journalPath?: string;
  readonly volumePaths?: readonly string[];
}

export class JournalBed {
  readonly folder: string;
  readonly path: string;
  readonly volumes: readonly string[];
  readonly volumeBytes: number;
  /** What each volume must hold when everything has been applied. */
  readonly content: Uint8Array[];
  journal!: SourceJournal;
  progress = 0;
  fatal: Error[] = [];
  #room: (() => void)[] = [];

  private constructor(folder: string, options: JournalBedOptions) {
    const { volumeCount = 1, volumeBytes = 4 << 20 } = options;
    this.folder = folder;
    this.path = options.journalPath ?? join(folder, 'journal');
    this.volumeBytes = volumeBytes;
    this.volumes = options.volumePaths ?? Array.from({ length: volumeCount }, (_, i) => join(folder, `volume-${i}`));
    this.content = this.volumes.map(() => new Uint8Array(volumeBytes));
  }

  /** Files, and a journal in which nothing is written. */
  static make(options: JournalBedOptions = {}): JournalBed {
    const bed = new JournalBed(mkdtempSync(join(tmpdir(), 'stillbeat-journal-')), options);
    const { size = { ringBytes: 8 << 20, windowBytes: 2 << 20 } } = options;
    if (!options.volumePaths) {
      for (const path of bed.volumes) {
        writeFileSync(path, '');
        truncateSync(path, bed.volumeBytes);
      }
    }
    const volumes = bed.volumes.map((_, i) => ({ name: `v${i}`, bytes: bed.volumeBytes }));
    const generation = Uint8Array.from({ length: 16 }, (_, i) => i + 1);
    if (!options.journalPath) formatJournal(bed.path, { ...size, group: 'group', generation, volumes });
    return bed;
  }

  async open(options: Partial<SourceJournalOptions> = {}): Promise<SourceJournal> {
    const module = (await import(/* @vite-ignore */ compiled)) as typeof import('../../agent/mirror/source/journal.ts');
    this.journal = await module.SourceJournal.open(
      { path: this.path, volumes: this.volumes, ...options },
      {
        room: () => {
          for (const go of this.#room.splice(0)) go();
        },
        progress: () => void this.progress++,
        fatal: (error) => this.fatal.push(error),
      },
    );
    this.journal.free(this.journal.status.head);
    return this.journal;
  }

  /** Appends a change and notes it; waits for room where there is none. */
  async append(kind: EntryKind, volume: number, offset: number, payload: Uint8Array | number): Promise<Appended> {
    const isWrite = typeof payload !== 'number';
    const length = isWrite ? payload.length : payload;
    for (;;) {
      const chunks = isWrite ? [payload.subarray(0, 7), payload.subarray(7)] : undefined;
      const put = this.journal.append(kind, volume, offset, length, chunks);
      if (put) {
        this.journal.free(put.end); // there is no target that could need it
        if (isWrite) this.content[volume]?.set(payload, offset);
        else this.content[volume]?.fill(0, offset, offset + length);
        return put;
      }
      if (this.journal.hasFailed) throw new Error('the journal has failed');
      await new Promise<void>((resolve) => this.#room.push(resolve));
    }
  }

  /** A write mostly, sometimes zeroes, somewhere. */
  async appendAny(random: Prng, lengthMax = 60_000): Promise<Appended> {
    const length = random.pick([4096, 4096, 1 + random.below(lengthMax)]);
    const volume = random.below(this.volumes.length);
    const offset = random.below(this.volumeBytes - length);
    const kind = random.pick([ENTRY_KIND.write, ENTRY_KIND.write, ENTRY_KIND.write, ENTRY_KIND.zero, ENTRY_KIND.trim]);
    if (kind !== ENTRY_KIND.write) return this.append(kind, volume, offset, length);
    const payload = new Uint8Array(length);
    random.fill(payload);
    return this.append(kind, volume, offset, payload);
  }

  /** The errno with which the wait for durability ended. */
  async durable(end: number): Promise<number> {
    return new Promise((resolve) => this.journal.whenDurable(end, resolve));
  }

  async untilStatus(what: string, isSo: (status: JournalStatus) => boolean, boundMs?: number): Promise<void> {
    await until(what, () => isSo(this.journal.status), boundMs);
  }

  /** The volumes hold what was appended. */
  expectContent(read: (volume: number) => Uint8Array = (volume) => readFileSync(this.volumes[volume] ?? '')): void {
    this.content.forEach((content, volume) => {
      const found = read(volume);
      if (Buffer.compare(content, found) === 0) return;
      const at = content.findIndex((byte, i) => byte !== found[i]);
      expect(`volume ${volume} differs at ${at}`).toBe('the same');
    });
  }

  remove(): void {
    rmSync(this.folder, { recursive: true });
  }
}
