/**
 * What is on the volumes: a format that this version knows, this cluster, slots for all nodes, the same key; and, from
 * the beacons of peers that run, how far their clocks are from ours.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { AgentError } from '../base/errors.ts';
import { BlockDevice } from '../platform/block-device.ts';
import { systemClock } from '../platform/clock.ts';
import { alignedMemory } from '../platform/memory.ts';
import { readKeyFile } from '../settings/key.ts';
import type { Settings } from '../settings/settings.ts';
import { volumeSeals, type VolumeFacts } from '../threads.ts';
import { decodeHead, type Head } from '../volume/head.ts';
import { BLOCK_BYTES, HEAD_STATE, HEAD_TABLE_OFFSET, slotOfTenant } from '../volume/layout.ts';
import { type Keys, KeysInUse, usedKeys } from '../volume-keys.ts';
import { examineVolume, isFormatted, readSuperblock } from '../volumes.ts';
import { error, ok, warning, type Finding } from './finding.ts';
import { fixedKeys } from '../wire/key-ring.ts';

/** Nothing in the agent trusts wall clocks; administrators who compare logs do. */
const CLOCK_OFFSET_MS_MAX = 1000;
const BEACON_WAIT = 1.5;
const LOOK_EVERY_MS = 20;

const NAME = 'volume.format';

export async function checkFormat(settings: Settings): Promise<Finding[]> {
  const paths = new Set([settings.storage.sendVolume, ...settings.peers.map(({ receiveVolume }) => receiveVolume)]);
  let keys: Keys;
  try {
    keys = settings.keyFile === null ? null : readKeyFile(settings.keyFile);
  } catch {
    return []; // told by the check of the key
  }
  const inUse = new KeysInUse(keys, settings.node);
  const found = await Promise.all([...paths].map(async (path) => oneVolume(path, settings, keys, inUse)));
  // What `run` would say first of a volume that was not seen is told already, and the key that fits may be on it.
  const isComplete = found.every((ofOne) => ofOne.some(({ name, level }) => name === NAME && level === 'ok'));
  try {
    if (isComplete) inUse.judge();
    return found.flat();
  } catch (caught) {
    return [...found.flat().filter(({ name }) => name !== PEER_KEY), refusal('volume.key', caught)];
  }
}

async function oneVolume(path: string, settings: Settings, keys: Keys, inUse: KeysInUse): Promise<Finding[]> {
  let device: BlockDevice;
  try {
    device = BlockDevice.open(path, { readOnly: true });
  } catch {
    return []; // told by the check of the device
  }
  try {
    if (isAwaited(path, settings)) {
      const mend = 'start the agents there: run waits for it';
      return [warning(NAME, `${path} has no copy of what the peers write yet`, mend)];
    }
    const facts = examineVolume(device, settings, inUse);
    const what = `${path} is a volume of cluster ${settings.cluster} with slots for all nodes`;
    return [ok(NAME, what), ...peerKeys(device, settings, keys), ...(await clocks(device, facts, settings, keys))];
  } catch (caught) {
    return [refusal(NAME, caught)];
  } finally {
    device.close();
  }
}

/** It is another node's copy, and the first one was not made yet. */
const isAwaited = (path: string, { storage }: Settings): boolean =>
  storage.copy !== 'shared' && path !== storage.sendVolume && !isFormatted(path);

/** What `run` would say, in its two parts. */
function refusal(name: string, caught: unknown): Finding {
  if (!(caught instanceof AgentError)) throw caught;
  const at = Math.max(caught.message.lastIndexOf(': '), caught.message.lastIndexOf('; '));
  return error(name, caught.message.slice(0, at), caught.message.slice(at + 2));
}

const PEER_KEY = 'peer.key';

/** Peers that wrote with a key that this node does not have: `run` starts, and does not hear them. */
function peerKeys(device: BlockDevice, settings: Settings, keys: Keys): Finding[] {
  const isRead = (node: string): boolean =>
    settings.peers.some((peer) => peer.node === node && peer.receiveVolume === device.path);
  return usedKeys(device, readSuperblock(device), keys)
    .filter(({ node, isOurs }) => !isOurs && isRead(node))
    .map(({ node, key }) => {
      const what = `peer ${node} wrote ${device.path} with key ${key}, which ${settings.keyFile} does not have: it is not heard`;
      return warning(
        PEER_KEY,
        what,
        'install the newest key file here; there, if the peer was down while keys changed',
      );
    });
}

/** A beacon bears its writer's wall clock: seen the moment it appears, it tells the offset to within a poll. */
async function clocks(device: BlockDevice, facts: VolumeFacts, settings: Settings, key: Keys): Promise<Finding[]> {
  const { nodes, tenants } = readSuperblock(device);
  const seals = volumeSeals(key && fixedKeys(...key), facts.clusterUuid);
  const table = new Uint8Array(alignedMemory(nodes.length * BLOCK_BYTES)).subarray(0, nodes.length * BLOCK_BYTES);
  const look = (): (Head | null)[] => {
    if (device.read(HEAD_TABLE_OFFSET, table) !== table.length) return [];
    return nodes.map((_, slot) => {
      const decoded = decodeHead(
        table.slice(slot * BLOCK_BYTES, (slot + 1) * BLOCK_BYTES),
        tenants[slot] ?? slot,
        facts.clusterUuid,
        seals,
      );
      return decoded.ok ? decoded.head : null;
    });
  };
  const before = look();
  const waiting = new Set(nodes.keys());
  for (const slot of waiting) {
    const runs = before[slot]?.state === HEAD_STATE.running;
    if (slot === slotOfTenant(facts.ownTenant) || nodes[slot] === '' || !runs) waiting.delete(slot);
  }
  const findings: Finding[] = [];
  const deadline = systemClock.monotonicMs() + BEACON_WAIT * settings.storage.beaconMs;
  while (waiting.size > 0 && systemClock.monotonicMs() < deadline) {
    await delay(LOOK_EVERY_MS);
    look().forEach((head, slot) => {
      if (!head || !waiting.has(slot) || head.headMark === before[slot]?.headMark) return;
      waiting.delete(slot);
      findings.push(clockFinding(nodes[slot] ?? '', systemClock.wallMs() - head.wallUs / 1000));
    });
  }
  return findings;
}

function clockFinding(node: string, offsetMs: number): Finding {
  const what = `the clock of ${node} is ${Math.abs(Math.round(offsetMs))} ms ${offsetMs > 0 ? 'behind' : 'ahead of'} ours`;
  if (Math.abs(offsetMs) <= CLOCK_OFFSET_MS_MAX) return ok('peer.clock', what);
  return warning('peer.clock', what, 'synchronise both by NTP: the agent does not mind, but logs cannot be compared');
}
