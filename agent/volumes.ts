/**
 * Opens the volumes that an agent needs and refuses, each with its own line, what it must not use: a volume of another
 * cluster, of a newer format, without this node's slot, used with another key, or with a live agent in our slot.
 */
import { createHash } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { sameBytes } from './base/bytes.ts';
import { AgentError } from './base/errors.ts';
import { BlockDevice } from './platform/block-device.ts';
import { bootId, isAlive } from './platform/host.ts';
import { alignedMemory } from './platform/memory.ts';
import { BEACON_MS_MAX } from './settings/schema.ts';
import type { Settings } from './settings/settings.ts';
import { slotGeometry, volumeSeals, type VolumeFacts } from './threads.ts';
import { headKeyId, isHeadOf, parseHead, type Head } from './volume/head.ts';
import {
  BATCH_BYTES_MAX,
  BLOCK_BYTES,
  HEAD_STATE,
  HEAD_TABLE_OFFSET,
  slotOfTenant,
  SLOTS_OFFSET,
  SUPERBLOCK_COPIES,
} from './volume/layout.ts';
import { findStart, type SlotStart } from './volume/slot-start.ts';
import { chooseSuperblock, type Superblock, type SuperblockFault } from './volume/superblock.ts';
import { KeysInUse, type Keys } from './volume-keys.ts';
import { fixedKeys } from './wire/key-ring.ts';
import { KEY_ID_BYTES, keyId } from './wire/keys.ts';

/** A live agent shows within this many of its beacons; how long its beacon is only its own settings say. */
const WATCH_BEACONS = 2.5;

const FAULTS: Readonly<Record<SuperblockFault, string>> = {
  absent: 'is not formatted: make it a volume with "stillbeat format"',
  version: 'has a newer format than this version knows: upgrade stillbeat on this node',
  checksum: 'has a damaged superblock, both copies: restore it or format it anew',
  geometry: 'has impossible sizes in its superblock: restore it or format it anew',
};

function readSuperblockCopies(device: BlockDevice): Uint8Array[] {
  const memory = new Uint8Array(alignedMemory(SUPERBLOCK_COPIES * BLOCK_BYTES));
  const blocks = memory.subarray(0, SUPERBLOCK_COPIES * BLOCK_BYTES);
  if (device.bytes < blocks.length || device.read(0, blocks) !== blocks.length) {
    throw new AgentError('volume', `volume ${device.path} is too small or cannot be read: check the device`);
  }
  return [blocks.slice(0, BLOCK_BYTES), blocks.slice(BLOCK_BYTES)];
}

/** Reads the superblock of an open volume. */
export function readSuperblock(device: BlockDevice): Superblock {
  const chosen = chooseSuperblock(readSuperblockCopies(device));
  if (!chosen.ok) throw new AgentError('volume', `volume ${device.path} ${FAULTS[chosen.fault]}`);
  const { superblock } = chosen;
  if (device.bytes < superblock.volumeBytes) {
    const figures = `${device.bytes} bytes, formatted with ${superblock.volumeBytes}`;
    throw new AgentError(
      'volume',
      `volume ${device.path} is too small (${figures}): enlarge it again or format it anew`,
    );
  }
  return superblock;
}

function tenantOfNode(path: string, superblock: Superblock, node: string): number {
  const tenant = superblock.tenants[superblock.nodes.indexOf(node)];
  if (tenant !== undefined) return tenant;
  const known = superblock.nodes.filter((name) => name !== '').join(', ');
  throw new AgentError(
    'volume',
    `volume ${path} has no slot for node ${node} (it has ${known}): add it with "stillbeat format ${path} --add ${node}"`,
  );
}

function checkCluster(path: string, superblock: Superblock, settings: Settings): void {
  if (superblock.clusterName === settings.cluster) return;
  const names = `${superblock.clusterName}, not ${settings.cluster}`;
  throw new AgentError('volume', `volume ${path} belongs to cluster ${names}: check "cluster" and the volume's path`);
}

const facts = ({ path, identity }: BlockDevice, superblock: Superblock, node: string): VolumeFacts => ({
  path,
  device: identity,
  clusterUuid: superblock.clusterUuid,
  slotBytes: superblock.slotBytes,
  slotCount: superblock.slotCount,
  slotsOffset: SLOTS_OFFSET,
  ownTenant: tenantOfNode(path, superblock, node),
});

/** A volume that peers write to: their place in the settings, and their tenant numbers there. */
export interface SeenReceive {
  readonly volume: VolumeFacts;
  readonly peers: readonly { readonly index: number; readonly tenant: number }[];
}

/** What the volumes say to the settings: what a plan is made of. */
export interface SeenVolumes {
  readonly send: VolumeFacts;
  readonly receive: readonly SeenReceive[];
  /** For each peer its tenant number on our send volume. */
  readonly peerTenants: readonly number[];
}

export interface OpenedVolumes extends SeenVolumes {
  readonly hostId: Uint8Array;
  readonly start: SlotStart;
  /** Holds the lock on our slot: open for as long as the agent lives. */
  readonly lock: BlockDevice;
  readonly isDirect: boolean;
  readonly sectorBytes: number;
}

/** Opens and checks everything, locks our slot, and finds where the new incarnation begins. */
export async function openVolumes(settings: Settings, keys: Keys): Promise<OpenedVolumes> {
  const device = BlockDevice.open(settings.storage.sendVolume);
  try {
    const superblock = readSuperblock(device);
    checkCluster(device.path, superblock, settings);
    const send = facts(device, superblock, settings.node);
    const receive = readKeys(device, superblock, settings, keys);
    lockSlot(device, send, settings.node);
    const hostId = bootId();
    await watchForOwner(device, send, settings, hostId);
    const geometry = slotGeometry(send, send.ownTenant);
    const seals = volumeSeals(keys && fixedKeys(...keys), superblock.clusterUuid);
    const scratch = new Uint8Array(alignedMemory(BATCH_BYTES_MAX));
    const formerKey = sealedWithFormerKey(device, send, keys);
    const start = findStart(device, geometry, send.ownTenant, send.clusterUuid, seals, scratch, formerKey);
    return {
      send,
      receive,
      peerTenants: peerTenants(device.path, superblock, settings),
      hostId,
      start,
      lock: device,
      isDirect: device.isDirect,
      sectorBytes: device.sectorBytes,
    };
  } catch (error) {
    device.close();
    throw error;
  }
}

/**
 * What `check` needs to know of a volume: throws like `openVolumes`, but locks and changes nothing. `inUse` looks at it and
 * is to judge when it has seen all of them.
 */
export function examineVolume(device: BlockDevice, settings: Settings, inUse: KeysInUse): VolumeFacts {
  const superblock = readSuperblock(device);
  checkCluster(device.path, superblock, settings);
  peerTenants(device.path, superblock, settings);
  inUse.look(device, superblock);
  return facts(device, superblock, settings.node);
}

/** Throws like `openVolumes` for what the settings name; locks nothing, so that an agent of this node may run meanwhile. */
export function examineVolumes(settings: Settings, keys: Keys): SeenVolumes {
  const device = BlockDevice.open(settings.storage.sendVolume);
  try {
    const superblock = readSuperblock(device);
    checkCluster(device.path, superblock, settings);
    return {
      send: facts(device, superblock, settings.node),
      peerTenants: peerTenants(device.path, superblock, settings),
      receive: readKeys(device, superblock, settings, keys),
    };
  } finally {
    device.close();
  }
}

const peerTenants = (path: string, superblock: Superblock, settings: Settings): number[] =>
  settings.peers.map(({ node }) => tenantOfNode(path, superblock, node));

/** What a copy of the send volume needs to know of it. Throws like `openVolumes`. */
export function examineSend(settings: Settings): { readonly send: VolumeFacts; readonly volumeBytes: number } {
  const device = BlockDevice.open(settings.storage.sendVolume);
  try {
    const superblock = readSuperblock(device);
    checkCluster(device.path, superblock, settings);
    return { send: facts(device, superblock, settings.node), volumeBytes: superblock.volumeBytes };
  } finally {
    device.close();
  }
}

/** False while nothing has been copied to it yet. Throws when it cannot be opened or read. */
export function isFormatted(path: string): boolean {
  const device = BlockDevice.open(path, { readOnly: true });
  try {
    const chosen = chooseSuperblock(readSuperblockCopies(device));
    return chosen.ok || chosen.fault !== 'absent';
  } finally {
    device.close();
  }
}

/** Looks at the volumes that peers write to, and judges the keys in use on all of them and our own. */
function readKeys(device: BlockDevice, superblock: Superblock, settings: Settings, keys: Keys): SeenReceive[] {
  const inUse = new KeysInUse(keys, settings.node);
  inUse.look(device, superblock);
  const receive = receiveVolumes(settings, inUse);
  inUse.judge();
  return receive;
}

function receiveVolumes(settings: Settings, inUse: KeysInUse): SeenReceive[] {
  const byPath = new Map<string, number[]>();
  settings.peers.forEach((peer, i) => byPath.set(peer.receiveVolume, [...(byPath.get(peer.receiveVolume) ?? []), i]));
  return [...byPath].map(([path, indexes]) => {
    const device = BlockDevice.open(path, { readOnly: true });
    try {
      const superblock = readSuperblock(device);
      checkCluster(path, superblock, settings);
      inUse.look(device, superblock);
      const peers = indexes.map((index) => {
        return { index, tenant: tenantOfNode(path, superblock, settings.peers[index]?.node ?? '') };
      });
      return { volume: facts(device, superblock, settings.node), peers };
    } finally {
      device.close();
    }
  });
}

function lockSlot(device: BlockDevice, send: VolumeFacts, node: string): void {
  const { slotOffset, slotBytes } = slotGeometry(send, send.ownTenant);
  if (device.lock(slotOffset, slotBytes) >= 0) return;
  throw new AgentError(
    'taken',
    `node ${node} is taken: another agent on this host uses its slot on volume ${device.path}; stop that one first`,
  );
}

/** Our slot's head block as it lies there, believed or not; null where there is none of this slot's tenant. */
function ownBlock(device: BlockDevice, send: VolumeFacts): Uint8Array | null {
  const block = new Uint8Array(alignedMemory(BLOCK_BYTES)).subarray(0, BLOCK_BYTES);
  const got = device.read(HEAD_TABLE_OFFSET + slotOfTenant(send.ownTenant) * BLOCK_BYTES, block);
  return got === BLOCK_BYTES && isHeadOf(block, send.ownTenant, send.clusterUuid) ? block : null;
}

/** True when the key file has lost the key of this slot's last head block: the others dropped it while this node was down. */
function sealedWithFormerKey(device: BlockDevice, send: VolumeFacts, keys: Keys): boolean {
  const block = ownBlock(device, send);
  const id = block && headKeyId(block);
  return id !== null && keys !== null && keys.every((key) => !sameBytes(keyId(key), 0, id, 0, KEY_ID_BYTES));
}

/**
 * [ONE1] A head block that says "running" may be a live agent's. Its beacon would move it. On this host the lock has told
 * only of those that use the same device node: one volume may have several. It need not be authentic: a live agent may have
 * a key that is gone here, and what moves is written by somebody.
 */
async function watchForOwner(
  device: BlockDevice,
  send: VolumeFacts,
  settings: Settings,
  hostId: Uint8Array,
): Promise<void> {
  const read = (): Head | null => {
    const block = ownBlock(device, send);
    return block && parseHead(block);
  };
  const isHere = (head: Head) => sameBytes(head.hostId, 0, hostId, 0, 16);
  // A dead owner is not waited for, nor this process's own former agent at a restart in place.
  const isGone = ({ pid }: Head) => pid === process.pid || !isAlive(pid);
  const before = read();
  if (!before || before.state !== HEAD_STATE.running || (isHere(before) && isGone(before))) return;
  await delay(WATCH_BEACONS * BEACON_MS_MAX);
  const after = read();
  if (!after || after.headMark === before.headMark) return;
  const who = isHere(after)
    ? `another agent on this host (pid ${after.pid}) writes its slot through another device than ${device.path}`
    : `an agent on another host (pid ${after.pid} there) writes its slot on volume ${device.path}`;
  throw new AgentError(
    'taken',
    `node ${settings.node} is taken: ${who}; give this node another name or stop that agent`,
  );
}

/** The number that stands for a node in datagrams: the first four bytes of SHA-256 over its name. */
export function nodeNumber(name: string): number {
  return createHash('sha256').update(name).digest().readUInt32LE(0);
}
