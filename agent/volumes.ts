/**
 * Opens the volumes that an agent needs and refuses, each with its own line, what it must not use: a volume of another
 * cluster, of a newer format, without this node's slot, used with another key, or with a live agent in our slot.
 */
import { createHash } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { sameBytes, toHex } from './base/bytes.ts';
import { AgentError } from './base/errors.ts';
import { BlockDevice } from './platform/block-device.ts';
import { bootId } from './platform/host.ts';
import { alignedMemory } from './platform/memory.ts';
import { BEACON_MS_MAX } from './settings/schema.ts';
import type { Settings } from './settings/settings.ts';
import { slotGeometry, volumeSeals, type VolumeFacts } from './threads.ts';
import { decodeHead, headKeyId, type Head } from './volume/head.ts';
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
import { fixedKeys } from './wire/key-ring.ts';
import { keyId } from './wire/keys.ts';

/** The keys of the key file; null: unauthenticated. */
type Keys = readonly Uint8Array[] | null;

/** A live agent shows within this many of its beacons; how long its beacon is only its own settings say. */
const WATCH_BEACONS = 2.5;

const FAULTS: Readonly<Record<SuperblockFault, string>> = {
  absent: 'is not formatted: make it a volume with "stillbeat format"',
  version: 'has a newer format than this version knows: upgrade stillbeat on this node',
  checksum: 'has a damaged superblock, both copies: restore it or format it anew',
  geometry: 'has impossible sizes in its superblock: restore it or format it anew',
};

/** Reads the superblock of an open volume. */
export function readSuperblock(device: BlockDevice): Superblock {
  const memory = new Uint8Array(alignedMemory(SUPERBLOCK_COPIES * BLOCK_BYTES));
  const blocks = memory.subarray(0, SUPERBLOCK_COPIES * BLOCK_BYTES);
  if (device.bytes < blocks.length || device.read(0, blocks) !== blocks.length) {
    throw new AgentError('volume', `volume ${device.path} is too small or cannot be read: check the device`);
  }
  const copies = [blocks.slice(0, BLOCK_BYTES), blocks.slice(BLOCK_BYTES)];
  const chosen = chooseSuperblock(copies);
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

const facts = (path: string, superblock: Superblock, node: string): VolumeFacts => ({
  path,
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
    const send = facts(device.path, superblock, settings.node);
    checkKey(device, superblock, keys, settings.node);
    lockSlot(device, send, settings.node);
    const hostId = bootId();
    const seals = volumeSeals(keys && fixedKeys(...keys), superblock.clusterUuid);
    await watchForOwner(device, send, settings, hostId, (block) => {
      const decoded = decodeHead(block, send.ownTenant, send.clusterUuid, seals);
      return decoded.ok ? decoded.head : null;
    });
    const geometry = slotGeometry(send, send.ownTenant);
    const scratch = new Uint8Array(alignedMemory(BATCH_BYTES_MAX));
    const start = findStart(device, geometry, send.ownTenant, send.clusterUuid, seals, scratch);
    return {
      send,
      receive: receiveVolumes(settings, keys),
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

/** What `check` needs to know of a volume: throws like `openVolumes`, but locks and changes nothing. */
export function examineVolume(device: BlockDevice, settings: Settings, keys: Keys): VolumeFacts {
  const superblock = readSuperblock(device);
  checkCluster(device.path, superblock, settings);
  peerTenants(device.path, superblock, settings);
  checkKey(device, superblock, keys, settings.node);
  return facts(device.path, superblock, settings.node);
}

/** Throws like `openVolumes` for what the settings name; locks nothing, so that an agent of this node may run meanwhile. */
export function examineVolumes(settings: Settings, keys: Keys): SeenVolumes {
  const device = BlockDevice.open(settings.storage.sendVolume);
  try {
    const send = examineVolume(device, settings, keys);
    return {
      send,
      receive: receiveVolumes(settings, keys),
      peerTenants: peerTenants(device.path, readSuperblock(device), settings),
    };
  } finally {
    device.close();
  }
}

const peerTenants = (path: string, superblock: Superblock, settings: Settings): number[] =>
  settings.peers.map(({ node }) => tenantOfNode(path, superblock, node));

function receiveVolumes(settings: Settings, keys: Keys): SeenReceive[] {
  const byPath = new Map<string, number[]>();
  settings.peers.forEach((peer, i) => byPath.set(peer.receiveVolume, [...(byPath.get(peer.receiveVolume) ?? []), i]));
  return [...byPath].map(([path, indexes]) => {
    const device = BlockDevice.open(path, { readOnly: true });
    try {
      const superblock = readSuperblock(device);
      checkCluster(path, superblock, settings);
      checkKey(device, superblock, keys, null);
      const peers = indexes.map((index) => {
        return { index, tenant: tenantOfNode(path, superblock, settings.peers[index]?.node ?? '') };
      });
      return { volume: facts(path, superblock, settings.node), peers };
    } finally {
      device.close();
    }
  });
}

/**
 * A key that is not the cluster's is told as such: with it every block would only look damaged. A peer may have gone on to
 * a key that comes later here, or not yet have left one that is gone here: then it is not heard until the files are the
 * same again, and the agent says so. But our own words must be readable, and `own` node's file must know some key in use.
 */
function checkKey(device: BlockDevice, superblock: Superblock, keys: Keys, own: string | null): void {
  const table = new Uint8Array(alignedMemory(superblock.slotCount * BLOCK_BYTES));
  const heads = table.subarray(0, superblock.slotCount * BLOCK_BYTES);
  if (device.read(HEAD_TABLE_OFFSET, heads) !== heads.length) return;
  const ours = new Set(keys === null ? [NO_KEY] : keys.map((key) => toHex(keyId(key))));
  const strangers: { node: string; what: string }[] = [];
  let isKnown = false;
  superblock.nodes.forEach((node, slot) => {
    if (node === '') return; // what a node that is gone has left is nobody's word
    const bytes = headKeyId(heads.subarray(slot * BLOCK_BYTES, (slot + 1) * BLOCK_BYTES));
    if (bytes === null) return;
    const theirs = toHex(bytes);
    if (ours.has(theirs)) {
      isKnown = true;
      return;
    }
    const what = theirs === NO_KEY ? 'runs without a key' : `uses another key (${theirs})`;
    const isMixed = theirs === NO_KEY || keys === null;
    if (isMixed || node === own) throw keyDiffers(node, what, device.path);
    strangers.push({ node, what });
  });
  const [first] = strangers;
  if (first && !isKnown && own !== null) throw keyDiffers(first.node, first.what, device.path);
}

const NO_KEY = '0'.repeat(16);

const keyDiffers = (node: string, what: string, path: string): AgentError =>
  new AgentError(
    'key',
    `the cluster key differs: node ${node} ${what} on volume ${path}; install the same key file on all nodes`,
  );

function lockSlot(device: BlockDevice, send: VolumeFacts, node: string): void {
  const { slotOffset, slotBytes } = slotGeometry(send, send.ownTenant);
  if (device.lock(slotOffset, slotBytes) >= 0) return;
  throw new AgentError(
    'taken',
    `node ${node} is taken: another agent on this host uses its slot on volume ${device.path}; stop that one first`,
  );
}

/**
 * [ONE1] A head block that says "running", written by another host, may be a live agent's. Its beacon would move it.
 * On this host the lock has already told.
 */
async function watchForOwner(
  device: BlockDevice,
  send: VolumeFacts,
  settings: Settings,
  hostId: Uint8Array,
  decode: (block: Uint8Array) => Head | null,
): Promise<void> {
  const read = (): Head | null => {
    const memory = new Uint8Array(alignedMemory(BLOCK_BYTES)).subarray(0, BLOCK_BYTES);
    const got = device.read(HEAD_TABLE_OFFSET + slotOfTenant(send.ownTenant) * BLOCK_BYTES, memory);
    return got === BLOCK_BYTES ? decode(memory) : null;
  };
  const before = read();
  if (!before || before.state !== HEAD_STATE.running || sameBytes(before.hostId, 0, hostId, 0, 16)) return;
  await delay(WATCH_BEACONS * BEACON_MS_MAX);
  const after = read();
  if (!after || after.headMark === before.headMark) return;
  throw new AgentError(
    'taken',
    `node ${settings.node} is taken: an agent on another host (pid ${after.pid} there) writes its slot on volume ` +
      `${device.path}; give this node another name or stop that agent`,
  );
}

/** The number that stands for a node in datagrams: the first four bytes of SHA-256 over its name. */
export function nodeNumber(name: string): number {
  return createHash('sha256').update(name).digest().readUInt32LE(0);
}
