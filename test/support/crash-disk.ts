/**
 * A disk that can lose power: of what was not flushed, each 512-byte sector then has any of the contents it had since the
 * last flush. Reads see the newest content until then.
 */
import type { Disk } from '../../agent/mirror/store/disk.ts';
import type { Prng } from '../../agent/base/prng.ts';

export const SECTOR_BYTES = 512;

export class CrashDisk implements Disk {
  readonly content: Uint8Array;
  /** Contents that each unflushed sector had, the flushed one first. */
  readonly #unflushed = new Map<number, Uint8Array[]>();
  writes = 0;
  flushes = 0;
  closed = 0;
  /** A negative errno to answer instead, or null to do the work. */
  readFault: () => number | null = () => null;
  writeFault: (offset: number, length: number) => number | null = () => null;
  flushFault: () => number | null = () => null;

  constructor(bytes: number) {
    this.content = new Uint8Array(bytes);
  }

  get bytes(): number {
    return this.content.length;
  }

  read(offset: number, into: Uint8Array): number {
    const fault = this.readFault();
    if (fault !== null) return fault;
    const piece = this.content.subarray(offset, offset + into.length);
    into.set(piece);
    return piece.length;
  }

  write(offset: number, from: Uint8Array): number {
    const fault = this.writeFault(offset, from.length);
    if (fault !== null) return fault;
    this.writes++;
    this.#remember(offset, from.length);
    this.content.set(from, offset);
    return from.length;
  }

  zero(offset: number, length: number): number {
    return Math.min(0, this.write(offset, new Uint8Array(length)));
  }

  /** A flush that fails loses what it could not write: the sectors go back, as after the system dropped its pages. */
  flush(): number {
    const fault = this.flushFault();
    if (fault !== null) {
      for (const [sector, [first]] of this.#unflushed) if (first) this.content.set(first, sector * SECTOR_BYTES);
      this.#unflushed.clear();
      return fault;
    }
    this.flushes++;
    this.#unflushed.clear();
    return 0;
  }

  close(): void {
    this.closed++;
  }

  /** Power is lost and comes back. */
  crash(random: Prng): void {
    for (const [sector, versions] of this.#unflushed) {
      const at = sector * SECTOR_BYTES;
      this.content.set(random.pick([...versions, this.#sector(sector)]), at);
    }
    this.#unflushed.clear();
  }

  /** Changes what is there, as rot does. */
  rot(offset: number): void {
    this.content[offset] = (this.content[offset] ?? 0) ^ 0x40;
  }

  #sector(sector: number): Uint8Array {
    return this.content.slice(sector * SECTOR_BYTES, (sector + 1) * SECTOR_BYTES);
  }

  #remember(offset: number, length: number): void {
    const last = Math.floor((offset + length - 1) / SECTOR_BYTES);
    for (let sector = Math.floor(offset / SECTOR_BYTES); sector <= last; sector++) {
      const versions = this.#unflushed.get(sector);
      if (versions) versions.push(this.#sector(sector));
      else this.#unflushed.set(sector, [this.#sector(sector)]);
    }
  }
}
