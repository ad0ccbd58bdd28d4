/** A disk in memory for tests of what reads and writes volumes; faults are laid over it by the test. */
import type { Disk } from '../../agent/volume/disk.ts';

export class MemoryDisk implements Disk {
  readonly content: Uint8Array;
  reads = 0;
  writes: { offset: number; length: number }[] = [];
  /** A negative errno to answer instead, or null to do the work. */
  readFault: (offset: number, length: number) => number | null = () => null;
  writeFault: (offset: number, length: number) => number | null = () => null;

  constructor(bytes: number) {
    this.content = new Uint8Array(bytes);
  }

  get bytes(): number {
    return this.content.length;
  }

  read(offset: number, into: Uint8Array): number {
    this.reads++;
    const fault = this.readFault(offset, into.length);
    if (fault !== null) return fault;
    const piece = this.content.subarray(offset, offset + into.length);
    into.set(piece);
    return piece.length;
  }

  write(offset: number, from: Uint8Array): number {
    const fault = this.writeFault(offset, from.length);
    if (fault !== null) return fault;
    this.writes.push({ offset, length: from.length });
    this.content.set(from, offset);
    return from.length;
  }
}
