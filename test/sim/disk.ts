/**
 * One shared volume in memory, and each node's faulty way to it. Faults lie over clean bytes: writes that come in pieces
 * and in any order, that are cut off by a crash, go to a wrong place, take long, hang or fail; reads that show the past.
 *
 * Production writes synchronously. Here a write is captured when it is begun and gets its result; its bytes reach the
 * volume between then and its end; the thread that wrote stands still until the end (`node.ts` sees to that).
 */
import type { Disk } from '../../agent/volume/disk.ts';
import { other, type NodeIndex } from './network.ts';
import type { World } from './world.ts';

export interface DiskFaults {
  /** Errno for all reads or writes; 0: they succeed. */
  readErrno: number;
  writeErrno: number;
  /** Every write, every read takes up to this much longer. */
  slowWriteMs: number;
  slowReadMs: number;
  /** Until then nothing comes back. */
  writesHangUntilMs: number;
  readsHangUntilMs: number;
  /** Writes become visible piece by piece, in any order. */
  inPieces: boolean;
  /** Half of the reads show the volume as it was at this copy's time. */
  past: Uint8Array | null;
  /** So many of the next writes go to a wrong place. */
  misdirect: number;
}

const GOOD_DISK: Readonly<DiskFaults> = {
  readErrno: 0,
  writeErrno: 0,
  slowWriteMs: 0,
  slowReadMs: 0,
  writesHangUntilMs: 0,
  readsHangUntilMs: 0,
  inPieces: true,
  past: null,
  misdirect: 0,
};

export interface CapturedWrite {
  offset: number;
  readonly bytes: Uint8Array;
}

interface Piece {
  readonly offset: number;
  readonly bytes: Uint8Array;
  done: boolean;
}

const SECTOR_BYTES = 512;
const PIECES_MAX = 6;

export class Volume {
  readonly bytes: Uint8Array;
  /** Raised with every change by each node's writes: a reader need not look again while it stands. */
  readonly versions: [number, number] = [1, 1];

  constructor(sizeBytes: number) {
    this.bytes = new Uint8Array(sizeBytes);
  }
}

export class NodeDisk implements Disk {
  readonly bytes: number;
  readonly faults: DiskFaults = { ...GOOD_DISK };
  readonly #world: World;
  readonly #volume: Volume;
  readonly #node: NodeIndex;
  /** Where the two nodes' slots lie, for writes that miss. */
  readonly #slotBytes: number;
  #captured: CapturedWrite[] = [];
  #pieces: Piece[] = [];

  constructor(world: World, volume: Volume, node: NodeIndex, slotBytes: number) {
    this.#world = world;
    this.#volume = volume;
    this.#node = node;
    this.#slotBytes = slotBytes;
    this.bytes = volume.bytes.length;
    this.own = {
      bytes: this.bytes,
      read: (offset, into) => this.#read(offset, into, null),
      write: (offset, from) => this.write(offset, from),
    };
  }

  /** The way of the writer to its own slot: copies lag, what was written to the original does not. */
  readonly own: Disk;

  read(offset: number, into: Uint8Array): number {
    return this.#read(offset, into, this.faults.past);
  }

  #read(offset: number, into: Uint8Array, past: Uint8Array | null): number {
    const { readErrno } = this.faults;
    if (readErrno !== 0) return -readErrno;
    const source = past && this.#world.prng.chance(1, 2) ? past : this.#volume.bytes;
    into.set(source.subarray(offset, offset + into.length));
    return into.length;
  }

  write(offset: number, from: Uint8Array): number {
    const { writeErrno } = this.faults;
    if (writeErrno !== 0) return -writeErrno;
    this.#captured.push({ offset, bytes: from.slice() });
    return from.length;
  }

  /** The writes since the last call: what one production call has begun. */
  takeCaptured(): CapturedWrite[] {
    const captured = this.#captured;
    this.#captured = [];
    return captured;
  }

  /** How long an operation begun now takes. */
  writeMs(): number {
    const { slowWriteMs, writesHangUntilMs } = this.faults;
    const hang = Math.max(0, writesHangUntilMs - this.#world.nowMs);
    return hang + this.#world.within(0.05, 0.15) + this.#world.fraction() * slowWriteMs;
  }

  readMs(): number {
    const { slowReadMs, readsHangUntilMs } = this.faults;
    return Math.max(0, readsHangUntilMs - this.#world.nowMs) + this.#world.fraction() * slowReadMs;
  }

  /** Brings the writes onto the volume, one after the other, all of them by `endMs`. */
  putBy(endMs: number, writes: readonly CapturedWrite[]): void {
    let fromMs = Math.max(this.#world.nowMs, this.faults.writesHangUntilMs);
    writes.forEach((write, i) => {
      const untilMs = fromMs + (endMs - fromMs) / (writes.length - i);
      this.#misdirect(write);
      for (const piece of this.#cut(write)) {
        this.#pieces.push(piece);
        this.#world.at(this.#world.within(fromMs, untilMs), () => this.#put(piece));
      }
      fromMs = untilMs;
    });
  }

  #misdirect(write: CapturedWrite): void {
    if (this.faults.misdirect === 0) return;
    this.faults.misdirect--;
    const away = this.#node === 0 ? this.#slotBytes : -this.#slotBytes;
    const isHead = write.offset < 512 * 1024;
    write.offset += isHead ? (this.#node === 0 ? 4096 : -4096) : away;
    this.#volume.versions[other(this.#node)]++;
    this.#world.note(`disk ${this.#node}: a write of ${write.bytes.length} goes astray, to ${write.offset}`);
  }

  #cut({ offset, bytes }: CapturedWrite): Piece[] {
    const { prng } = this.#world;
    const sectors = bytes.length / SECTOR_BYTES;
    const count = this.faults.inPieces ? Math.min(sectors, prng.between(1, PIECES_MAX)) : 1;
    const cuts = [0, sectors];
    for (let i = 1; i < count; i++) cuts.push(prng.below(sectors));
    cuts.sort((a, b) => a - b);
    const pieces: Piece[] = [];
    for (let i = 1; i < cuts.length; i++) {
      const start = (cuts[i - 1] ?? 0) * SECTOR_BYTES;
      const end = (cuts[i] ?? 0) * SECTOR_BYTES;
      if (end > start) pieces.push({ offset: offset + start, bytes: bytes.subarray(start, end), done: false });
    }
    return pieces;
  }

  #put(piece: Piece): void {
    if (piece.done) return;
    piece.done = true;
    this.#volume.bytes.set(piece.bytes, piece.offset);
    this.#volume.versions[this.#node]++;
    if (this.#pieces.length > 64) this.#pieces = this.#pieces.filter(({ done }) => !done);
  }

  /** The writer died: of what is on its way some pieces still arrive, the rest never does. */
  crash(): void {
    const { prng } = this.#world;
    const survives = prng.below(3);
    for (const piece of this.#pieces) {
      if (piece.done) continue;
      if (survives === 2 || (survives === 1 && prng.chance(1, 2))) this.#put(piece);
      piece.done = true;
    }
    this.#pieces = [];
    this.#captured = [];
  }

  /** The volume as it is now, to be shown later. */
  remember(): void {
    this.faults.past = this.#volume.bytes.slice();
  }

  get hangs(): boolean {
    const { writesHangUntilMs, readsHangUntilMs } = this.faults;
    return Math.max(writesHangUntilMs, readsHangUntilMs) > this.#world.nowMs;
  }

  /** Ends the faults. What hangs, hangs on to its end. */
  heal(): void {
    const { writesHangUntilMs, readsHangUntilMs } = this.faults;
    Object.assign(this.faults, GOOD_DISK, { writesHangUntilMs, readsHangUntilMs });
  }
}
