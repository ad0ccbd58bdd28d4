/** What an agent's threads share, as `agent.ts` would make it from settings and volumes. */
import { BULK } from '../../agent/base/packet-type.ts';
import type { TypeRule } from '../../agent/settings/settings.ts';
import { allocate, allocateInbound, type Seat, type ThreadContext, type VolumeFacts } from '../../agent/threads.ts';
import { SLOTS_OFFSET } from '../../agent/volume/layout.ts';
import { SharedKeys } from '../../agent/queue/shared-keys.ts';
import { allocateMessageRing } from '../../agent/messages/memory.ts';
import type { Node } from './node.ts';
import { others, seatOf } from './pairs.ts';
import { CLUSTER_KEY, CLUSTER_UUID, nodeAddress, nodeName, nodeNumber, PROBE } from './settings.ts';

const BULK_RULES: readonly TypeRule[] = [{ type: BULK, protocol: 'udp', port: [873, 873] }];

export function makeContext(node: Node, incarnation: Uint8Array): ThreadContext {
  const { index, settings, world, volumes } = node;
  const peers = others(settings.nodes, index);
  const hostId = new Uint8Array(16);
  world.prng.fill(hostId);
  const volume = (on: number): VolumeFacts => ({
    device: 'device 1',
    path: `volume ${on}`,
    clusterUuid: CLUSTER_UUID,
    slotBytes: settings.slotBytes,
    slotCount: settings.nodes,
    slotsOffset: SLOTS_OFFSET,
    ownTenant: volumes.tenantOn(on, index),
  });
  const send = volumes.indexOf(index);
  const seats = peers.map((peer): Seat => ({
    seat: seatOf(index, peer),
    since: 1,
    peer: { node: nodeName(peer), addresses: [nodeAddress(peer)], primary: null, receiveVolume: `volume ${send}` },
    tenant: volumes.tenantOn(send, peer),
    nodeNumber: nodeNumber(peer),
  }));
  const receive = volumes.readBy(index).map(({ index: on, writers }, reader) => ({
    reader,
    volume: volume(on),
    peers: writers.map((writer) => ({ seat: seatOf(index, writer), since: 1, tenant: volumes.tenantOn(on, writer) })),
    inbound: allocateInbound(),
    messages: allocateMessageRing(),
  }));
  const memory = allocate();
  new SharedKeys(memory.keys).put([CLUSTER_KEY]);
  const { maxAgeMs, beaconMs, writeDeadlineMs, retainBytes, mode, idleMs, stableForMs, stableForMsMax } = settings;
  return {
    number: 1,
    settings: {
      cluster: 'sim',
      node: nodeName(index),
      peers: seats.map(({ peer }) => peer),
      types: BULK_RULES,
      vnic: { addresses: [{ address: nodeAddress(index), prefix: 24 }] },
      gateway: { use: [], prefixes: [] },
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
    beganMs: -Infinity,
    hostId,
    send: volume(send),
    seats,
    receive,
    nodeNumber: nodeNumber(index),
    bellFd: -1,
    memory,
  };
}
