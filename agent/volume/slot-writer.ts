/**
 * Writes one node's slot: batches into its ring, its head block into the table.
 *
 * Always true:
 * - [ORD2] an order mark is used for one batch only, over restarts: `reservedMark` in the head block is on the volume
 *   before any mark at or beyond the former reservation is used, and a new incarnation begins at it.
 * - A batch that could not be written is written again unchanged (same place, same mark, same bytes) until it is there.
 * - All state lies in `state`, which may be shared memory: a successor of a dead thread takes over from it.
 */
import { dataView, getU64, sameBytes } from '../base/bytes.ts';
import { AgentError, assert } from '../base/errors.ts';
import { BatchBuilder, type BatchIdentity, batchFlags, openBatch, peekBatch, type BatchHeader } from './batch.ts';
import type { Disk, SlotGeometry } from './disk.ts';
import { decodeHead, encodeHead, type Head, type HeadEntry } from './head.ts';
import { BATCH, BATCH_BYTES_MAX, BATCH_FLAG, BLOCK_BYTES, HEAD, HEAD_STATE, HEAD_TABLE_OFFSET } from './layout.ts';
import type { Seal, SealFactory } from '../wire/seal.ts';

/** Words of the writer's state (64-bit floats holding whole numbers). */
export const WRITER = {
  /** The newest order mark used. */
  orderMark: 0,
  reservedMark: 1,
  position: 2,
  startPosition: 3,
  headMark: 4,
  incarnationNumber: 5,
  /** Bytes of a batch that was begun and not seen to end; 0 when none. */
  pendingBytes: 6,
} as const;
export const WRITER_WORDS = 8;

/** Order marks reserved by one write of the head block. */
export const MARK_RESERVE = 1 << 20;

export interface SlotIdentity {
  readonly nodeIndex: number;
  readonly clusterUuid: Uint8Array;
  readonly incarnation: Uint8Array;
  readonly hostId: Uint8Array;
  readonly pid: number;
  readonly sealed: boolean;
  readonly keyId: Uint8Array;
}

export interface Times {
  readonly wallUs: number;
  readonly monotonicUs: number;
}

export class SlotWriter {
  readonly #disk: Disk;
  readonly #geometry: SlotGeometry;
  readonly #identity: SlotIdentity;
  readonly #stamp: BatchIdentity;
  readonly #state: Float64Array;
  readonly #sealFor: SealFactory;
  readonly #headSeal: Seal;
  readonly #batchSeal: Seal;
  readonly #headBlock: Uint8Array;
  readonly #wrapBlock: BatchBuilder;
  readonly builder: BatchBuilder;

  /** `memory`: page-aligned, at least {@link SlotWriter.memoryBytes}. */
  constructor(
    disk: Disk,
    geometry: SlotGeometry,
    identity: SlotIdentity,
    sealFor: SealFactory,
    state: Float64Array,
    memory: Uint8Array,
  ) {
    this.#disk = disk;
    this.#geometry = geometry;
    this.#identity = identity;
    const { nodeIndex, clusterUuid, incarnation } = identity;
    this.#stamp = { nodeIndex, clusterUuid, incarnation, orderMark: 0, position: 0, wallUs: 0, monotonicUs: 0 };
    this.#state = state;
    this.#sealFor = sealFor;
    this.#headSeal = sealFor(identity.incarnation, identity.nodeIndex, 'head');
    this.#batchSeal = sealFor(identity.incarnation, identity.nodeIndex, 'batch');
    this.builder = new BatchBuilder(memory.subarray(0, BATCH_BYTES_MAX));
    this.#wrapBlock = new BatchBuilder(memory.subarray(BATCH_BYTES_MAX, 2 * BATCH_BYTES_MAX));
    this.#headBlock = memory.subarray(2 * BATCH_BYTES_MAX, 2 * BATCH_BYTES_MAX + BLOCK_BYTES);
  }

  static readonly memoryBytes: number = 2 * BATCH_BYTES_MAX + BLOCK_BYTES;

  #word(index: number): number {
    return this.#state[index] ?? 0;
  }

  get position(): number {
    return this.#word(WRITER.position);
  }

  /** Bytes of the batch that is sealed and not yet written. */
  get pendingBytes(): number {
    return this.#word(WRITER.pendingBytes);
  }

  /**
   * Takes over from a thread that died: a batch that it had begun is either whole on the volume (then it counts) or not
   * (then its place is used again; its mark is not).
   */
  resume(scratch: Uint8Array): void {
    const pending = this.#word(WRITER.pendingBytes);
    if (pending === 0) return;
    const offset = this.#offsetOf(this.position);
    const bytes = scratch.subarray(0, pending);
    if (this.#disk.read(offset, bytes) === pending) {
      const { nodeIndex, clusterUuid } = this.#identity;
      const peek = peekBatch(bytes, nodeIndex, clusterUuid, this.position, pending);
      const whole = peek.ok && openBatch(bytes, peek.header, this.#batchSeal) === 'ok';
      if (whole) this.#state[WRITER.position] = this.position + pending;
    }
    this.#state[WRITER.pendingBytes] = 0;
  }

  #offsetOf(position: number): number {
    return this.#geometry.slotOffset + (position % this.#geometry.slotBytes);
  }

  /** Ring bytes that a batch of `bytes` takes at the present position, what is lost before the end included. */
  spaceFor(bytes: number): number {
    const left = this.#geometry.slotBytes - (this.position % this.#geometry.slotBytes);
    return left >= bytes ? bytes : left + bytes;
  }

  /** True when the reservation on the volume covers the next two marks (a wrap and a batch). */
  get hasMarks(): boolean {
    return this.#word(WRITER.orderMark) + 2 < this.#word(WRITER.reservedMark);
  }

  /** True when a head write should extend the reservation soon. */
  get wantsMarks(): boolean {
    return this.#word(WRITER.orderMark) + MARK_RESERVE / 2 > this.#word(WRITER.reservedMark);
  }

  /** Begins a write: seals what the builder holds. `writePending` then puts it on the volume. */
  seal(times: Times): void {
    assert(this.hasMarks, 'order mark beyond the reservation');
    this.#wrapIfNeeded(times);
    this.#state[WRITER.pendingBytes] = this.builder.batchBytes;
    const bytes = this.builder.finish(
      this.#nextIdentity(times),
      this.#batchSeal,
      batchFlags(this.#identity.sealed, false),
    );
    assert(bytes === this.#word(WRITER.pendingBytes), 'batch grew while it was sealed');
  }

  /** The next batch's stamp. The same object each time: nothing is allocated for a batch. */
  #nextIdentity(times: Times): BatchIdentity {
    const stamp = this.#stamp;
    stamp.orderMark = this.#word(WRITER.orderMark) + 1;
    this.#state[WRITER.orderMark] = stamp.orderMark;
    stamp.position = this.position;
    stamp.wallUs = times.wallUs;
    stamp.monotonicUs = times.monotonicUs;
    return stamp;
  }

  /** Where the batch would not fit before the ring's end, a batch with nothing but the flag `wrap` closes the lap. */
  #wrapIfNeeded(times: Times): void {
    const left = this.#geometry.slotBytes - (this.position % this.#geometry.slotBytes);
    if (left >= this.builder.batchBytes) return;
    this.#wrapBlock.begin();
    const flags = batchFlags(this.#identity.sealed, true);
    const bytes = this.#wrapBlock.finish(this.#nextIdentity(times), this.#batchSeal, flags);
    this.#wrapPending = { offset: this.#offsetOf(this.position), bytes };
    this.#state[WRITER.position] = this.position + left;
  }
  #wrapPending: { offset: number; bytes: number } | null = null;

  /** Puts the sealed batch on the volume; 0, or a negative errno after which the same call is to be made again. */
  writePending(): number {
    if (this.#wrapPending) {
      const { offset, bytes } = this.#wrapPending;
      const done = this.#disk.write(offset, this.#wrapBlock.memory.subarray(0, bytes));
      if (done !== bytes) return done < 0 ? done : -5;
      this.#wrapPending = null;
    }
    const bytes = this.#word(WRITER.pendingBytes);
    const done = this.#disk.write(this.#offsetOf(this.position), this.builder.memory.subarray(0, bytes));
    if (done !== bytes) return done < 0 ? done : -5;
    this.#state[WRITER.position] = this.position + bytes;
    this.#state[WRITER.pendingBytes] = 0;
    return 0;
  }

  /** Writes the head block; 0 or a negative errno. Reserves order marks when fewer than half are left. */
  writeHead(times: Times, state: number, entries: HeadEntry[]): number {
    const reserved = this.wantsMarks ? this.#word(WRITER.orderMark) + MARK_RESERVE : this.#word(WRITER.reservedMark);
    const headMark = this.#word(WRITER.headMark) + 1;
    this.#state[WRITER.headMark] = headMark;
    const head: Head = {
      ...this.#identity,
      incarnationNumber: this.#word(WRITER.incarnationNumber),
      state,
      headMark,
      orderMark: this.#word(WRITER.orderMark),
      reservedMark: reserved,
      position: this.position,
      startPosition: this.#word(WRITER.startPosition),
      ...times,
      entries,
    };
    encodeHead(head, this.#headSeal, this.#identity.sealed, this.#headBlock);
    const done = this.#disk.write(HEAD_TABLE_OFFSET + this.#identity.nodeIndex * BLOCK_BYTES, this.#headBlock);
    if (done !== BLOCK_BYTES) return done < 0 ? done : -5;
    this.#state[WRITER.reservedMark] = reserved;
    return 0;
  }

  /**
   * False when a successor writes our head block: an authentic head of our slot with another incarnation, not older than
   * we are. What cannot be read, a write that went astray, and a predecessor's head that a late copy shows say nothing.
   */
  ownsHead(): boolean {
    const { nodeIndex, clusterUuid, incarnation } = this.#identity;
    const offset = HEAD_TABLE_OFFSET + nodeIndex * BLOCK_BYTES;
    if (this.#disk.read(offset, this.#headBlock) !== BLOCK_BYTES) return true;
    if (sameBytes(this.#headBlock, HEAD.at.incarnation, incarnation, 0, 16)) return true;
    const found = decodeHead(this.#headBlock, nodeIndex, clusterUuid, this.#sealFor);
    return !found.ok || found.head.incarnationNumber < this.#word(WRITER.incarnationNumber);
  }
}

/** What a new incarnation starts from, read from the volume. */
export interface SlotStart {
  readonly incarnationNumber: number;
  readonly orderMark: number;
  readonly position: number;
  /** The head block as found; null when there was none that can be believed. */
  readonly head: Head | null;
}

/**
 * Finds where a new incarnation begins: behind the reservation of the last one, at the end of what it wrote. A head
 * block that was torn by a crash is made good by a walk over the whole ring: the highest order mark and position count.
 * A head block that cannot be read says nothing about the marks that were used: then there is no start.
 */
export function findStart(
  disk: Disk,
  geometry: SlotGeometry,
  nodeIndex: number,
  clusterUuid: Uint8Array,
  sealFor: SealFactory,
  scratch: Uint8Array,
): SlotStart {
  const block = scratch.subarray(0, BLOCK_BYTES);
  if (disk.read(HEAD_TABLE_OFFSET + nodeIndex * BLOCK_BYTES, block) !== BLOCK_BYTES) {
    throw new AgentError(
      'volume',
      `the head block of slot ${nodeIndex} cannot be read: see dmesg, the storage is at fault`,
    );
  }
  const decoded = decodeHead(block, nodeIndex, clusterUuid, sealFor);
  if (!decoded.ok && decoded.fault === 'absent') return { incarnationNumber: 1, orderMark: 0, position: 0, head: null };
  const walk: Walk = { disk, geometry, nodeIndex, clusterUuid, sealFor, scratch };
  if (decoded.ok) {
    const { head } = decoded;
    const { incarnationNumber, reservedMark } = head;
    return {
      incarnationNumber: incarnationNumber + 1,
      orderMark: reservedMark,
      position: walkOn(walk, head.position),
      head,
    };
  }
  const walked = walkRing(walk);
  return {
    incarnationNumber: walked.orderMark > 0 ? 2 : 1,
    // Without a head the reservation is unknown; no crash leaves more than one reserve unused.
    orderMark: walked.orderMark + 2 * MARK_RESERVE,
    position: walked.position,
    head: null,
  };
}

interface Walk {
  readonly disk: Disk;
  readonly geometry: SlotGeometry;
  readonly nodeIndex: number;
  readonly clusterUuid: Uint8Array;
  readonly sealFor: SealFactory;
  readonly scratch: Uint8Array;
}

/** The batches that follow each other from `from` on, for a lap at most; answers the end of the last one. */
function walkOn(walk: Walk, from: number): number {
  const { slotBytes } = walk.geometry;
  let position = from;
  while (position < from + slotBytes) {
    const header = batchAt(walk, position % slotBytes);
    if (header?.position !== position) break;
    position = endOf(header, slotBytes);
  }
  return position;
}

/** Every authentic batch of the ring; answers the highest end and the highest mark. */
function walkRing(walk: Walk): { position: number; orderMark: number } {
  const { slotBytes } = walk.geometry;
  const found = { position: 0, orderMark: 0 };
  let offset = 0;
  while (offset + BLOCK_BYTES <= slotBytes) {
    const header = batchAt(walk, offset);
    if (header) {
      found.position = Math.max(found.position, endOf(header, slotBytes));
      found.orderMark = Math.max(found.orderMark, header.orderMark);
    }
    offset += header?.batchBytes ?? BLOCK_BYTES;
  }
  return found;
}

/** The authentic batch at this place in the ring, of whichever lap; null when there is none. */
function batchAt(walk: Walk, offset: number): BatchHeader | null {
  const { disk, geometry, nodeIndex, clusterUuid, sealFor, scratch } = walk;
  const block = scratch.subarray(0, BLOCK_BYTES);
  if (disk.read(geometry.slotOffset + offset, block) !== BLOCK_BYTES) return null;
  const position = getU64(dataView(block), BATCH.at.position);
  if (position % geometry.slotBytes !== offset) return null;
  const peek = peekBatch(block, nodeIndex, clusterUuid, position, geometry.slotBytes - offset);
  if (!peek.ok) return null;
  const { header } = peek;
  const whole = scratch.subarray(0, header.batchBytes);
  if (whole.length > block.length && disk.read(geometry.slotOffset + offset, whole) !== whole.length) return null;
  return openBatch(whole, header, sealFor(header.incarnation, nodeIndex, 'batch')) === 'ok' ? header : null;
}

/** Where the next batch begins. */
function endOf(header: BatchHeader, slotBytes: number): number {
  const wraps = (header.flags & BATCH_FLAG.wrap) !== 0;
  return header.position + (wraps ? slotBytes - (header.position % slotBytes) : header.batchBytes);
}

/** Fills `state` for a new incarnation. Nothing is reserved yet: the first head write does that. */
export function initialiseState(state: Float64Array, start: SlotStart): void {
  state[WRITER.orderMark] = start.orderMark;
  state[WRITER.reservedMark] = start.orderMark;
  state[WRITER.position] = start.position;
  state[WRITER.startPosition] = start.position;
  state[WRITER.headMark] = 0;
  state[WRITER.incarnationNumber] = start.incarnationNumber;
  state[WRITER.pendingBytes] = 0;
}

/** True when a head says that its writer stopped in order. */
export const isStopped = (head: Head): boolean => head.state === HEAD_STATE.stopped;
