/**
 * A checkpoint on the link: how the target gets each block, the digests that it must have, and what it asks for again. The
 * frame's checksum covers all of it.
 */
import { dataView, getU64, setU64 } from '../../base/bytes.ts';
import { defineFields } from '../../base/fields.ts';
import { BLOCK_BYTES, PAYLOAD_BYTES_MAX, VOLUMES_MAX } from './layout.ts';

export const CHECKPOINT_BLOCK = defineFields({
  how: 1,
  reserved: 1,
  volume: 2,
  index: 4,
  block: 8,
  transfer: 8,
  blockCrc: 4,
  within: 4,
  blockHash: 8,
} as const);

export const CHECKPOINT_HOW = { reference: 1, zeroes: 2, data: 3 } as const;
export type CheckpointHow = (typeof CHECKPOINT_HOW)[keyof typeof CHECKPOINT_HOW];

export interface CheckpointBlock {
  readonly how: CheckpointHow;
  readonly volume: number;
  /** Number of the block in the volume. */
  readonly block: number;
  /** Where a reference leads: the transfer, the entry in it, the block in the entry. 0 otherwise. */
  readonly transfer: number;
  readonly index: number;
  readonly within: number;
  readonly blockCrc: number;
  /** xxh64. */
  readonly blockHash: bigint;
}

export type CheckpointResult =
  { readonly ok: true; readonly block: CheckpointBlock } | { readonly ok: false; readonly fault: 'range' };

const { at } = CHECKPOINT_BLOCK;
const record = new Uint8Array(CHECKPOINT_BLOCK.bytes);
const view = dataView(record);

/** Writes the record into `into` at `offset`. */
export function encodeCheckpointBlock(block: CheckpointBlock, into: Uint8Array, offset: number): void {
  record[at.how] = block.how;
  record[at.reserved] = 0;
  view.setUint16(at.volume, block.volume, true);
  view.setUint32(at.index, block.index, true);
  setU64(view, at.block, block.block);
  setU64(view, at.transfer, block.transfer);
  view.setUint32(at.blockCrc, block.blockCrc, true);
  view.setUint32(at.within, block.within, true);
  view.setBigUint64(at.blockHash, block.blockHash, true);
  into.set(record, offset);
}

/** Reads the record at `offset`. */
export function decodeCheckpointBlock(bytes: Uint8Array, offset: number): CheckpointResult {
  if (offset + CHECKPOINT_BLOCK.bytes > bytes.length) return { ok: false, fault: 'range' };
  record.set(bytes.subarray(offset, offset + CHECKPOINT_BLOCK.bytes));
  const block: CheckpointBlock = {
    how: record[at.how] as CheckpointHow,
    volume: view.getUint16(at.volume, true),
    index: view.getUint32(at.index, true),
    block: getU64(view, at.block),
    transfer: getU64(view, at.transfer),
    blockCrc: view.getUint32(at.blockCrc, true),
    within: view.getUint32(at.within, true),
    blockHash: view.getBigUint64(at.blockHash, true),
  };
  const isSane =
    block.how >= CHECKPOINT_HOW.reference &&
    block.how <= CHECKPOINT_HOW.data &&
    block.volume < VOLUMES_MAX &&
    Number.isSafeInteger(block.block * BLOCK_BYTES) &&
    block.transfer !== Infinity &&
    block.within < PAYLOAD_BYTES_MAX / BLOCK_BYTES;
  return isSane ? { ok: true, block } : { ok: false, fault: 'range' };
}

/** Before the blocks of one frame. The cut is the frame's id. */
export const CHECKPOINT_PART = defineFields({ base: 8, flags: 1, reserved: 7 } as const);
export const CHECKPOINT_FLAG = { first: 1, last: 2 } as const;

/** Of a `want`: a block that a checkpoint could not bring. */
export const WANTED_BLOCK = defineFields({ volume: 2, reserved: 6, block: 8 } as const);

/** A part of a checkpoint's list. Together they bring a copy that shows `base`, or a cut between, to the frame's cut. */
export interface CheckpointPart {
  readonly base: number;
  readonly isFirst: boolean;
  readonly isLast: boolean;
  readonly blocks: readonly CheckpointBlock[];
  /** BLOCK_BYTES for each block of them that is `data`, in order; behind the end of its volume zeros. */
  readonly data: Uint8Array;
}

/** All of the body but the data, which follows it. */
export function encodeCheckpointPart({ base, isFirst, isLast, blocks }: Omit<CheckpointPart, 'data'>): Uint8Array {
  const body = new Uint8Array(CHECKPOINT_PART.bytes + blocks.length * CHECKPOINT_BLOCK.bytes);
  setU64(dataView(body), CHECKPOINT_PART.at.base, base);
  body[CHECKPOINT_PART.at.flags] = (isFirst ? CHECKPOINT_FLAG.first : 0) | (isLast ? CHECKPOINT_FLAG.last : 0);
  blocks.forEach((block, i) => {
    encodeCheckpointBlock(block, body, CHECKPOINT_PART.bytes + i * CHECKPOINT_BLOCK.bytes);
  });
  return body;
}

/** Null for a body that no source writes. `data` is a part of `body`. */
export function decodeCheckpointPart(body: Uint8Array, count: number): CheckpointPart | null {
  const dataAt = CHECKPOINT_PART.bytes + count * CHECKPOINT_BLOCK.bytes;
  if (body.length < dataAt) return null;
  const blocks: CheckpointBlock[] = [];
  for (let i = 0; i < count; i++) {
    const result = decodeCheckpointBlock(body, CHECKPOINT_PART.bytes + i * CHECKPOINT_BLOCK.bytes);
    if (!result.ok) return null;
    blocks.push(result.block);
  }
  const dataBlocks = blocks.filter(({ how }) => how === CHECKPOINT_HOW.data).length;
  const base = getU64(dataView(body), CHECKPOINT_PART.at.base);
  const flags = body[CHECKPOINT_PART.at.flags] ?? 0;
  if (body.length !== dataAt + dataBlocks * BLOCK_BYTES || base === Infinity) return null;
  return {
    base,
    isFirst: (flags & CHECKPOINT_FLAG.first) !== 0,
    isLast: (flags & CHECKPOINT_FLAG.last) !== 0,
    blocks,
    data: body.subarray(dataAt),
  };
}

export type WantedBlock = Pick<CheckpointBlock, 'volume' | 'block'>;

export function encodeWanted(blocks: readonly WantedBlock[]): Uint8Array {
  const body = new Uint8Array(blocks.length * WANTED_BLOCK.bytes);
  const wanted = dataView(body);
  blocks.forEach(({ volume, block }, i) => {
    wanted.setUint16(i * WANTED_BLOCK.bytes + WANTED_BLOCK.at.volume, volume, true);
    setU64(wanted, i * WANTED_BLOCK.bytes + WANTED_BLOCK.at.block, block);
  });
  return body;
}

/** Null for a body that no target writes. */
export function decodeWanted(body: Uint8Array): WantedBlock[] | null {
  if (body.length % WANTED_BLOCK.bytes !== 0) return null;
  const wanted = dataView(body);
  const blocks: WantedBlock[] = [];
  for (let at = 0; at < body.length; at += WANTED_BLOCK.bytes) {
    const volume = wanted.getUint16(at + WANTED_BLOCK.at.volume, true);
    const block = getU64(wanted, at + WANTED_BLOCK.at.block);
    if (volume >= VOLUMES_MAX || !Number.isSafeInteger(block * BLOCK_BYTES)) return null;
    blocks.push({ volume, block });
  }
  return blocks;
}
