/**
 * A node's faulty ways to the volumes. Faults lie over clean bytes: writes that come in pieces and in any order, that are
 * cut off by a crash, go to a wrong place, take long, hang or fail; reads that show the past.
 *
 * Production writes synchronously. Here a write is captured when it is begun and gets its result; its bytes reach the
 * volume between then and its end; the thread that wrote stands still until the end (`agent-threads.ts` sees to that).
 */
import type { Disk } from '../../agent/volume/disk.ts';
import type { NodeIndex } from './pairs.ts';
import { GOOD_READS, ReadDisk, type ReadFaults } from './read-disk.ts';
import type { Volume, Volumes } from './volumes.ts';
import type { World } from './world.ts';

export interface WriteFaults {
  /** Errno for all writes; 0: they succeed. */
  writeErrno: number;
  /** Every write takes up to this much longer. */
  slowWriteMs: number;
  /** Until then nothing comes back. */
  writesHangUntilMs: number;
  /** Writes become visible piece by piece, in any order. */
  inPieces: boolean;
  /** So many of the next writes go to a wrong place. */
  misdirect: number;
}

export type DiskFaults = WriteFaults & ReadFaults;

const GOOD_WRITES: Readonly<WriteFaults> = {
  writeErrno: 0,
  slowWriteMs: 0,
  writesHangUntilMs: 0,
  inPieces: true,
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
const HEADS_END = 512 * 1024;

/** The way of a writer to its own slot: copies lag, what was written to the original does not. */
export class WriteDisk implements Disk {
  readonly bytes: number;
  readonly faults: WriteFaults = { ...GOOD_WRITES };
  readonly #world: World;
  readonly #volumes: Volumes;
  readonly #volume: Volume;
  readonly #node: NodeIndex;
  /** Reads of the own slot fail together with those of the peers'. */
  readonly #reads: ReadFaults;
  #captured: CapturedWrite[] = [];
  #pieces: Piece[] = [];

  constructor(world: World, volumes: Volumes, node: NodeIndex, reads: ReadFaults) {
    this.#world = world;
    this.#volumes = volumes;
    this.#node = node;
    this.#reads = reads;
    this.#volume = volumes.get(volumes.indexOf(node));
    this.bytes = this.#volume.bytes.length;
  }

  read(offset: number, into: Uint8Array): number {
    const { readErrno } = this.#reads;
    if (readErrno !== 0) return -readErrno;
    into.set(this.#volume.bytes.subarray(offset, offset + into.length));
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

  /** It lands in the next node's place. */
  #misdirect(write: CapturedWrite): void {
    if (this.faults.misdirect === 0) return;
    this.faults.misdirect--;
    const volumes = this.#volumes;
    const on = volumes.indexOf(this.#node);
    const victim = (this.#node + 1) % volumes.count;
    const away = volumes.slotOn(on, victim) - volumes.slotOn(on, this.#node);
    write.offset += away * (write.offset < HEADS_END ? 4096 : volumes.slotBytes);
    this.#volume.changed(victim);
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
    this.#volume.changed(this.#node);
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

  /** Ends the faults. What hangs, hangs on to its end. */
  heal(): void {
    const { writesHangUntilMs } = this.faults;
    Object.assign(this.faults, GOOD_WRITES, { writesHangUntilMs });
  }
}

/** All ways of one node to the volumes. */
export class NodeDisks {
  readonly reads: readonly ReadDisk[];
  readonly own: WriteDisk;
  readonly #world: World;

  constructor(world: World, volumes: Volumes, node: NodeIndex) {
    this.#world = world;
    this.reads = volumes
      .readBy(node)
      .map(({ index, writers }) => new ReadDisk(world, volumes.get(index), node, writers));
    // The own slot lies where the peers' do when one volume is shared, and is read as they are.
    const ownReads = volumes.isShared ? (this.reads[0] as ReadDisk).faults : { ...GOOD_READS };
    this.own = new WriteDisk(world, volumes, node, ownReads);
  }

  /** An agent that starts now would wait. */
  get hangs(): boolean {
    const until = [this.own.faults.writesHangUntilMs, ...this.reads.map(({ faults }) => faults.readsHangUntilMs)];
    return Math.max(...until) > this.#world.nowMs;
  }

  heal(): void {
    this.own.heal();
    for (const disk of this.reads) disk.heal();
  }
}
