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
import { examineVolume, readSuperblock } from '../volumes.ts';
import { error, ok, warning, type Finding } from './finding.ts';
import { fixedKeys } from '../wire/key-ring.ts';

/** Nothing in the agent trusts wall clocks; administrators who compare logs do. */
const CLOCK_OFFSET_MS_MAX = 1000;
const BEACON_WAIT = 1.5;
const LOOK_EVERY_MS = 20;

export async function checkFormat(settings: Settings): Promise<Finding[]> {
  const paths = new Set([settings.storage.sendVolume, ...settings.peers.map(({ receiveVolume }) => receiveVolume)]);
  const found = await Promise.all([...paths].map(async (path) => oneVolume(path, settings)));
  return found.flat();
}

async function oneVolume(path: string, settings: Settings): Promise<Finding[]> {
  const name = 'volume.format';
  let key: readonly Uint8Array[] | null;
  let device: BlockDevice;
  try {
    key = settings.keyFile === null ? null : readKeyFile(settings.keyFile);
    device = BlockDevice.open(path, { readOnly: true });
  } catch {
    return []; // told by the checks of the key and of the device
  }
  try {
    const facts = examineVolume(device, settings, key);
    const what = `${path} is a volume of cluster ${settings.cluster} with slots for all nodes`;
    return [ok(name, what), ...(await clocks(device, facts, settings, key))];
  } catch (caught) {
    if (!(caught instanceof AgentError)) throw caught;
    const at = Math.max(caught.message.lastIndexOf(': '), caught.message.lastIndexOf('; '));
    return [error(name, caught.message.slice(0, at), caught.message.slice(at + 2))];
  } finally {
    device.close();
  }
}

/** A beacon bears its writer's wall clock: seen the moment it appears, it tells the offset to within a poll. */
async function clocks(
  device: BlockDevice,
  facts: VolumeFacts,
  settings: Settings,
  key: readonly Uint8Array[] | null,
): Promise<Finding[]> {
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
