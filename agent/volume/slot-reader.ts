/**
 * Reads one peer's ring. Pure but for the disk it is given: `poll(nowMs)` reads what is there and answers what it was.
 *
 * Always true:
 * - Only batches of the accepted incarnation, with a rising order mark, at the position that follows the last one, and
 *   with a proof that holds are handed on. Everything else is counted by kind and passed over.
 * - A batch that looks torn or damaged may still be on its way: it is looked at again until `patienceMs` is over, and
 *   given up only when the peer's head block says that the writer has gone on.
 */
import { BATCH_BYTES_MAX, BATCH_FLAG, BLOCK_BYTES } from './layout.ts';
import { isAddressedTo, openBatch, peekBatch, type BatchFault, type BatchHeader } from './batch.ts';
import type { Disk, SlotGeometry } from './disk.ts';
import type { Seal, SealFactory } from '../wire/seal.ts';
import { sameBytes } from '../base/bytes.ts';

export const READ_COUNTERS = [
  'batches',
  'torn',
  'stale',
  'foreign',
  'damaged',
  'replayed',
  'overruns',
  'skipped',
] as const;
export type ReadCounter = (typeof READ_COUNTERS)[number];

export type PollResult =
  /** A batch was handed on; there may be more. */
  | 'batch'
  /** Nothing new. */
  | 'empty'
  /** The disk answered an error; `lastErrno` has it. */
  | 'error'
  /** The consumer has no room: the same batch comes again. */
  | 'held';

/** Gets an opened batch; false means "no room now", and the batch is offered again at the next poll. */
export type BatchSink = (bytes: Uint8Array, header: BatchHeader) => boolean;

export class SlotReader {
  readonly #disk: Disk;
  readonly #geometry: SlotGeometry;
  readonly #nodeIndex: number;
  readonly #clusterUuid: Uint8Array;
  readonly #sealFor: SealFactory;
  readonly #memory: Uint8Array;
  readonly #patienceMs: number;
  readonly counters: Record<ReadCounter, number> = {
    batches: 0,
    torn: 0,
    stale: 0,
    foreign: 0,
    damaged: 0,
    replayed: 0,
    overruns: 0,
    skipped: 0,
  };

  /** Batches that have nothing for this slot are passed over; null: everything is read. */
  readonly #ownSlot: number | null;
  #incarnation: Uint8Array = new Uint8Array(16);
  #seal: Seal | null = null;
  #position = 0;
  #lastMark = 0;
  #headPosition = 0;
  /** Since when the place that we wait at looks bad although the writer has passed it; -1 when it does not. */
  #badSinceMs = -1;
  /** Since when the place cannot be read; -1 when it can. */
  #unreadableMs = -1;
  #sawNewHead = false;
  /** Where we wait lies a batch of a later lap; the head block, which tells where the writer is, was read before that. */
  isOverrun = false;
  #readBytes = BLOCK_BYTES;
  lastErrno = 0;
  /** Bytes of batches for others that were passed over; whoever confirms them sets it back. */
  passedOverBytes = 0;

  constructor(
    disk: Disk,
    geometry: SlotGeometry,
    nodeIndex: number,
    clusterUuid: Uint8Array,
    sealFor: SealFactory,
    memory: Uint8Array,
    patienceMs: number,
    ownSlot: number | null = null,
  ) {
    this.#disk = disk;
    this.#geometry = geometry;
    this.#nodeIndex = nodeIndex;
    this.#clusterUuid = clusterUuid;
    this.#sealFor = sealFor;
    this.#memory = memory;
    this.#patienceMs = patienceMs;
    this.#ownSlot = ownSlot;
  }

  /** How far this reader has come: everything before is read. */
  get position(): number {
    return this.#position;
  }

  get accepting(): boolean {
    return this.#seal !== null;
  }

  /** Begins with an incarnation at a position (its own start, or the head when what came before is of no use). */
  accept(incarnation: Uint8Array, position: number, orderMark: number): void {
    this.#incarnation = incarnation.slice();
    this.#seal = this.#sealFor(incarnation, this.#nodeIndex, 'batch');
    this.#position = position;
    this.#lastMark = orderMark;
    this.#badSinceMs = -1;
    this.#unreadableMs = -1;
    // A head of the predecessor says nothing about this one's ring: it could lie far ahead for ever.
    this.#headPosition = position;
  }

  /** Reads nothing until an incarnation is accepted again. */
  refuse(): void {
    this.#seal = null;
  }

  /** The peer's head block was read: the writer will write at `position` next. */
  sawHead(position: number): void {
    this.#headPosition = position;
    this.#sawNewHead = true;
  }

  /** True when the head block says that there is more to read: worth a look at once. */
  get isBehind(): boolean {
    return this.#headPosition > this.#position;
  }

  /** Reads at the position and hands on one batch, if a good one is there. */
  poll(nowMs: number, sink: BatchSink): PollResult {
    if (this.#seal === null) return 'empty';
    const offset = this.#position % this.#geometry.slotBytes;
    const space = this.#geometry.slotBytes - offset;
    const bytes = this.#memory.subarray(0, Math.min(this.#readBytes, space, BATCH_BYTES_MAX));
    if (!this.#readInto(offset, bytes)) return this.#unreadable(nowMs);
    const peek = peekBatch(bytes, this.#nodeIndex, this.#clusterUuid, this.#position, space);
    if (!peek.ok) {
      this.#unreadableMs = -1;
      return this.#nothingGood(peek.fault, nowMs);
    }
    const { header } = peek;
    if (this.#isForOthers(header)) return this.#passOver(header);
    const whole = this.#memory.subarray(0, header.batchBytes);
    const rest = whole.subarray(bytes.length);
    if (rest.length > 0 && !this.#readInto(offset + bytes.length, rest)) return this.#unreadable(nowMs);
    this.#unreadableMs = -1;
    this.#readBytes = this.#nextReadBytes(header.batchBytes);
    if (!sameBytes(header.incarnation, 0, this.#incarnation, 0, 16)) return this.#nothingGood('stale', nowMs);
    if (header.orderMark <= this.#lastMark) return this.#nothingGood('replayed', nowMs);
    const opened = openBatch(whole, header, this.#seal);
    if (opened !== 'ok') return this.#nothingGood(opened, nowMs);
    return this.#handOn(whole, header, space, sink);
  }

  #isForOthers(header: BatchHeader): boolean {
    if (this.#ownSlot === null || (header.flags & BATCH_FLAG.wrap) !== 0 || isAddressedTo(header, this.#ownSlot))
      return false;
    return sameBytes(header.incarnation, 0, this.#incarnation, 0, 16) && header.orderMark > this.#lastMark;
  }

  /**
   * Nothing of it is believed but the length, for the proof is not looked at: the order mark does not count as seen. Where
   * a wrong length leads there is no good batch, and the reader finds the way back as behind any damage.
   */
  #passOver(header: BatchHeader): PollResult {
    this.#readBytes = BLOCK_BYTES;
    this.#unreadableMs = -1;
    this.#badSinceMs = -1;
    this.isOverrun = false;
    this.#position += header.batchBytes;
    this.passedOverBytes += header.batchBytes;
    return 'batch';
  }

  #handOn(whole: Uint8Array, header: BatchHeader, space: number, sink: BatchSink): PollResult {
    const wraps = (header.flags & BATCH_FLAG.wrap) !== 0;
    if (!wraps && !sink(whole, header)) return 'held';
    this.isOverrun = false;
    this.#position += wraps ? space : header.batchBytes;
    this.#lastMark = header.orderMark;
    this.#badSinceMs = -1;
    this.counters.batches++;
    return 'batch';
  }

  /** Batches come in similar sizes: the next read is as long as the last batch was, and shrinks by half otherwise. */
  #nextReadBytes(batchBytes: number): number {
    if (batchBytes >= this.#readBytes) return Math.min(batchBytes, BATCH_BYTES_MAX);
    return Math.max(BLOCK_BYTES, batchBytes, Math.floor(this.#readBytes / 2 / BLOCK_BYTES) * BLOCK_BYTES);
  }

  #readInto(offset: number, bytes: Uint8Array): boolean {
    const got = this.#disk.read(this.#geometry.slotOffset + offset, bytes);
    this.lastErrno = got === bytes.length ? 0 : got < 0 ? got : -5;
    return this.lastErrno === 0;
  }

  /**
   * A disk that answers nothing is waited for. But a new head block that names a later position was read meanwhile:
   * then it is this place alone, and the writer may have given it up.
   */
  #unreadable(nowMs: number): PollResult {
    this.#readBytes = BLOCK_BYTES; // a longer read fails for what lies behind a good batch
    if (this.#unreadableMs < 0) {
      this.#unreadableMs = nowMs;
      this.#sawNewHead = false;
    }
    const isPlace = this.#sawNewHead && this.isBehind && nowMs - this.#unreadableMs >= this.#patienceMs;
    if (!isPlace) return 'error';
    this.counters.damaged++;
    return this.#goOn();
  }

  /**
   * No batch to believe here. Usually the writer has not come yet. When its head says that it has passed, the copy may
   * still be on its way; after `patienceMs` the reader goes on to the next good batch.
   */
  #nothingGood(fault: BatchFault | 'replayed', nowMs: number): PollResult {
    this.isOverrun = fault === 'ahead' && !this.isBehind;
    if (!this.isBehind) {
      // Also when the block is of a later lap: the head that says so comes soon, or the block is damaged.
      this.#badSinceMs = -1;
      return 'empty';
    }
    if (fault === 'ahead' || this.#headPosition - this.#position > this.#geometry.slotBytes) return this.#toHead();
    if (this.#badSinceMs < 0) {
      this.#badSinceMs = nowMs;
    } else if (nowMs - this.#badSinceMs >= this.#patienceMs) {
      this.#count(fault);
      return this.#goOn();
    }
    return 'empty';
  }

  /**
   * The writer has come round. What it left behind itself is old, and the next to be overwritten: reading goes on at its
   * head, and the senders' lanes send again what is not confirmed.
   */
  #toHead(): PollResult {
    this.counters.overruns++;
    this.counters.skipped++;
    this.#badSinceMs = -1;
    this.#position = this.#headPosition;
    return 'batch';
  }

  #count(fault: BatchFault | 'replayed'): void {
    if (fault === 'torn' || fault === 'stale' || fault === 'foreign' || fault === 'replayed') this.counters[fault]++;
    else this.counters.damaged++;
  }

  /**
   * Looks for the next good batch up to the writer's head, block by block; without one, waits at the head. At a block that
   * cannot be read it stops: the disk may have gone silent.
   */
  #goOn(): PollResult {
    this.counters.skipped++;
    this.#badSinceMs = -1;
    this.#unreadableMs = -1;
    const { slotBytes } = this.#geometry;
    let position = Math.max(this.#position + BLOCK_BYTES, this.#headPosition - slotBytes);
    for (; position < this.#headPosition; position += BLOCK_BYTES) {
      const offset = position % slotBytes;
      const space = Math.min(slotBytes - offset, BATCH_BYTES_MAX);
      const head = this.#memory.subarray(0, BLOCK_BYTES);
      if (!this.#readInto(offset, head)) break;
      const peek = peekBatch(head, this.#nodeIndex, this.#clusterUuid, position, space);
      if (!peek.ok || !sameBytes(peek.header.incarnation, 0, this.#incarnation, 0, 16)) continue;
      const whole = this.#memory.subarray(0, peek.header.batchBytes);
      if (!this.#readInto(offset, whole)) break;
      if (this.#seal && openBatch(whole, peek.header, this.#seal) === 'ok') break;
    }
    this.#position = Math.min(position, Math.max(this.#headPosition, this.#position));
    return 'batch';
  }
}

/** Bytes of page-aligned memory that a reader needs. */
export const READER_MEMORY_BYTES: number = BATCH_BYTES_MAX;
