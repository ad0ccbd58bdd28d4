/** A reader's faulty way to one volume: reads that fail, hang, take long or show the past. */
import type { Disk } from '../../agent/volume/disk.ts';
import type { NodeIndex } from './pairs.ts';
import type { Volume } from './volumes.ts';
import type { World } from './world.ts';

export interface ReadFaults {
  readErrno: number;
  slowReadMs: number;
  readsHangUntilMs: number;
  /** Half of the reads show the volume as it was at this copy's time. */
  past: Uint8Array | null;
}

export const GOOD_READS: Readonly<ReadFaults> = { readErrno: 0, slowReadMs: 0, readsHangUntilMs: 0, past: null };

export class ReadDisk implements Disk {
  readonly bytes: number;
  readonly faults: ReadFaults = { ...GOOD_READS };
  readonly writers: readonly NodeIndex[];
  readonly volume: Volume;
  readonly #world: World;
  readonly #reader: NodeIndex;

  constructor(world: World, volume: Volume, reader: NodeIndex, writers: readonly NodeIndex[]) {
    this.#world = world;
    this.volume = volume;
    this.#reader = reader;
    this.writers = writers;
    this.bytes = volume.bytes.length;
  }

  read(offset: number, into: Uint8Array): number {
    const { readErrno, past } = this.faults;
    if (readErrno !== 0) return -readErrno;
    const source = past && this.#world.prng.chance(1, 2) ? past : this.volume.bytes;
    into.set(source.subarray(offset, offset + into.length));
    return into.length;
  }

  write(): number {
    throw new Error('a reader does not write');
  }

  /** How long an operation begun now takes. */
  readMs(): number {
    const { slowReadMs, readsHangUntilMs } = this.faults;
    return Math.max(0, readsHangUntilMs - this.#world.nowMs) + this.#world.fraction() * slowReadMs;
  }

  get version(): number {
    return this.volume.versionFor(this.#reader);
  }

  /** From now on half of the reads show the volume as it is now. */
  remember(): void {
    this.faults.past = this.volume.bytes.slice();
  }

  heal(): void {
    const { readsHangUntilMs } = this.faults;
    Object.assign(this.faults, GOOD_READS, { readsHangUntilMs });
  }
}
