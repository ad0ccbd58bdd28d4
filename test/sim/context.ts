/** What an agent's threads share, as `agent.ts` would make it from settings and volumes. */
import { BULK } from '../../agent/base/packet-type.ts';
import type { TypeRule } from '../../agent/settings/settings.ts';
import { allocate, allocateInbound, type ThreadContext } from '../../agent/threads.ts';
import { SLOTS_OFFSET } from '../../agent/volume/layout.ts';
import { keyId } from '../../agent/wire/keys.ts';
import { other } from './network.ts';
import type { Node } from './node.ts';
import { ADDRESSES, CLUSTER_KEY, CLUSTER_UUID, NODE_NAMES, NODE_NUMBERS, PROBE } from './settings.ts';

const BULK_RULES: readonly TypeRule[] = [{ type: BULK, protocol: 'udp', port: [873, 873] }];

export function makeContext(node: Node, incarnation: Uint8Array): ThreadContext {
  const { index, settings, world } = node;
  const peer = other(index);
  const hostId = new Uint8Array(16);
  world.prng.fill(hostId);
  const volume = {
    path: 'shared',
    clusterUuid: CLUSTER_UUID,
    slotBytes: settings.slotBytes,
    slotCount: 2,
    slotsOffset: SLOTS_OFFSET,
    ownTenant: index,
  };
  const { maxAgeMs, beaconMs, writeDeadlineMs, retainBytes, mode, idleMs, stableForMs, stableForMsMax } = settings;
  const peerSettings = { node: NODE_NAMES[peer], addresses: [ADDRESSES[peer]], primary: null, receiveVolume: 'shared' };
  return {
    number: 1,
    settings: {
      cluster: 'sim',
      node: NODE_NAMES[index],
      peers: [peerSettings],
      types: BULK_RULES,
      storage: {
        maxAgeMs,
        beaconMs,
        writeDeadlineMs,
        pollMs: { idle: idleMs, active: 0.5 },
        flush: { thresholdBytes: 65_536, deadlineMs: 0.2 },
        limits: { bytesPerSecond: 0, operationsPerSecond: 0 },
      },
      primary: { mode, probe: { ...PROBE, stableForMs, stableForMsMax } },
      queues: { retainBytes },
    } as unknown as ThreadContext['settings'],
    incarnation,
    hostId,
    keyId: keyId(CLUSTER_KEY, CLUSTER_UUID),
    clusterKey: CLUSTER_KEY,
    send: volume,
    seats: [{ seat: 0, since: 1, peer: peerSettings, tenant: peer, nodeNumber: NODE_NUMBERS[peer] }],
    receive: [{ reader: 0, volume, peers: [{ seat: 0, since: 1, tenant: peer }], inbound: allocateInbound() }],
    nodeNumber: NODE_NUMBERS[index],
    bellFd: -1,
    memory: allocate(),
  };
}
