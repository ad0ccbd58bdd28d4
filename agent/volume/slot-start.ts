/** Where a new incarnation of a slot's writer begins: behind everything that its predecessors may have used. */
import { dataView, getU64 } from '../base/bytes.ts';
import { AgentError } from '../base/errors.ts';
import { openBatch, peekBatch, type BatchHeader } from './batch.ts';
import type { Disk, SlotGeometry } from './disk.ts';
import { decodeHead, parseHead, type Head } from './head.ts';
import { BATCH, BATCH_FLAG, BLOCK_BYTES, HEAD_TABLE_OFFSET, slotOfTenant } from './layout.ts';
import { MARK_RESERVE, WRITER } from './slot-writer.ts';
import type { SealFactory } from '../wire/seal.ts';

/**
 * `format` zeroes this much at the start of each slot. A ring that was ever written has a batch at its very beginning,
 * also after it has wrapped: zeros there mean that nobody wrote.
 */
export const SLOT_ZERO_BYTES: number = 64 * 1024;

/**
 * Order marks left out when only the ring tells which were used. Each start takes a reservation of its own, and need not
 * write one batch: the last head block may have been this many starts beyond the newest batch.
 */
export const WALK_RESERVE: number = 4096 * MARK_RESERVE;

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
 * block that was torn by a crash, or lost over a ring with content, is made good by a walk over the whole ring: the
 * highest order mark and position count.
 * A head block that cannot be read says nothing about the marks that were used: then there is no start.
 * `formerKey`: the head block is sealed with a key that is gone, see {@link claimedStart}.
 */
export function findStart(
  disk: Disk,
  geometry: SlotGeometry,
  nodeIndex: number,
  clusterUuid: Uint8Array,
  sealFor: SealFactory,
  scratch: Uint8Array,
  formerKey = false,
): SlotStart {
  const block = scratch.subarray(0, BLOCK_BYTES);
  if (disk.read(HEAD_TABLE_OFFSET + slotOfTenant(nodeIndex) * BLOCK_BYTES, block) !== BLOCK_BYTES) {
    throw new AgentError(
      'volume',
      `the head block of slot ${slotOfTenant(nodeIndex)} cannot be read: see dmesg, the storage is at fault`,
    );
  }
  const decoded = decodeHead(block, nodeIndex, clusterUuid, sealFor);
  const walk: Walk = { disk, geometry, nodeIndex, clusterUuid, sealFor, scratch };
  if (!decoded.ok && decoded.fault === 'absent' && isFresh(walk)) {
    return { incarnationNumber: 1, orderMark: 0, position: 0, head: null };
  }
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
  const claimed = formerKey ? claimedStart(block) : null;
  if (claimed) return claimed;
  const walked = walkRing(walk);
  const orderMark = walked.orderMark + WALK_RESERVE;
  return {
    // Every start has reserved marks: no number before can be higher than the reservations that fit below.
    incarnationNumber: Math.floor(orderMark / MARK_RESERVE) + 1,
    orderMark,
    position: walked.position,
    head: null,
  };
}

/** Beyond this a claimed number would leave too little to count on with. */
const CLAIM_MAX = 2 ** 52;

/**
 * Nothing in the slot can be proved when its key is gone, and for the same reason no peer takes any of it for ours. The
 * numbers are taken as they stand there all the same: to go on behind them spares the readers old batches of what looks
 * like a later lap. Null when they are none to go on from.
 */
function claimedStart(block: Uint8Array): SlotStart | null {
  const { incarnationNumber, reservedMark, position } = parseHead(block);
  const isUsable = reservedMark < CLAIM_MAX && position < CLAIM_MAX && position % BLOCK_BYTES === 0;
  if (!isUsable || incarnationNumber >= 0xffff_ffff) return null;
  return { incarnationNumber: incarnationNumber + 1, orderMark: reservedMark, position, head: null };
}

/** True when the ring's beginning is as `format` leaves it: a look that spares a new volume the walk. */
function isFresh({ disk, geometry, scratch }: Walk): boolean {
  const bytes = scratch.subarray(0, SLOT_ZERO_BYTES);
  return disk.read(geometry.slotOffset, bytes) === bytes.length && bytes.every((byte) => byte === 0);
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
  state[WRITER.wrapBytes] = 0;
}
