/** What the ways to change a volume share: reading and writing its blocks, locks, and telling a live agent from a dead one. */
import { setTimeout as delay } from 'node:timers/promises';
import { dataView, getU64, roundUp, sameBytes } from '../base/bytes.ts';
import { AgentError } from '../base/errors.ts';
import { withoutControls } from '../base/text.ts';
import type { BlockDevice } from '../platform/block-device.ts';
import { alignedMemory } from '../platform/memory.ts';
import { ERRNO, errnoName } from '../platform/native.ts';
import { BLOCK_BYTES, HEAD, HEAD_MAGIC, HEAD_STATE, HEAD_TABLE_OFFSET, NODES_MAX } from '../volume/layout.ts';
import type { ReadPiece } from '../volume/signatures.ts';
import { chooseSuperblock } from '../volume/superblock.ts';

/** A live agent writes its head once for each beacon; two and a half of the longest, and a busy machine's delays. */
export const WATCH_MS = 3000;
const WATCH_INTERVAL_MS = 100;
const READ_BYTES = 1024 * 1024;

/** Reads any piece of a device that takes whole blocks only. */
export function pieceReader(device: BlockDevice): ReadPiece {
  const memory = new Uint8Array(alignedMemory(READ_BYTES));
  return (offset, length) => {
    const start = offset - (offset % BLOCK_BYTES);
    const end = Math.min(roundUp(offset + length, BLOCK_BYTES), roundUp(device.bytes, device.sectorBytes));
    const got = device.read(start, memory.subarray(0, end - start));
    if (got < 0) throw ioError(device, 'read', start, got);
    return memory.slice(offset - start, Math.max(offset - start, Math.min(got, offset - start + length)));
  };
}

/** Writes all of `bytes`, which lie in page-aligned memory. */
export function writePiece(device: BlockDevice, offset: number, bytes: Uint8Array): void {
  const done = device.write(offset, bytes);
  if (done !== bytes.length) throw ioError(device, 'written', offset, done < 0 ? done : -ERRNO.ENOSPC);
}

function ioError(device: BlockDevice, doing: string, offset: number, errno: number): AgentError {
  const what = `cannot be ${doing} at byte ${offset} (${errnoName(errno)})`;
  return new AgentError('volume', `volume ${device.path} ${what}: see dmesg, the storage is at fault`);
}

/** Locks a range; false when another process of this host has some of it. */
export function tryLock(device: BlockDevice, offset: number, bytes: number): boolean {
  const result = device.lock(offset, bytes);
  if (result >= 0) return true;
  if (result === -ERRNO.EAGAIN || result === -ERRNO.EACCES) return false;
  const name = errnoName(result);
  throw new AgentError('volume', `volume ${device.path} cannot be locked (${name}): use storage that has locks`);
}

/** Storage that takes writes and does not keep them is found out here, not at the first failover. */
export function readBack(device: BlockDevice, written: Uint8Array): void {
  const found = pieceReader(device)(0, written.length);
  if (found.length === written.length && sameBytes(found, 0, written, 0, written.length)) return;
  throw new AgentError('volume', `volume ${device.path} does not keep what is written: check the storage`);
}

/**
 * An agent on another host holds no lock here, but its beacon moves its head block. A head that says "running" and does
 * not move was left by an agent that died. `slots`: which to watch; all when left out.
 */
export async function checkLive(device: BlockDevice, slots?: readonly number[]): Promise<void> {
  const read = pieceReader(device);
  const heads = (): Uint8Array => read(HEAD_TABLE_OFFSET, NODES_MAX * BLOCK_BYTES);
  const before = heads();
  const watched = slots ?? Array.from({ length: NODES_MAX }, (_, slot) => slot);
  const running = watched.filter((slot) => saysRunning(before, slot));
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
