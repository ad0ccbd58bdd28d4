/**
 * Where everything lies on a volume, and each record's fields. FORMAT.md draws the same; a test compares the two.
 * If you change a field here, change FORMAT.md and raise FORMAT_VERSION.
 *
 * All numbers are little-endian. Every record begins on a 4,096-byte block.
 */
import { defineFields } from '../base/fields.ts';

export const BLOCK_BYTES = 4096;
export const NODES_MAX = 64;
export const NODE_NAME_BYTES = 32;
export const CLUSTER_NAME_BYTES = 32;

/** Major in the upper half: another major is refused. Minor in the lower half: unknown additions are ignored. */
export const FORMAT_VERSION = 0x0001_0001;

/** A slot is given away this often before its tenant numbers come again. */
export const GENERATIONS = 1024;

/**
 * A slot's tenant number: which node owns it, told apart from every node that had it before. All that is written into a
 * slot or addressed to its node bears this number, so that nobody takes a new node's words for its predecessor's.
 */
export const tenantOf = (slot: number, generation: number): number => slot + NODES_MAX * (generation % GENERATIONS);
export const slotOfTenant = (tenant: number): number => tenant % NODES_MAX;
export const generationOfTenant = (tenant: number): number => Math.floor(tenant / NODES_MAX);

export const SUPERBLOCK_COPIES = 2;
export const HEAD_TABLE_OFFSET: number = SUPERBLOCK_COPIES * BLOCK_BYTES;
/** Room for every possible head block, then up to the next 512 KiB, so that slots begin well aligned for any array. */
export const SLOTS_OFFSET: number = 512 * 1024;
/** The smallest ring that is worth having: a batch of the largest size four times. */
export const SLOT_BYTES_MIN: number = 4 * 1024 * 1024;
/** One write of the flush thread at most. */
export const BATCH_BYTES_MAX: number = 1024 * 1024;

export const SUPERBLOCK_MAGIC = 'STILLVOL';
export const HEAD_MAGIC = 0x4441_4548; // "HEAD"
export const BATCH_MAGIC = 0x4843_5442; // "BTCH"

export const SUPERBLOCK = defineFields({
  magic: 8,
  version: 4,
  blockBytes: 4,
  clusterUuid: 16,
  clusterName: CLUSTER_NAME_BYTES,
  createdWallMs: 8,
  volumeBytes: 8,
  headTableOffset: 8,
  slotsOffset: 8,
  slotBytes: 8,
  slotCount: 4,
  sectorBytes: 4,
  /** Raised by each change of the node table; the copy with the higher one counts. */
  revision: 4,
  reserved: 12,
  nodeNames: NODES_MAX * NODE_NAME_BYTES,
  /** How many nodes each slot was taken from, modulo GENERATIONS. */
  generations: NODES_MAX * 2,
  zero: 1784,
  /** Which copy this is: outside the checksum, so that both copies have the same one. */
  copy: 4,
  crc32: 4,
} as const);

export const HEAD = defineFields({
  magic: 4,
  version: 2,
  nodeIndex: 2,
  clusterUuid: 16,
  incarnation: 16,
  incarnationNumber: 4,
  state: 4,
  /** Counts this incarnation's writes of this block: the nonce, and what makes a beacon news. */
  headMark: 8,
  /** Order mark of the newest batch. */
  orderMark: 8,
  /** No batch bears an order mark at or beyond this: the next incarnation starts here. */
  reservedMark: 8,
  /** Ring position at which the next batch will begin. */
  position: 8,
  /** Ring position at which this incarnation began. */
  startPosition: 8,
  wallUs: 8,
  monotonicUs: 8,
  hostId: 16,
  pid: 4,
  sealed: 4,
  entryCount: 4,
  /** Tells one cluster key from another without giving either away; zero without a key. */
  keyId: 8,
  entries: 63 * 60,
  /** The node's addresses on the virtual network, so that peers see when their settings say others. */
  addressCount: 4,
  addresses: 8 * 16,
  zero: 28,
  /** GCM tag over everything before it, or CRC-32 and zeros without a key. */
  tag: 16,
} as const);

/** One peer in a head block: what the writer of the block says to that peer. */
export const HEAD_ENTRY = defineFields({
  peerIndex: 2,
  flags: 1,
  path: 1,
  nextData: 4,
  nextBulk: 4,
  floorHeartbeat: 4,
  floorData: 4,
  floorBulk: 4,
  /** The peer's incarnation as the writer knows it: the echo that makes the peer believe this head. */
  echoIncarnation: 16,
  /** The peer's monotonic clock in its newest word that the writer has seen, and how long ago that was. */
  echoMonotonicUs: 8,
  echoDelayUs: 4,
  /** How far the writer has read the peer's ring. */
  readPosition: 8,
} as const);

export const HEAD_STATE = { never: 0, running: 1, stopped: 2 } as const;

export const BATCH = defineFields({
  magic: 4,
  version: 2,
  nodeIndex: 2,
  clusterUuid: 16,
  incarnation: 16,
  orderMark: 8,
  position: 8,
  wallUs: 8,
  monotonicUs: 8,
  /** Bytes of the whole batch on the volume, a multiple of the block. */
  batchBytes: 4,
  /** Sealed bytes behind this header: acknowledgements, then records. */
  payloadBytes: 4,
  recordCount: 4,
  acknowledgementCount: 4,
  flags: 4,
  /** As in the head block. */
  keyId: 8,
  /** One bit for each slot: whom the batch has something for. Others need not read on behind the header. */
  addressed: 8,
  reserved: 4,
  /** GCM tag over the header before it and the payload, or CRC-32 and zeros without a key. */
  tag: 16,
} as const);

/** The last bytes of a batch: the order mark once more, which tells a write that is under way or torn. */
export const BATCH_TAIL = defineFields({ orderMark: 8 } as const);
export const BATCH_TAIL_BYTES: number = BATCH_TAIL.bytes;

export const BATCH_FLAG = {
  /** Nothing inside: the ring goes on at its beginning. */
  wrap: 1,
  /** Sealed with AES-256-GCM; otherwise plain with a CRC. */
  sealed: 2,
} as const;

/** One peer's confirmation inside a batch. */
export const ACKNOWLEDGEMENT = defineFields({
  peerIndex: 2,
  reserved: 2,
  /** First four bytes of the incarnation of the peer that is confirmed to. */
  incarnationTag: 4,
  readPosition: 8,
  nextData: 4,
  nextBulk: 4,
} as const);
