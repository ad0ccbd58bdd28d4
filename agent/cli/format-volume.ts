/**
 * Makes a volume. In this order, so that a failure at any point leaves either the old content or no volume at all:
 * whoever else writes it, size and geometry, lock, foreign content, live agents; then zeros where old headers could lie, then the superblock.
 */
import { randomUUID } from 'node:crypto';
import { existsSync, fstatSync, fsyncSync, rmSync } from 'node:fs';
import { roundUp } from '../base/bytes.ts';
import { AgentError } from '../base/errors.ts';
import { deviceNumber, userOf } from '../check/block-device.ts';
import { BlockDevice } from '../platform/block-device.ts';
import { alignedMemory } from '../platform/memory.ts';
import { holdVolume, type VolumeHold } from '../platform/volume-hold.ts';
import { BLOCK_BYTES, FORMAT_VERSION, NODES_MAX, SLOTS_OFFSET, SUPERBLOCK_COPIES } from '../volume/layout.ts';
import { SLOT_ZERO_BYTES } from '../volume/slot-start.ts';
import { findSignature } from '../volume/signatures.ts';
import { encodeSuperblock, slotBytesFor } from '../volume/superblock.ts';
import { checkLive, pieceReader, readBack, tryLock, writePiece } from './format-device.ts';
import { documentOf, type FormattedVolume } from './format-document.ts';
import { checkSize, makeFile } from './format-file.ts';

export interface FormatRequest {
  readonly path: string;
  readonly cluster: string;
  readonly nodes: readonly string[];
  /** Null: as many as {@link slotsFor} says. */
  readonly slots?: number | null;
  /** Makes a file of this size; null: the volume is there. */
  readonly sizeBytes: number | null;
  readonly force: boolean;
}

/** Twice the nodes, so that some can be added later. */
const SLOTS_MIN = 4;
/** What nobody asked for must not make the rings small: below this there are fewer slots. */
const SLOT_BYTES_COMFORTABLE = 8 * 1024 * 1024;
/** Zeros at the end of the volume, where RAID, DRBD and GPT keep their copies. */
const END_ZERO_BYTES = 192 * 1024;

export async function formatVolume(request: FormatRequest): Promise<FormattedVolume> {
  const { path, nodes } = request;
  if (request.sizeBytes === null && !existsSync(path)) {
    throw new AgentError('volume', `volume ${path} does not exist: check the path, or add --size to make a file`);
  }
  const made =
    request.sizeBytes !== null &&
    (await makeFile(path, roundUp(request.sizeBytes, BLOCK_BYTES), request.slots ?? nodes.length, nodes.length));
  let hold: VolumeHold | null = null;
  try {
    hold = await holdForFormat(path);
    const device = BlockDevice.open(path);
    try {
      checkSize(path, device.bytes, request.slots ?? nodes.length, nodes.length);
      lockWhole(device);
      checkUse(device);
      if (!request.force) checkForeign(device, request.cluster);
      await checkLive(device);
      return writeVolume(device, request);
    } finally {
      device.close();
    }
  } catch (error) {
    if (made) rmSync(path, { force: true });
    throw error;
  } finally {
    hold?.close();
  }
}

/** Whoever else has it open for writing loses what it holds, or destroys the new volume: a mirror, a virtual machine, a copy. */
async function holdForFormat(path: string): Promise<VolumeHold> {
  try {
    return holdVolume(`volume ${path}`, path, 'end that first, or name another one; nothing was written');
  } catch (error) {
    // These say more: why it cannot be opened, the mount, the node whose agent is live.
    const device = BlockDevice.open(path);
    try {
      lockWhole(device);
      checkUse(device);
      await checkLive(device);
    } finally {
      device.close();
    }
    throw error;
  }
}

/** [ONE1] An agent on this host has its slot locked. */
function lockWhole(device: BlockDevice): void {
  if (tryLock(device, 0, device.bytes)) return;
  throw new AgentError('taken', `volume ${device.path} is in use by an agent on this host: stop it first`);
}

function checkUse(device: BlockDevice): void {
  if (!device.isBlockDevice) return;
  const user = userOf(deviceNumber(fstatSync(device.fd, { bigint: true }).rdev));
  if (user === null) return;
  throw new AgentError('volume', `volume ${device.path} is ${user}: free it, or name another one`);
}

function checkForeign(device: BlockDevice, cluster: string): void {
  const found = findSignature(pieceReader(device), device.bytes, cluster);
  if (found === null) return;
  throw new AgentError(
    'volume',
    `volume ${device.path} bears a ${found.name} (at byte ${found.offset}): ` +
      `name another one, or add --force to destroy what is there`,
  );
}

/** How many slots a volume gets when nobody says: for about twice the nodes, where its size allows that. */
export function slotsFor(volumeBytes: number, nodeCount: number): number {
  const wanted = Math.min(NODES_MAX, Math.max(SLOTS_MIN, 2 * nodeCount));
  const comfortable = Math.floor((volumeBytes - SLOTS_OFFSET) / SLOT_BYTES_COMFORTABLE);
  return Math.max(nodeCount, Math.min(wanted, comfortable));
}

function writeVolume(device: BlockDevice, request: FormatRequest): FormattedVolume {
  const { cluster, nodes } = request;
  const slotCount = request.slots ?? slotsFor(device.bytes, nodes.length);
  const slotBytes = slotBytesFor(device.bytes, slotCount);
  const slots = Array.from({ length: slotCount }, (_, slot) => slot);
  const memory = new Uint8Array(alignedMemory(SLOTS_OFFSET));
  const write = (offset: number, bytes: Uint8Array): void => writePiece(device, offset, bytes);
  write(0, memory.subarray(0, SLOTS_OFFSET));
  for (const slot of slots) write(SLOTS_OFFSET + slot * slotBytes, memory.subarray(0, SLOT_ZERO_BYTES));
  const end = device.bytes - (device.bytes % device.sectorBytes);
  const endStart = Math.floor((end - END_ZERO_BYTES) / BLOCK_BYTES) * BLOCK_BYTES;
  write(endStart, memory.subarray(0, end - endStart));
  fsyncSync(device.fd);
  const superblock = {
    version: FORMAT_VERSION,
    clusterUuid: Uint8Array.from(Buffer.from(randomUUID().replaceAll('-', ''), 'hex')),
    clusterName: cluster,
    createdWallMs: Date.now(),
    volumeBytes: SLOTS_OFFSET + slotCount * slotBytes,
    slotBytes,
    slotCount,
    sectorBytes: device.sectorBytes,
    revision: 1,
    nodes: slots.map((slot) => nodes[slot] ?? ''),
    tenants: slots,
  };
  for (let copy = 0; copy < SUPERBLOCK_COPIES; copy++) {
    memory.set(encodeSuperblock(superblock, copy), copy * BLOCK_BYTES);
  }
  const blocks = memory.subarray(0, SUPERBLOCK_COPIES * BLOCK_BYTES);
  write(0, blocks);
  fsyncSync(device.fd);
  readBack(device, blocks);
  return documentOf(device, superblock);
}
