/**
 * A disk of a simulated machine. A crash of the process leaves it as it is; a loss of power leaves of each sector that was
 * not flushed any content that it had since the last flush. Faults lie over it, and power can be lost in the middle of a call.
 */
import type { Disk } from '../../agent/mirror/store/disk.ts';
import type { VolumeDevice } from '../../agent/mirror/threads/volume-loop.ts';
import type { World } from '../sim/world.ts';

const SECTOR_BYTES = 512;
export const EIO = 5;

/** Thrown out of a call in which the machine loses its power. */
export class PowerCut extends Error {}

export interface DiskFaults {
  writeErrno: number;
  readErrno: number;
  flushErrno: number;
  /** Of a thousand calls so many fail. */
  perMille: number;
  /** Every call takes up to this much longer. */
  slowMs: number;
  hangsUntilMs: number;
  /** Of a thousand writes so many go nowhere, or elsewhere; of a thousand flushes so many do nothing. Nobody is told. */
  lostPerMille: number;
  strayPerMille: number;
  liesPerMille: number;
}

const GOOD: Readonly<DiskFaults> = {
  writeErrno: 0,
  readErrno: 0,
  flushErrno: 0,
  perMille: 1000,
  slowMs: 0,
  hangsUntilMs: 0,
  lostPerMille: 0,
  strayPerMille: 0,
  liesPerMille: 0,
};

/** What lay where something was written since the last flush. */
interface Before {
  readonly offset: number;
  readonly length: number;
  /** In the arena. */
  readonly at: number;
}

const ARENA_BYTES = 64 * 1024;
const BLANK_BYTES = 8192;

export class SimDisk {
  readonly content: Uint8Array;
  readonly faults: DiskFaults = { ...GOOD };
  /** So much larger, or smaller, than it was made is the device that is there now. */
  grown = 0;
  /** Of how many more calls the power goes in the middle of the last; 0: of none. */
  cutAfter = 0;
  /** Grows with every change: who has looked at a content need not look again. */
  version = 0;
  /** What a thread that made calls has to wait for. */
  #costMs = 0;
  readonly #world: World;
  /** Since the last flush, oldest first. Their bytes lie in one arena, which is used again and again. */
  #unflushed: Before[] = [];
  #arena = new Uint8Array(ARENA_BYTES);
  #arenaBytes = 0;

  constructor(world: World, bytes: number) {
    this.#world = world;
    this.content = new Uint8Array(bytes);
  }

  get bytes(): number {
    return this.content.length + this.grown;
  }

  /** Nothing was ever written to its beginning. */
  get isBlank(): boolean {
    return this.content.subarray(0, BLANK_BYTES).every((byte) => byte === 0);
  }

  /** A new journal, as a file that comes whole under its name: both copies of its superblock, durable at once. */
  put(superblock: Uint8Array): void {
    this.wipe();
    for (const copy of [0, 1]) this.content.set(superblock, copy * superblock.length);
  }

  /** All of it is zeros. */
  wipe(): void {
    this.restore(new Uint8Array(this.content.length));
  }

  /** Of the calls since it was last asked. */
  takeCostMs(): number {
    const costMs = this.#costMs;
    this.#costMs = 0;
    return costMs;
  }

  get hangMs(): number {
    return Math.max(0, this.faults.hangsUntilMs - this.#world.nowMs);
  }

  heal(): void {
    Object.assign(this.faults, GOOD);
    this.cutAfter = 0;
  }

  read(offset: number, into: Uint8Array): number {
    const errno = this.#call(this.faults.readErrno);
    if (errno !== 0) return -errno;
    const piece = this.content.subarray(offset, offset + into.length);
    into.set(piece);
    return piece.length;
  }

  write(offset: number, from: Uint8Array): number {
    const errno = this.#call(this.faults.writeErrno);
    const isCut = this.cutAfter > 0 && --this.cutAfter === 0;
    if (errno !== 0 && !isCut) {
      // Whatever a failed write left of itself.
      if (this.#world.prng.chance(1, 2)) this.#put(offset, from.subarray(0, this.#world.prng.below(from.length + 1)));
      return -errno;
    }
    this.#put(this.#placeOf(offset, from), from);
    if (isCut) throw new PowerCut();
    return from.length;
  }

  zero(offset: number, length: number): number {
    return Math.min(0, this.write(offset, new Uint8Array(length)));
  }

  /** One that fails drops what it could not write, as the system drops its pages. */
  flush(): number {
    const errno = this.#call(this.faults.flushErrno);
    if (this.cutAfter > 0 && --this.cutAfter === 0) throw new PowerCut();
    if (errno !== 0) {
      for (const before of this.#unflushed.toReversed()) this.content.set(this.#bytesOf(before), before.offset);
      this.version++;
    }
    // It says that all is on the medium, and it is not.
    const { liesPerMille } = this.faults;
    if (errno === 0 && liesPerMille > 0 && this.#world.prng.below(1000) < liesPerMille) return 0;
    this.#forget();
    return -errno;
  }

  losePower(): void {
    const { prng } = this.#world;
    // Some disks had nearly everything on the medium, others nearly nothing.
    const kept = prng.below(4);
    for (const [sector, versions] of this.#versions()) {
      const chosen = kept === 0 ? versions[0] : kept === 1 && prng.below(8) > 0 ? versions.at(-1) : prng.pick(versions);
      if (chosen) this.content.set(chosen, sector * SECTOR_BYTES);
    }
    this.#forget();
    this.version++;
    this.cutAfter = 0;
  }

  /** For who looks at it from outside: no fault lies over it, and no call is counted. */
  get medium(): Disk {
    const read = (offset: number, into: Uint8Array): number => {
      into.set(this.content.subarray(offset, offset + into.length));
      return into.length;
    };
    return { bytes: this.bytes, read, write: () => -EIO, flush: () => -EIO };
  }

  /** What the medium holds now, and nothing else. */
  snapshot(): Uint8Array {
    return this.content.slice();
  }

  /** It is put back to that. */
  restore(snapshot: Uint8Array): void {
    this.content.set(snapshot);
    this.#forget();
    this.version++;
  }

  /** A bit turns by itself. */
  rot(): void {
    const at = this.#world.prng.below(this.content.length);
    this.content[at] = (this.content[at] ?? 0) ^ (1 << this.#world.prng.below(8));
    this.version++;
  }

  /** Where a write goes: one that is lost goes nowhere (-1), a misdirected one elsewhere. */
  #placeOf(offset: number, { length }: Uint8Array): number {
    const { prng } = this.#world;
    const { lostPerMille, strayPerMille } = this.faults;
    if (lostPerMille > 0 && prng.below(1000) < lostPerMille) return -1;
    if (strayPerMille === 0 || prng.below(1000) >= strayPerMille) return offset;
    return prng.below(Math.floor((this.content.length - length) / SECTOR_BYTES) + 1) * SECTOR_BYTES;
  }

  #bytesOf({ at, length }: Before): Uint8Array {
    return this.#arena.subarray(at, at + length);
  }

  #forget(): void {
    this.#unflushed = [];
    this.#arenaBytes = 0;
  }

  /** Contents that each unflushed sector had, the flushed one first and the present one last. */
  #versions(): Map<number, Uint8Array[]> {
    const versions = new Map<number, Uint8Array[]>();
    const add = (at: number, bytes: Uint8Array): void => {
      const sector = at / SECTOR_BYTES;
      const known = versions.get(sector);
      if (known) known.push(bytes);
      else versions.set(sector, [bytes]);
    };
    for (const one of this.#unflushed) {
      const before = this.#bytesOf(one);
      for (let at = 0; at < before.length; at += SECTOR_BYTES) {
        add(one.offset + at, before.subarray(at, at + SECTOR_BYTES));
      }
    }
    for (const sector of versions.keys()) {
      const at = sector * SECTOR_BYTES;
      add(at, this.content.slice(at, at + SECTOR_BYTES));
    }
    return versions;
  }

  #call(errno: number): number {
    const { prng } = this.#world;
    this.#costMs += 0.02 + this.faults.slowMs * this.#world.fraction();
    return errno !== 0 && prng.below(1000) < this.faults.perMille ? errno : 0;
  }

  #put(offset: number, from: Uint8Array): void {
    if (from.length === 0 || offset < 0) return;
    // Whole sectors, as they were: a medium takes no less.
    const begin = offset - (offset % SECTOR_BYTES);
    const end = Math.min(this.content.length, Math.ceil((offset + from.length) / SECTOR_BYTES) * SECTOR_BYTES);
    const at = this.#arenaBytes;
    this.#arenaBytes += end - begin;
    if (this.#arenaBytes > this.#arena.length) {
      const larger = new Uint8Array(2 * this.#arenaBytes);
      larger.set(this.#arena);
      this.#arena = larger;
    }
    this.#arena.set(this.content.subarray(begin, end), at);
    this.#unflushed.push({ offset: begin, length: end - begin, at });
    this.content.set(from, offset);
    this.version++;
  }
}

/** A disk as one opened file of a process. */
export class SimFile implements VolumeDevice {
  readonly #disk: SimDisk;

  constructor(disk: SimDisk) {
    this.#disk = disk;
  }

  get bytes(): number {
    return this.#disk.bytes;
  }

  read(offset: number, into: Uint8Array): number {
    return this.#disk.read(offset, into);
  }

  write(offset: number, from: Uint8Array): number {
    return this.#disk.write(offset, from);
  }

  zero(offset: number, length: number): number {
    return this.#disk.zero(offset, length);
  }

  flush(): number {
    return this.#disk.flush();
  }

  close(): void {}
}
