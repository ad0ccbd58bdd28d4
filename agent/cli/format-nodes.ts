/**
 * `format --add` and `format --remove`: changes the node table of a volume while agents of the other nodes run.
 *
 * Always true:
 * - One good copy of the superblock is on the volume at each moment: the copies are written one after the other, each
 *   flushed before the next, the one that does not count first.
 * - A slot bears nothing of its former node when the superblock names the new one, and a new tenant number.
 * - Of two changes at a time none is lost. On one host a lock on the superblocks keeps them apart. Across hosts each
 *   looks again after a pause whether its change stands, and makes it once more when another one has overwritten it.
 */
import { fsyncSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { AgentError } from '../base/errors.ts';
import { withoutControls } from '../base/text.ts';
import { sizeText } from '../check/system.ts';
import { BlockDevice } from '../platform/block-device.ts';
import { alignedMemory } from '../platform/memory.ts';
import {
  BLOCK_BYTES,
  FORMAT_VERSION,
  generationOfTenant,
  HEAD_TABLE_OFFSET,
  NODES_MAX,
  SLOTS_OFFSET,
  SUPERBLOCK_COPIES,
  tenantOf,
} from '../volume/layout.ts';
import { SLOT_ZERO_BYTES } from '../volume/slot-start.ts';
import { decodeSuperblock, encodeSuperblock, type Superblock, volumeBytesMin } from '../volume/superblock.ts';
import { readSuperblock } from '../volumes.ts';
import { checkLive, pieceReader, tryLock, writePiece } from './format-device.ts';
import { documentOf, type FormattedVolume } from './format-document.ts';

export interface NodesRequest {
  readonly path: string;
  readonly change: 'add' | 'remove';
  readonly names: readonly string[];
}

/** Another change holds the lock for less than a watch of a few seconds. */
const LOCK_MS_MAX = 20_000;
const LOCK_RETRY_MS = 50;
/** Between reading the table and having written it a change on another host takes far less than this. */
const SETTLE_MS = 500;
const TRIES = 8;

/** The nodes' slots in the order of the request, as they are in the table that is to be written. */
interface Change {
  readonly next: Superblock;
  readonly slots: readonly number[];
}

export async function changeNodes(request: NodesRequest): Promise<FormattedVolume> {
  const device = BlockDevice.open(request.path);
  try {
    await lockTable(device);
    for (let attempt = 0; attempt < TRIES; attempt++) {
      const before = readSuperblock(device);
      const change = planned(device, before, request);
      await checkSlots(device, before, change, request);
      if (request.change === 'add') for (const slot of change.slots) clearSlot(device, before, slot);
      // While the slots were looked at the table may have been changed on another host.
      if (!isSame(readSuperblock(device), before)) continue;
      writeCopies(device, change.next);
      await delay(SETTLE_MS);
      const after = readSuperblock(device);
      if (stands(after, change, request)) return documentOf(device, after);
    }
    throw new AgentError('taken', `volume ${request.path} is being changed on another host: try again`);
  } finally {
    device.close();
  }
}

/** A range that only `format` takes: agents lock their slots. */
async function lockTable(device: BlockDevice): Promise<void> {
  for (let waitedMs = 0; !tryLock(device, 0, SUPERBLOCK_COPIES * BLOCK_BYTES); waitedMs += LOCK_RETRY_MS) {
    if (waitedMs >= LOCK_MS_MAX)
      throw new AgentError('taken', `volume ${device.path} is being formatted by another process: try again`);
    await delay(LOCK_RETRY_MS);
  }
}

const names = (superblock: Superblock): string => withoutControls(superblock.nodes.filter(Boolean).join(', '));

function planned(device: BlockDevice, before: Superblock, request: NodesRequest): Change {
  const nodes = [...before.nodes];
  const tenants = [...before.tenants];
  const slots = request.names.map((name) => {
    const found = nodes.indexOf(name);
    const slot = request.change === 'add' ? freeSlot(device, before, request, name, found, nodes) : found;
    if (slot < 0) {
      const known = `it has ${names(before)}`;
      throw new AgentError('volume', `volume ${device.path} has no node ${name} (${known}): name one of these`);
    }
    nodes[slot] = request.change === 'add' ? name : '';
    // Already when a slot becomes free: whatever happens until it is given away, its next owner is told apart.
    if (request.change === 'remove') tenants[slot] = tenantOf(slot, generationOfTenant(tenants[slot] ?? slot) + 1);
    return slot;
  });
  if (nodes.every((name) => name === '')) {
    throw new AgentError('volume', `volume ${device.path} would be left without a node: format it anew instead`);
  }
  return { next: { ...before, version: FORMAT_VERSION, revision: before.revision + 1, nodes, tenants }, slots };
}

function freeSlot(
  device: BlockDevice,
  before: Superblock,
  request: NodesRequest,
  name: string,
  found: number,
  nodes: readonly string[],
): number {
  if (found >= 0) {
    throw new AgentError('volume', `volume ${device.path} has a node ${name} already: give the new one another name`);
  }
  const slot = nodes.indexOf('');
  if (slot >= 0) return slot;
  throw exhausted(device, before, request);
}

/** Says how to get more slots: by giving up a node, or by a new format, with the size that this needs. */
function exhausted(device: BlockDevice, before: Superblock, request: NodesRequest): AgentError {
  const { path } = device;
  const { slotCount, clusterName } = before;
  const free = before.nodes.filter((name) => name === '').length;
  const what = `volume ${path} has ${slotCount} slots, ${free} free, for ${request.names.length} more`;
  const all = [...before.nodes.filter(Boolean), ...request.names];
  if (all.length > NODES_MAX) {
    return new AgentError('volume', `${what}: a volume has room for ${NODES_MAX} nodes; use a second cluster`);
  }
  const wanted = Math.min(NODES_MAX, 2 * all.length);
  const least = volumeBytesMin(wanted);
  const larger = device.bytes < least ? ` on a device of at least ${sizeText(least)}` : '';
  const command = `stillbeat format ${path} --cluster ${clusterName} --nodes ${all.join(',')} --slots ${wanted}`;
  const mend = `remove a node that is gone (--remove), or stop all agents and run "${command}"${larger}`;
  return new AgentError('volume', withoutControls(`${what}: ${mend}`));
}

/** [ONE1] Neither is a node removed while its agent lives, nor is a slot given away that an agent still writes. */
async function checkSlots(
  device: BlockDevice,
  before: Superblock,
  { slots }: Change,
  { change, names: wanted }: NodesRequest,
): Promise<void> {
  for (const [i, slot] of slots.entries()) {
    if (tryLock(device, SLOTS_OFFSET + slot * before.slotBytes, before.slotBytes)) continue;
    const who = change === 'remove' ? `of node ${wanted[i]}` : `that writes slot ${slot}`;
    throw new AgentError('taken', `the agent ${who} is live on volume ${device.path}, on this host: stop it first`);
  }
  await checkLive(device, slots);
}

/** The former node's head block and the beginning of its ring: the new one starts as on a new volume. */
function clearSlot(device: BlockDevice, { slotBytes }: Superblock, slot: number): void {
  const zeros = new Uint8Array(alignedMemory(SLOT_ZERO_BYTES)).subarray(0, SLOT_ZERO_BYTES);
  writePiece(device, HEAD_TABLE_OFFSET + slot * BLOCK_BYTES, zeros.subarray(0, BLOCK_BYTES));
  writePiece(device, SLOTS_OFFSET + slot * slotBytes, zeros);
  fsyncSync(device.fd);
}

function isSame(a: Superblock, b: Superblock): boolean {
  return a.revision === b.revision && a.nodes.join() === b.nodes.join() && a.tenants.join() === b.tenants.join();
}

/** First the copy that does not count, so that the one that does is there until the other is. */
function writeCopies(device: BlockDevice, next: Superblock): void {
  const read = pieceReader(device);
  const revision = (copy: number): number => {
    const decoded = decodeSuperblock(read(copy * BLOCK_BYTES, BLOCK_BYTES));
    return decoded.ok ? decoded.superblock.revision : -1;
  };
  const order = revision(0) < revision(1) ? [0, 1] : [1, 0];
  const memory = new Uint8Array(alignedMemory(BLOCK_BYTES)).subarray(0, BLOCK_BYTES);
  for (const copy of order) {
    memory.set(encodeSuperblock(next, copy));
    writePiece(device, copy * BLOCK_BYTES, memory);
    fsyncSync(device.fd);
  }
}

function stands(after: Superblock, { next, slots }: Change, { change, names: wanted }: NodesRequest): boolean {
  if (change === 'remove') return wanted.every((name) => !after.nodes.includes(name));
  return slots.every((slot, i) => after.nodes[slot] === wanted[i] && after.tenants[slot] === next.tenants[slot]);
}
