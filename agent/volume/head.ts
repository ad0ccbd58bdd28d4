/**
 * A node's head block: its newest position, its beacon, and its word to each peer. Written by that node alone; all
 * heads lie next to each other, so that one read shows every node.
 */
import { dataView, getU64, sameBytes, setU64 } from '../base/bytes.ts';
import { BLOCK_BYTES, FORMAT_VERSION, HEAD, HEAD_ENTRY, HEAD_MAGIC } from './layout.ts';
import type { SealFactory, Seal } from '../wire/seal.ts';

/** What a node says to one peer over storage: the same words as in a hello over the network. */
export interface HeadEntry {
  peerIndex: number;
  /** HELLO_FLAG bits, see wire/hello.ts. */
  flags: number;
  path: number;
  nextData: number;
  nextBulk: number;
  floorHeartbeat: number;
  floorData: number;
  floorBulk: number;
  echoIncarnation: Uint8Array;
  echoMonotonicUs: number;
  echoDelayUs: number;
  readPosition: number;
}

export interface Head {
  nodeIndex: number;
  clusterUuid: Uint8Array;
  incarnation: Uint8Array;
  incarnationNumber: number;
  state: number;
  headMark: number;
  orderMark: number;
  reservedMark: number;
  position: number;
  startPosition: number;
  wallUs: number;
  monotonicUs: number;
  hostId: Uint8Array;
  pid: number;
  keyId: Uint8Array;
  entries: HeadEntry[];
  /** The writer's addresses on the virtual network, 16 bytes each; empty when it says none, or too many. */
  addresses: readonly Uint8Array[];
}

/** `version`: of another major version, and not read any further. */
export type HeadFault = 'absent' | 'version' | 'foreign' | 'damaged';

/** What a head block says of its writer's key, believed or not: eight bytes, or null where there is no head block. */
export function headKeyId(block: Uint8Array): Uint8Array | null {
  return headVersion(block) === FORMAT_VERSION >>> 16 ? block.slice(HEAD.at.keyId, HEAD.at.keyId + 8) : null;
}

/** The major version that a head block says it is of, believed or not; -1 where there is no head block. */
export function headVersion(block: Uint8Array): number {
  const view = dataView(block);
  return view.getUint32(HEAD.at.magic, true) === HEAD_MAGIC ? view.getUint16(HEAD.at.version, true) : -1;
}

/** True when the block says that it is a head of this tenant and cluster, in a version that we read; believed or not. */
export function isHeadOf(block: Uint8Array, nodeIndex: number, clusterUuid: Uint8Array): boolean {
  const isOurs = sameBytes(block, HEAD.at.clusterUuid, clusterUuid, 0, 16);
  return (
    isOurs &&
    headVersion(block) === FORMAT_VERSION >>> 16 &&
    dataView(block).getUint16(HEAD.at.nodeIndex, true) === nodeIndex
  );
}

export type HeadResult = { readonly ok: true; readonly head: Head } | { readonly ok: false; readonly fault: HeadFault };

const { at } = HEAD;
const ADDRESS_BYTES = 16;
const U64_FIELDS = [
  'headMark',
  'orderMark',
  'reservedMark',
  'position',
  'startPosition',
  'wallUs',
  'monotonicUs',
] as const;

/** Writes `head` as a sealed block into `block` (4,096 bytes). */
export function encodeHead(head: Head, seal: Seal, sealed: boolean, block: Uint8Array): void {
  block.fill(0);
  const view = dataView(block);
  view.setUint32(at.magic, HEAD_MAGIC, true);
  view.setUint16(at.version, FORMAT_VERSION >>> 16, true);
  view.setUint16(at.nodeIndex, head.nodeIndex, true);
  block.set(head.clusterUuid, at.clusterUuid);
  block.set(head.incarnation, at.incarnation);
  view.setUint32(at.incarnationNumber, head.incarnationNumber, true);
  view.setUint32(at.state, head.state, true);
  for (const field of U64_FIELDS) setU64(view, at[field], head[field]);
  block.set(head.hostId, at.hostId);
  view.setUint32(at.pid, head.pid, true);
  view.setUint32(at.sealed, sealed ? 1 : 0, true);
  block.set(head.keyId, at.keyId);
  view.setUint32(at.entryCount, head.entries.length, true);
  encodeAddresses(view, block, head.addresses);
  head.entries.forEach((entry, i) => encodeEntry(view, block, at.entries + i * HEAD_ENTRY.bytes, entry));
  seal.seal(head.headMark, block.subarray(0, at.tag), block.subarray(0, 0), block.subarray(at.tag, BLOCK_BYTES));
}

/** A node with more addresses than there is room for says none: half of them could look like a difference. */
function encodeAddresses(view: DataView, block: Uint8Array, addresses: readonly Uint8Array[]): void {
  if (addresses.length * ADDRESS_BYTES > HEAD.size.addresses) return;
  view.setUint32(at.addressCount, addresses.length, true);
  addresses.forEach((address, i) => block.set(address, at.addresses + i * ADDRESS_BYTES));
}

function encodeEntry(view: DataView, block: Uint8Array, offset: number, entry: HeadEntry): void {
  const e = HEAD_ENTRY.at;
  view.setUint16(offset + e.peerIndex, entry.peerIndex, true);
  view.setUint8(offset + e.flags, entry.flags);
  view.setUint8(offset + e.path, entry.path);
  view.setUint32(offset + e.nextData, entry.nextData, true);
  view.setUint32(offset + e.nextBulk, entry.nextBulk, true);
  view.setUint32(offset + e.floorHeartbeat, entry.floorHeartbeat, true);
  view.setUint32(offset + e.floorData, entry.floorData, true);
  view.setUint32(offset + e.floorBulk, entry.floorBulk, true);
  block.set(entry.echoIncarnation, offset + e.echoIncarnation);
  setU64(view, offset + e.echoMonotonicUs, entry.echoMonotonicUs);
  view.setUint32(offset + e.echoDelayUs, Math.min(entry.echoDelayUs, 0xffff_ffff), true);
  setU64(view, offset + e.readPosition, entry.readPosition);
}

/**
 * Reads the head block of node `nodeIndex`. `absent`: never written (all zero, or no magic); `version`: of another major
 * version, whose fields may lie elsewhere; `foreign`: another cluster's or another node's block; `damaged`: the proof does not hold (torn, altered, or forged).
 */
export function decodeHead(
  block: Uint8Array,
  nodeIndex: number,
  clusterUuid: Uint8Array,
  sealFor: SealFactory,
): HeadResult {
  const view = dataView(block);
  if (view.getUint32(at.magic, true) !== HEAD_MAGIC) {
    return { ok: false, fault: block.every((byte) => byte === 0) ? 'absent' : 'damaged' };
  }
  if (view.getUint16(at.version, true) !== FORMAT_VERSION >>> 16) return { ok: false, fault: 'version' };
  if (!sameBytes(block, at.clusterUuid, clusterUuid, 0, 16) || view.getUint16(at.nodeIndex, true) !== nodeIndex) {
    return { ok: false, fault: 'foreign' };
  }
  const incarnation = block.slice(at.incarnation, at.incarnation + 16);
  const headMark = getU64(view, at.headMark);
  const entryCount = view.getUint32(at.entryCount, true);
  if (headMark === Infinity || entryCount > HEAD.size.entries / HEAD_ENTRY.bytes)
    return { ok: false, fault: 'damaged' };
  const seal = sealFor(incarnation, nodeIndex, 'head');
  const empty = block.subarray(0, 0);
  if (!seal.open(headMark, block.subarray(0, at.tag), empty, block.subarray(at.tag, BLOCK_BYTES))) {
    return { ok: false, fault: 'damaged' };
  }
  const head = readHead(view, block, nodeIndex, incarnation, entryCount);
  return isCounting(head) ? { ok: true, head } : { ok: false, fault: 'damaged' };
}

/** The same block with what should stand there; see `putIdentity` of batches. */
export function withIdentity(block: Uint8Array, nodeIndex: number, clusterUuid: Uint8Array): Uint8Array {
  const copy = block.slice();
  const view = dataView(copy);
  view.setUint16(at.version, FORMAT_VERSION >>> 16, true);
  view.setUint16(at.nodeIndex, nodeIndex, true);
  copy.set(clusterUuid, at.clusterUuid);
  return copy;
}

/** False when a number is beyond the safe integers or a position not that of a block: nobody could reckon with it. */
function isCounting(head: Head): boolean {
  return (
    U64_FIELDS.every((field) => head[field] !== Infinity) &&
    head.position % BLOCK_BYTES === 0 &&
    head.startPosition % BLOCK_BYTES === 0 &&
    head.entries.every((entry) => entry.echoMonotonicUs !== Infinity && entry.readPosition !== Infinity)
  );
}

/** The fields of a head block that has been authenticated elsewhere. */
export function parseHead(block: Uint8Array): Head {
  const view = dataView(block);
  const entries = Math.min(view.getUint32(at.entryCount, true), HEAD.size.entries / HEAD_ENTRY.bytes);
  const incarnation = block.slice(at.incarnation, at.incarnation + 16);
  return readHead(view, block, view.getUint16(at.nodeIndex, true), incarnation, entries);
}

function readHead(
  view: DataView,
  block: Uint8Array,
  nodeIndex: number,
  incarnation: Uint8Array,
  entries: number,
): Head {
  return {
    nodeIndex,
    clusterUuid: block.slice(at.clusterUuid, at.clusterUuid + 16),
    incarnation,
    incarnationNumber: view.getUint32(at.incarnationNumber, true),
    state: view.getUint32(at.state, true),
    headMark: getU64(view, at.headMark),
    orderMark: getU64(view, at.orderMark),
    reservedMark: getU64(view, at.reservedMark),
    position: getU64(view, at.position),
    startPosition: getU64(view, at.startPosition),
    wallUs: getU64(view, at.wallUs),
    monotonicUs: getU64(view, at.monotonicUs),
    hostId: block.slice(at.hostId, at.hostId + 16),
    pid: view.getUint32(at.pid, true),
    keyId: block.slice(at.keyId, at.keyId + 8),
    entries: Array.from({ length: entries }, (_, i) => readEntry(view, block, at.entries + i * HEAD_ENTRY.bytes)),
    addresses: readAddresses(view, block),
  };
}

function readAddresses(view: DataView, block: Uint8Array): Uint8Array[] {
  const count = view.getUint32(at.addressCount, true);
  if (count * ADDRESS_BYTES > HEAD.size.addresses) return [];
  const place = (i: number) => at.addresses + i * ADDRESS_BYTES;
  return Array.from({ length: count }, (_, i) => block.slice(place(i), place(i + 1)));
}

function readEntry(view: DataView, block: Uint8Array, offset: number): HeadEntry {
  const e = HEAD_ENTRY.at;
  return {
    peerIndex: view.getUint16(offset + e.peerIndex, true),
    flags: view.getUint8(offset + e.flags),
    path: view.getUint8(offset + e.path),
    nextData: view.getUint32(offset + e.nextData, true),
    nextBulk: view.getUint32(offset + e.nextBulk, true),
    floorHeartbeat: view.getUint32(offset + e.floorHeartbeat, true),
    floorData: view.getUint32(offset + e.floorData, true),
    floorBulk: view.getUint32(offset + e.floorBulk, true),
    echoIncarnation: block.slice(offset + e.echoIncarnation, offset + e.echoIncarnation + 16),
    echoMonotonicUs: getU64(view, offset + e.echoMonotonicUs),
    echoDelayUs: view.getUint32(offset + e.echoDelayUs, true),
    readPosition: getU64(view, offset + e.readPosition),
  };
}
