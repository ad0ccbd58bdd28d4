/** Makes Settings of a file that is known to be right. */
import { PACKET_TYPES, type TypeIndex } from '../base/packet-type.ts';
import { assert } from '../base/errors.ts';
import { parseAddress, parseEndpoint, parseInterfaceAddress, parsePorts, type Parsed } from './address.ts';
import { each, type PeerFile, type SettingsFile, type TypeRuleFile } from './given.ts';
import type { Endpoint, PeerSettings, Settings, TypeRule } from './settings.ts';

export function deriveSettings(given: SettingsFile, file: string): Settings {
  const { storage, primary, vnic } = given;
  const tunnelled = primary.mode !== 'none';
  const { stableForMaxMs, ...probe } = primary.probe;
  const controlSocket = given.control.socket ?? `/run/stillbeat/${given.node}.sock`;
  return {
    file,
    cluster: given.cluster,
    node: given.node,
    keyFile: given.keyFile ?? null,
    unauthenticated: given.unauthenticated,
    vnic: {
      name: vnic.name,
      addresses: each(vnic.address).map(({ text }) => known(parseInterfaceAddress(text))),
      mtu: vnic.mtu,
    },
    storage: {
      sendVolume: storage.send.volume,
      pollMs: storage.pollMs,
      beaconMs: storage.beaconMs,
      maxAgeMs: storage.maxAgeMs,
      writeDeadlineMs: storage.writeDeadlineMs,
      flush: storage.flush,
      limits: storage.limits,
      copy: storage.copy,
    },
    primary: {
      mode: primary.mode,
      interface: primary.interface ?? null,
      bypass: primary.bypass,
      listen: tunnelled ? endpoint(primary.listen) : null,
      probe: { ...probe, stableForMsMax: stableForMaxMs },
    },
    queues: { retainBytes: given.queues.retainBytes },
    peers: given.peers.map((peer) => peerOf(peer, tunnelled, storage.send.volume)),
    types: given.types.map(ruleOf),
    controlSocket,
    messages: {
      socket: given.messages.socket ?? messagesSocketBeside(controlSocket),
      deadlineMs: given.messages.deadlineMs,
    },
    corosyncConf: given.corosync.conf,
    metricsListen: endpoint(given.metrics.listen),
    hooks: { onPath: given.hooks.onPath ?? null, timeoutMs: given.hooks.timeoutMs },
  };
}

/** Two agents on one host have two control sockets; what lies beside them is apart as well. */
export const messagesSocketBeside = (controlSocket: string): string =>
  `${controlSocket.replace(/\.sock$/, '')}.messages.sock`;

function known<T>(parsed: Parsed<T>): T {
  assert(!parsed.fault, `settings that were checked are faulty: ${parsed.fault?.what}`);
  return parsed.value;
}

const endpoint = (text: string | undefined): Endpoint | null =>
  text === undefined ? null : known(parseEndpoint(text));

function peerOf(peer: PeerFile, tunnelled: boolean, sendVolume: string): PeerSettings {
  return {
    node: peer.node,
    addresses: each(peer.address).map(({ text }) => known(parseAddress(text)).address),
    primary: tunnelled ? endpoint(peer.primary) : null,
    receiveVolume: peer.receive?.volume ?? sendVolume,
  };
}

function ruleOf(rule: TypeRuleFile): TypeRule {
  return {
    type: PACKET_TYPES.indexOf(rule.type) as TypeIndex,
    ...(rule.protocol === undefined ? {} : { protocol: rule.protocol }),
    ...(rule.port === undefined ? {} : { port: known(parsePorts(rule.port)) }),
    ...(rule.minBytes === undefined ? {} : { minBytes: rule.minBytes }),
  };
}
