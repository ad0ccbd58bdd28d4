/**
 * Makes a volume. In this order, so that a failure at any point leaves either the old content or no volume at all:
 * size and geometry, lock, foreign content, live agents; then zeros where old headers could lie, then the superblock.
 */
import { randomUUID } from 'node:crypto';
import { existsSync, fstatSync, fsyncSync, rmSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { dataView, getU64, roundUp, sameBytes } from '../base/bytes.ts';
import { AgentError } from '../base/errors.ts';
import { withoutControls } from '../base/text.ts';
import { deviceNumber, userOf } from '../check/block-device.ts';
import { BlockDevice } from '../platform/block-device.ts';
import { alignedMemory } from '../platform/memory.ts';
import { ERRNO, errnoName } from '../platform/native.ts';
import {
  BLOCK_BYTES,
  FORMAT_VERSION,
  HEAD,
  HEAD_MAGIC,
  HEAD_STATE,
  HEAD_TABLE_OFFSET,
  NODES_MAX,
  SLOTS_OFFSET,
  SUPERBLOCK_COPIES,
} from '../volume/layout.ts';
import { SLOT_ZERO_BYTES } from '../volume/slot-start.ts';
import { findSignature, type ReadPiece } from '../volume/signatures.ts';
import { chooseSuperblock, encodeSuperblock, slotBytesFor } from '../volume/superblock.ts';
import { checkSize, makeFile } from './format-file.ts';

export interface FormatRequest {
  readonly path: string;
  readonly cluster: string;
  readonly nodes: readonly string[];
  /** Makes a file of this size; null: the volume is there. */
  readonly sizeBytes: number | null;
  readonly force: boolean;
}

/** What `--json` prints. */
export interface FormattedVolume {
  readonly ok: true;
  readonly volume: string;
  readonly cluster: string;
  readonly uuid: string;
  readonly nodes: readonly string[];
  readonly slotBytes: number;
  readonly bytes: number;
  readonly sectorBytes: number;
  readonly direct: boolean;
}

/** A live agent writes its head once for each beacon; two and a half of the longest, and a busy machine's delays. */
export const WATCH_MS = 3000;
const WATCH_INTERVAL_MS = 100;
const WRITE_BYTES = 1024 * 1024;
/** Zeros at the end of the volume, where RAID, DRBD and GPT keep their copies. */
const END_ZERO_BYTES = 192 * 1024;

export async function formatVolume(request: FormatRequest): Promise<FormattedVolume> {
  const { path, nodes } = request;
  if (request.sizeBytes === null && !existsSync(path)) {
    throw new AgentError('volume', `volume ${path} does not exist: check the path, or add --size to make a file`);
  }
  const made =
    request.sizeBytes !== null && (await makeFile(path, roundUp(request.sizeBytes, BLOCK_BYTES), nodes.length));
  try {
    const device = BlockDevice.open(path);
    try {
      checkSize(path, device.bytes, nodes.length);
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
  }
}

/** [ONE1] An agent on this host has its slot locked. */
function lockWhole(device: BlockDevice): void {
  const result = device.lock(0, device.bytes);
  if (result >= 0) return;
  if (result !== -ERRNO.EAGAIN && result !== -ERRNO.EACCES) {
    const name = errnoName(result);
    throw new AgentError('volume', `volume ${device.path} cannot be locked (${name}): use storage that has locks`);
  }
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

/** Reads any piece of a device that takes whole blocks only. */
export function pieceReader(device: BlockDevice): ReadPiece {
  const memory = new Uint8Array(alignedMemory(WRITE_BYTES));
  return (offset, length) => {
    const start = offset - (offset % BLOCK_BYTES);
    const end = Math.min(roundUp(offset + length, BLOCK_BYTES), roundUp(device.bytes, device.sectorBytes));
    const got = device.read(start, memory.subarray(0, end - start));
    if (got < 0) throw ioError(device, 'read', start, got);
    return memory.slice(offset - start, Math.max(offset - start, Math.min(got, offset - start + length)));
  };
}

function ioError(device: BlockDevice, doing: string, offset: number, errno: number): AgentError {
  const what = `cannot be ${doing} at byte ${offset} (${errnoName(errno)})`;
  return new AgentError('volume', `volume ${device.path} ${what}: see dmesg, the storage is at fault`);
}

/**
 * An agent on another host holds no lock here, but its beacon moves its head block. A head that says "running" and does
 * not move was left by an agent that died.
 */
async function checkLive(device: BlockDevice): Promise<void> {
  const read = pieceReader(device);
  const heads = (): Uint8Array => read(HEAD_TABLE_OFFSET, NODES_MAX * BLOCK_BYTES);
  const before = heads();
  const running = Array.from({ length: NODES_MAX }, (_, slot) => slot).filter((slot) => saysRunning(before, slot));
  for (let waitedMs = 0; running.length > 0 && waitedMs < WATCH_MS; waitedMs += WATCH_INTERVAL_MS) {
    await delay(WATCH_INTERVAL_MS);
    const now = heads();
    const moved = running.find((slot) => !sameBytes(before, slot * BLOCK_BYTES, now, slot * BLOCK_BYTES, BLOCK_BYTES));
    if (moved === undefined) continue;
    const mark = getU64(dataView(now), moved * BLOCK_BYTES + HEAD.at.headMark);
    throw new AgentError(
      'taken',
      `an agent of node ${nodeName(read, moved)} is live on volume ${device.path} (beacon ${mark}): stop it first`,
    );
  }
}

function saysRunning(heads: Uint8Array, slot: number): boolean {
  const view = dataView(heads);
  const at = slot * BLOCK_BYTES;
  return (
    view.getUint32(at + HEAD.at.magic, true) === HEAD_MAGIC &&
    view.getUint32(at + HEAD.at.state, true) === HEAD_STATE.running
  );
}

function nodeName(read: ReadPiece, slot: number): string {
  const chosen = chooseSuperblock([read(0, BLOCK_BYTES), read(BLOCK_BYTES, BLOCK_BYTES)]);
  return withoutControls((chosen.ok && chosen.superblock.nodes[slot]) || `in slot ${slot}`);
}

function writeVolume(device: BlockDevice, request: FormatRequest): FormattedVolume {
  const { cluster, nodes } = request;
  const uuid = randomUUID();
  const slotBytes = slotBytesFor(device.bytes, nodes.length);
  const memory = new Uint8Array(alignedMemory(SLOTS_OFFSET));
  const write = (offset: number, bytes: Uint8Array): void => {
    const done = device.write(offset, bytes);
    if (done !== bytes.length) throw ioError(device, 'written', offset, done < 0 ? done : -ERRNO.ENOSPC);
  };
  write(0, memory.subarray(0, SLOTS_OFFSET));
  nodes.forEach((_, slot) => write(SLOTS_OFFSET + slot * slotBytes, memory.subarray(0, SLOT_ZERO_BYTES)));
  const end = device.bytes - (device.bytes % device.sectorBytes);
  const endStart = Math.floor((end - END_ZERO_BYTES) / BLOCK_BYTES) * BLOCK_BYTES;
  write(endStart, memory.subarray(0, end - endStart));
  fsyncSync(device.fd);
  const superblock = {
    version: FORMAT_VERSION,
    clusterUuid: Uint8Array.from(Buffer.from(uuid.replaceAll('-', ''), 'hex')),
    clusterName: cluster,
    createdWallMs: Date.now(),
    volumeBytes: SLOTS_OFFSET + nodes.length * slotBytes,
    slotBytes,
    slotCount: nodes.length,
    sectorBytes: device.sectorBytes,
    revision: 1,
    nodes,
  };
  for (let copy = 0; copy < SUPERBLOCK_COPIES; copy++) {
    memory.set(encodeSuperblock(superblock, copy), copy * BLOCK_BYTES);
  }
  const blocks = memory.subarray(0, SUPERBLOCK_COPIES * BLOCK_BYTES);
  write(0, blocks);
  fsyncSync(device.fd);
  readBack(device, blocks);
  const { bytes, sectorBytes, isDirect: direct } = device;
  return { ok: true, volume: device.path, cluster, uuid, nodes, slotBytes, bytes, sectorBytes, direct };
}

/** Storage that takes writes and does not keep them is found out here, not at the first failover. */
function readBack(device: BlockDevice, written: Uint8Array): void {
  const found = pieceReader(device)(0, written.length);
  if (found.length === written.length && sameBytes(found, 0, written, 0, written.length)) return;
  throw new AgentError('volume', `volume ${device.path} does not keep what is written: check the storage`);
}
