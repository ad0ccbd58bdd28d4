/** Makes Settings of a file that is known to be right. */
import { PACKET_TYPES, type TypeIndex } from '../base/packet-type.ts';
import { assert } from '../base/errors.ts';
import { parseAddress, parseEndpoint, parseInterfaceAddress, parsePorts, parsePrefix, type Parsed } from './address.ts';
import { each, type PeerFile, type SettingsFile, type TypeRuleFile } from './given.ts';
import { PAGE_LISTEN } from './schema-operate.ts';
import type {
  CopyCommand,
  CopyMirror,
  Endpoint,
  MirrorPeer,
  PageSettings,
  PeerSettings,
  Settings,
  TypeRule,
} from './settings.ts';

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
      copyWithinMs: storage.copyWithinMs,
      localVolume: storage.local?.volume ?? null,
      command: commandOf(storage.command),
      mirror: mirrorOf(given),
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
    gateway: {
      ...given.gateway,
      uplink: given.gateway.uplink ?? primary.interface ?? null,
      prefixes: given.gateway.prefixes.map((text) => known(parsePrefix(text))),
      ping: given.gateway.ping.map((text) => known(parseAddress(text)).address),
    },
    controlSocket,
    messages: {
      socket: given.messages.socket ?? messagesSocketBeside(controlSocket),
      deadlineMs: given.messages.deadlineMs,
    },
    corosyncConf: given.corosync.conf,
    metricsListen: endpoint(given.metrics.listen),
    page: pageOf(given.page),
    events: { file: given.events.file ?? eventsBeside(controlSocket), bytes: given.events.bytes },
    hooks: { onPath: given.hooks.onPath ?? null, timeoutMs: given.hooks.timeoutMs },
  };
}

function commandOf(given: SettingsFile['storage']['command']): CopyCommand | null {
  if (given === undefined) return null;
  const [program = '', ...args] = each(given.run).map(({ text }) => text);
  const { intervalMs, timeoutMs, onCommand } = given;
  return { run: [program, ...args], intervalMs, timeoutMs, onCommand };
}

function mirrorOf({ storage, peers }: SettingsFile): CopyMirror | null {
  if (storage.mirror === undefined) return null;
  const links = peers.flatMap(({ node, mirror, receive }): MirrorPeer[] => {
    if (mirror === undefined) return [];
    const { connect, journal } = mirror;
    const listen = known(parseEndpoint(mirror.listen));
    return [{ node, connect, listen, journal, volume: receive?.volume ?? storage.send.volume }];
  });
  const { journal, recorders } = storage.mirror;
  return { journal, recorders, peers: links };
}

/** Two agents on one host have two control sockets; what lies beside them is apart as well. */
export const messagesSocketBeside = (controlSocket: string): string =>
  `${controlSocket.replace(/\.sock$/, '')}.messages.sock`;

/** What is to survive a restart of the host does not lie in /run. */
export const eventsBeside = (controlSocket: string): string =>
  `${controlSocket.replace(/^\/run\//, '/var/lib/').replace(/\.sock$/, '')}.events`;

function pageOf({ serve, listen, tokenFile, hosts, mirrors }: SettingsFile['page']): PageSettings | null {
  if (!serve) return null;
  return {
    listen: known(parseEndpoint(listen)),
    isDefault: listen === PAGE_LISTEN,
    tokenFile: tokenFile ?? null,
    hosts: hosts.map((name) => name.toLowerCase()),
    mirrors,
  };
}

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
