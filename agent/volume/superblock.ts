/**
 * The superblock: what a volume is, for whom, and where its parts lie. Written twice, so that a torn write leaves one.
 * Decoding tells apart why a block is not one: an operator mends each case differently.
 */
import { bytesText, dataView, getU64, sameBytes, setU64, textBytes } from '../base/bytes.ts';
import { crc32 } from '../base/crc32.ts';
import {
  BLOCK_BYTES,
  CLUSTER_NAME_BYTES,
  FORMAT_VERSION,
  generationOfTenant,
  HEAD_TABLE_OFFSET,
  NODE_NAME_BYTES,
  NODES_MAX,
  SLOTS_OFFSET,
  SLOT_BYTES_MIN,
  SUPERBLOCK,
  SUPERBLOCK_MAGIC,
  tenantOf,
} from './layout.ts';

export interface Superblock {
  readonly version: number;
  readonly clusterUuid: Uint8Array;
  readonly clusterName: string;
  readonly createdWallMs: number;
  readonly volumeBytes: number;
  readonly slotBytes: number;
  readonly slotCount: number;
  readonly sectorBytes: number;
  readonly revision: number;
  /** Slot index to node name; an empty name is a free slot. */
  readonly nodes: readonly string[];
  /** Slot index to tenant number; a free slot has that of its next owner. */
  readonly tenants: readonly number[];
}

export type SuperblockFault = 'absent' | 'version' | 'checksum' | 'geometry';

export type SuperblockResult =
  { readonly ok: true; readonly superblock: Superblock } | { readonly ok: false; readonly fault: SuperblockFault };

const { at } = SUPERBLOCK;
/** The last moment that a Date can tell. */
const WALL_MS_MAX = 8.64e15;

/** One copy as a block. */
export function encodeSuperblock(sb: Superblock, copy: number): Uint8Array {
  const block = new Uint8Array(BLOCK_BYTES);
  const view = dataView(block);
  block.set(textBytes(SUPERBLOCK_MAGIC, 8), at.magic);
  view.setUint32(at.version, sb.version, true);
  view.setUint32(at.blockBytes, BLOCK_BYTES, true);
  block.set(sb.clusterUuid, at.clusterUuid);
  block.set(textBytes(sb.clusterName, CLUSTER_NAME_BYTES), at.clusterName);
  setU64(view, at.createdWallMs, sb.createdWallMs);
  setU64(view, at.volumeBytes, sb.volumeBytes);
  setU64(view, at.headTableOffset, HEAD_TABLE_OFFSET);
  setU64(view, at.slotsOffset, SLOTS_OFFSET);
  setU64(view, at.slotBytes, sb.slotBytes);
  view.setUint32(at.slotCount, sb.slotCount, true);
  view.setUint32(at.sectorBytes, sb.sectorBytes, true);
  view.setUint32(at.revision, sb.revision, true);
  sb.nodes.forEach((name, index) => {
    block.set(textBytes(name, NODE_NAME_BYTES), at.nodeNames + index * NODE_NAME_BYTES);
    view.setUint16(at.generations + index * 2, generationOfTenant(sb.tenants[index] ?? index), true);
  });
  view.setUint32(at.crc32, crc32(block.subarray(0, at.copy)), true);
  view.setUint32(at.copy, copy, true);
  return block;
}

/** Reads one copy. Faults in the order they are told: no such magic; a newer major version; damage; impossible sizes. */
export function decodeSuperblock(block: Uint8Array): SuperblockResult {
  if (block.length < BLOCK_BYTES) return { ok: false, fault: 'absent' };
  const view = dataView(block);
  if (!sameBytes(block, at.magic, textBytes(SUPERBLOCK_MAGIC, 8), 0, 8)) return { ok: false, fault: 'absent' };
  const version = view.getUint32(at.version, true);
  if (version >>> 16 !== FORMAT_VERSION >>> 16) return { ok: false, fault: 'version' };
  if (crc32(block.subarray(0, at.copy)) !== view.getUint32(at.crc32, true)) return { ok: false, fault: 'checksum' };
  const slotCount = view.getUint32(at.slotCount, true);
  const slotBytes = getU64(view, at.slotBytes);
  const volumeBytes = getU64(view, at.volumeBytes);
  const sane =
    view.getUint32(at.blockBytes, true) === BLOCK_BYTES &&
    getU64(view, at.headTableOffset) === HEAD_TABLE_OFFSET &&
    getU64(view, at.slotsOffset) === SLOTS_OFFSET &&
    slotCount >= 1 &&
    slotCount <= NODES_MAX &&
    slotBytes >= SLOT_BYTES_MIN &&
    slotBytes % BLOCK_BYTES === 0 &&
    SLOTS_OFFSET + slotCount * slotBytes <= volumeBytes &&
    volumeBytes !== Infinity &&
    getU64(view, at.createdWallMs) <= WALL_MS_MAX;
  if (!sane) return { ok: false, fault: 'geometry' };
  const name = (offset: number, length: number) => bytesText(block.subarray(offset, offset + length));
  return {
    ok: true,
    superblock: {
      version,
      clusterUuid: block.slice(at.clusterUuid, at.clusterUuid + 16),
      clusterName: name(at.clusterName, CLUSTER_NAME_BYTES),
      createdWallMs: getU64(view, at.createdWallMs),
      volumeBytes,
      slotBytes,
      slotCount,
      sectorBytes: view.getUint32(at.sectorBytes, true),
      revision: view.getUint32(at.revision, true),
      nodes: Array.from({ length: slotCount }, (_, i) => name(at.nodeNames + i * NODE_NAME_BYTES, NODE_NAME_BYTES)),
      tenants: Array.from({ length: slotCount }, (_, i) => tenantOf(i, view.getUint16(at.generations + i * 2, true))),
    },
  };
}

/** The better of the two copies, or the fault that says most. */
export function chooseSuperblock(blocks: readonly Uint8Array[]): SuperblockResult {
  const results = blocks.map((block) => decodeSuperblock(block));
  const good = results.filter((r) => r.ok).sort((a, b) => b.superblock.revision - a.superblock.revision);
  if (good[0]) return good[0];
  const order: SuperblockFault[] = ['version', 'geometry', 'checksum', 'absent'];
  const faults = results.map((r) => (r.ok ? 'absent' : r.fault));
  return { ok: false, fault: order.find((fault) => faults.includes(fault)) ?? 'absent' };
}

/** The bytes of one slot when `volumeBytes` are shared by `slotCount` nodes; below SLOT_BYTES_MIN it is too small. */
export function slotBytesFor(volumeBytes: number, slotCount: number): number {
  const each = Math.floor((volumeBytes - SLOTS_OFFSET) / slotCount);
  return Math.max(0, Math.floor(each / BLOCK_BYTES) * BLOCK_BYTES);
}

/** The smallest volume for `slotCount` nodes. */
export const volumeBytesMin = (slotCount: number): number => SLOTS_OFFSET + slotCount * SLOT_BYTES_MIN;
