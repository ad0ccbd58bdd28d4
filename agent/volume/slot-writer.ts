/**
 * Writes one node's slot: batches into its ring, its head block into the table.
 *
 * Always true:
 * - [ORD2] an order mark is used for one batch only, over restarts: `reservedMark` in the head block is on the volume
 *   before any mark at or beyond the former reservation is used, and a new incarnation begins at it.
 * - A batch that could not be written is written again unchanged (same place, same mark, same bytes) until it is there,
 *   or until its place is given up: then its records are sealed anew, with a new mark, for the next place.
 * - All state lies in `state`, which may be shared memory: a successor of a dead thread takes over from it.
 */
import { dataView, sameBytes } from '../base/bytes.ts';
import { assert } from '../base/errors.ts';
import { BatchBuilder, type BatchIdentity, batchFlags, decodeHeader, openBatch, peekBatch } from './batch.ts';
import type { Disk, SlotGeometry } from './disk.ts';
import { decodeHead, encodeHead, type Head, type HeadEntry } from './head.ts';
import {
  BATCH_BYTES_MAX,
  BLOCK_BYTES,
  generationOfTenant,
  GENERATIONS,
  HEAD,
  HEAD_STATE,
  HEAD_TABLE_OFFSET,
  slotOfTenant,
} from './layout.ts';
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
  /** Ring bytes that a wrap closes which is sealed and not seen written: `position` is still its place; 0 when none. */
  wrapBytes: 7,
} as const;
export const WRITER_WORDS = 8;

/** Order marks reserved by one write of the head block. */
export const MARK_RESERVE = 1 << 20;

export interface SlotIdentity {
  /** The slot's tenant number. */
  readonly nodeIndex: number;
  readonly clusterUuid: Uint8Array;
  readonly incarnation: Uint8Array;
  readonly hostId: Uint8Array;
  readonly pid: number;
  readonly sealed: boolean;
  /** The node's addresses on the virtual network, 16 bytes each. */
  readonly addresses?: readonly Uint8Array[];
}

export interface Times {
  readonly wallUs: number;
  readonly monotonicUs: number;
}

const NO_KEY_ID = new Uint8Array(HEAD.size.keyId);

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

  /** True when the sealed batch is written behind the block that closes the lap: two writes. */
  get isWrapPending(): boolean {
    return this.#word(WRITER.wrapBytes) > 0;
  }

  /**
   * Takes over from a thread that died: what it had begun, a batch or the wrap before one, is either whole on the volume
   * (then it counts: a reader may have gone on behind it) or not (then its place is used again; its mark is not).
   */
  resume(scratch: Uint8Array): void {
    const wrap = this.#word(WRITER.wrapBytes);
    const pending = this.#word(WRITER.pendingBytes);
    const bytes = scratch.subarray(0, wrap > 0 ? BLOCK_BYTES : pending);
    if (bytes.length > 0 && this.#isWhole(bytes)) this.#state[WRITER.position] = this.position + (wrap || pending);
    this.#state[WRITER.wrapBytes] = 0;
    this.#state[WRITER.pendingBytes] = 0;
  }

  /** True when the volume has a batch of ours at the position; it is read into `bytes`. */
  #isWhole(bytes: Uint8Array): boolean {
    if (this.#disk.read(this.#offsetOf(this.position), bytes) !== bytes.length) return false;
    const { nodeIndex, clusterUuid } = this.#identity;
    const peek = peekBatch(bytes, nodeIndex, clusterUuid, this.position, bytes.length);
    return peek.ok && openBatch(bytes, peek.header, this.#batchSeal) === 'ok';
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
    stamp.position = this.position + this.#word(WRITER.wrapBytes);
    stamp.wallUs = times.wallUs;
    stamp.monotonicUs = times.monotonicUs;
    return stamp;
  }

  /**
   * Where the batch would not fit before the ring's end, a batch with nothing but the flag `wrap` closes the lap. The
   * position goes on only when that is written: a thread that dies before leaves the place to its successor.
   */
  #wrapIfNeeded(times: Times): void {
    const left = this.#geometry.slotBytes - (this.position % this.#geometry.slotBytes);
    if (left >= this.builder.batchBytes) return;
    this.#wrapBlock.begin();
    const flags = batchFlags(this.#identity.sealed, true);
    const bytes = this.#wrapBlock.finish(this.#nextIdentity(times), this.#batchSeal, flags);
    assert(bytes === BLOCK_BYTES, 'a wrap is one block');
    this.#state[WRITER.wrapBytes] = left;
  }

  /** Puts the sealed batch on the volume; 0, or a negative errno after which the same call is to be made again. */
  writePending(): number {
    const wrap = this.#word(WRITER.wrapBytes);
    if (wrap > 0) {
      const done = this.#disk.write(this.#offsetOf(this.position), this.#wrapBlock.memory.subarray(0, BLOCK_BYTES));
      if (done !== BLOCK_BYTES) return done < 0 ? done : -5;
      this.#state[WRITER.position] = this.position + wrap;
      this.#state[WRITER.wrapBytes] = 0;
    }
    const bytes = this.#word(WRITER.pendingBytes);
    const done = this.#disk.write(this.#offsetOf(this.position), this.builder.memory.subarray(0, bytes));
    if (done !== bytes) return done < 0 ? done : -5;
    this.#state[WRITER.position] = this.position + bytes;
    this.#state[WRITER.pendingBytes] = 0;
    return 0;
  }

  /** Gives up the place that cannot be written. Readers pass over the gap once a head block names a later position. */
  skipPlace(times: Times): void {
    const wrap = this.#word(WRITER.wrapBytes);
    if (wrap > 0) {
      // The batch is sealed for the next lap already; only the block that would have said so is missing.
      this.#state[WRITER.position] = this.position + wrap;
      this.#state[WRITER.wrapBytes] = 0;
      return;
    }
    const bytes = this.builder.memory.subarray(0, this.pendingBytes);
    const header = decodeHeader(dataView(bytes), bytes);
    assert(openBatch(bytes, header, this.#batchSeal) === 'ok', 'a sealed batch does not open');
    this.#state[WRITER.position] = this.position + bytes.length;
    this.seal(times);
  }

  /** Writes the head block; 0 or a negative errno. Reserves order marks when fewer than half are left. */
  writeHead(times: Times, state: number, entries: HeadEntry[]): number {
    const reserved = this.wantsMarks ? this.#word(WRITER.orderMark) + MARK_RESERVE : this.#word(WRITER.reservedMark);
    const headMark = this.#word(WRITER.headMark) + 1;
    this.#state[WRITER.headMark] = headMark;
    const head: Head = {
      addresses: [],
      ...this.#identity,
      keyId: NO_KEY_ID, // the seal knows it
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
    const done = this.#disk.write(
      HEAD_TABLE_OFFSET + slotOfTenant(this.#identity.nodeIndex) * BLOCK_BYTES,
      this.#headBlock,
    );
    if (done !== BLOCK_BYTES) return done < 0 ? done : -5;
    this.#state[WRITER.reservedMark] = reserved;
    return 0;
  }

  /**
   * False when a successor writes our head block: an authentic head of our slot with another incarnation, not older than
   * we are. What cannot be read, a write that went astray, and a predecessor's head that a late copy shows say nothing.
   * The reservation tells who is older: each start begins at or beyond the last one, whatever it knew of the head block.
   * Also false when the slot was given to another node, which has begun.
   */
  ownsHead(): boolean {
    const { nodeIndex, clusterUuid, incarnation } = this.#identity;
    const offset = HEAD_TABLE_OFFSET + slotOfTenant(nodeIndex) * BLOCK_BYTES;
    if (this.#disk.read(offset, this.#headBlock) !== BLOCK_BYTES) return true;
    if (sameBytes(this.#headBlock, HEAD.at.incarnation, incarnation, 0, 16)) return true;
    const tenant = dataView(this.#headBlock).getUint16(HEAD.at.nodeIndex, true);
    const isGivenAway = tenant !== nodeIndex && slotOfTenant(tenant) === slotOfTenant(nodeIndex);
    const found = decodeHead(this.#headBlock, isGivenAway ? tenant : nodeIndex, clusterUuid, this.#sealFor);
    if (isGivenAway) return !found.ok || isEarlier(tenant, nodeIndex);
    return !found.ok || found.head.reservedMark < this.#word(WRITER.reservedMark);
  }
}

/** True when tenant `a` had the slot before tenant `b`; generations come again after very many. */
function isEarlier(a: number, b: number): boolean {
  const ahead = (generationOfTenant(b) - generationOfTenant(a) + GENERATIONS) % GENERATIONS;
  return ahead > 0 && ahead < GENERATIONS / 2;
}

/** True when a head says that its writer stopped in order. */
export const isStopped = (head: Head): boolean => head.state === HEAD_STATE.stopped;
