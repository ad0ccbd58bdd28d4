/**
 * What a frame is, as the document that `inspect --json` prints: a packet of the virtual interface (addresses, protocol,
 * ports, flags, and the cluster software that uses such a port) or a message of a program. Headers only; `content` is a
 * part of what they carry, in a spelling that nobody obeys.
 */
import { PacketInfo, parsePacket, PROTOCOL, tcpPayloadBytes } from '../../vnic/ip-packet.ts';
import { VNET_HEADER_BYTES } from '../../vnic/device.ts';
import { dataView } from '../base/bytes.ts';
import { escaped, quoted } from '../base/text.ts';
import { decodeProgramMessage, isProgramFrame, PROGRAM_KIND, PROGRAM_OUTCOME } from '../wire/program-message.ts';
import { corosyncView, type KnetView, type TotemView } from './corosync.ts';
import type { Flow } from './flow-texts.ts';
import { ipWordsText } from './ip-text.ts';

const UDP_HEADER_BYTES = 8;
const TCP_HEADER_BYTES = 20;
const ICMP_ECHO_BYTES = 8;
/** Of a content that is shown: enough to know it by. */
const CONTENT_BYTES_MAX = 256;

const PROTOCOL_NAMES: Readonly<Record<number, string>> = {
  [PROTOCOL.icmp]: 'ICMP',
  [PROTOCOL.igmp]: 'IGMP',
  [PROTOCOL.tcp]: 'TCP',
  [PROTOCOL.udp]: 'UDP',
  [PROTOCOL.dccp]: 'DCCP',
  [PROTOCOL.icmpv6]: 'ICMPv6',
  [PROTOCOL.vrrp]: 'VRRP',
  [PROTOCOL.sctp]: 'SCTP',
  [PROTOCOL.udpLite]: 'UDP-Lite',
};

/** Well-known users of a port, where that helps somebody who looks at a cluster. */
const SERVICES: readonly (readonly [low: number, high: number, name: string])[] = [
  [22, 22, 'ssh'],
  [53, 53, 'DNS'],
  [80, 80, 'HTTP'],
  [123, 123, 'NTP'],
  [443, 443, 'HTTPS'],
  [694, 694, 'heartbeat'],
  [2049, 2049, 'NFS'],
  [2224, 2224, 'pcsd'],
  [2379, 2380, 'etcd'],
  [3121, 3121, 'pacemaker remote'],
  [3260, 3260, 'iSCSI'],
  [5403, 5403, 'corosync qnetd'],
  [5404, 5412, 'corosync'],
  [5432, 5432, 'PostgreSQL'],
  [9929, 9929, 'booth'],
  [21_064, 21_064, 'dlm'],
];

const ICMP_TYPES: Readonly<Record<number, string>> = {
  0: 'echo reply',
  3: 'unreachable',
  5: 'redirect',
  8: 'echo request',
  11: 'time exceeded',
};
const ICMPV6_TYPES: Readonly<Record<number, string>> = {
  1: 'unreachable',
  2: 'packet too big',
  3: 'time exceeded',
  128: 'echo request',
  129: 'echo reply',
  133: 'router solicitation',
  134: 'router advertisement',
  135: 'neighbour solicitation',
  136: 'neighbour advertisement',
  143: 'multicast listener report',
};
const TCP_FLAGS = ['FIN', 'SYN', 'RST', 'PSH', 'ACK', 'URG', 'ECE', 'CWR'] as const;

/** Mutable while it is built; readers take it as it is. */
export interface PacketView {
  version: number;
  protocol: string;
  source: string;
  destination: string;
  sourcePort?: number;
  destinationPort?: number;
  /** The whole IP packet. */
  bytes: number;
  ttl: number;
  /** Behind the headers. */
  payloadBytes: number;
  fragment?: 'first' | 'later';
  superPacket?: true;
  service?: string;
  tcp?: { flags: string[]; sequence: number; acknowledgement: number; window: number };
  icmp?: { type: number; code: number; name: string; id?: number; sequence?: number };
  knet?: KnetView;
  totem?: TotemView;
  content?: string;
}

export interface MessageView {
  kind: 'message' | 'report';
  id: number;
  /** Node of the program that wrote it. */
  from: string;
  channel: string;
  payloadBytes: number;
  /** What a report says of the message. */
  outcome?: string;
  content?: string;
}

/** Neither: damaged or of a newer version. */
export interface FrameView {
  packet?: PacketView;
  message?: MessageView;
}

const info = new PacketInfo();

/** `withContent`: show the beginning of what it carries. The frame is looked at during the call only. */
export function frameView(frame: Uint8Array, withContent = false): FrameView {
  if (isProgramFrame(frame)) return programView(frame, withContent);
  return parsePacket(frame, info) ? { packet: packetView(frame, withContent) } : {};
}

/** A packet that is alike all others of its flow, as they are told apart by `FlowTexts`; null: it is none. */
export function flowOf(frame: Uint8Array): Flow | null {
  if (isProgramFrame(frame) || !parsePacket(frame, info) || info.protocol !== PROTOCOL.udp) return null;
  if (serviceOf(info.sourcePort, info.destinationPort) === 'corosync') return null;
  flow.ttl = ttlOf(frame);
  return flow;
}

const flow = { info, ttl: 0 };

const nameOf = (table: Readonly<Record<string, number>>, value: number): string =>
  Object.keys(table).find((name) => table[name] === value) ?? String(value);

function programView(frame: Uint8Array, withContent: boolean): FrameView {
  const decoded = decodeProgramMessage(frame);
  if (!decoded) return {};
  const { id, bytes } = decoded;
  const isReport = decoded.kind === PROGRAM_KIND.report;
  const message: MessageView = {
    kind: isReport ? 'report' : 'message',
    id,
    from: escaped(decoded.from),
    channel: escaped(decoded.channel),
    payloadBytes: bytes.length,
  };
  if (isReport) message.outcome = nameOf(PROGRAM_OUTCOME, decoded.outcome);
  if (withContent && bytes.length > 0) message.content = quoted(bytes, CONTENT_BYTES_MAX);
  return { message };
}

function packetView(frame: Uint8Array, withContent: boolean): PacketView {
  const { version, protocol, sourcePort, destinationPort } = info;
  const packet: PacketView = {
    version,
    protocol: PROTOCOL_NAMES[protocol] ?? `IP protocol ${protocol}`,
    source: ipWordsText(info.source),
    destination: ipWordsText(info.destination),
    bytes: info.totalBytes,
    ttl: ttlOf(frame),
    payloadBytes: info.transportBytes,
  };
  if (sourcePort !== 0 || destinationPort !== 0) {
    packet.sourcePort = sourcePort;
    packet.destinationPort = destinationPort;
    const service = serviceOf(sourcePort, destinationPort);
    if (service !== null) packet.service = service;
  }
  if (info.isFragment) packet.fragment = info.isFirstFragment ? 'first' : 'later';
  if (info.isSuperPacket) packet.superPacket = true;
  if (packet.fragment !== 'later') addTransport(packet, frame);
  if (withContent) addContent(packet, frame);
  return packet;
}

const ttlOf = (frame: Uint8Array): number => frame[VNET_HEADER_BYTES + (info.version === 4 ? 8 : 7)] ?? 0;

/** The packet's own bytes behind the IP headers. */
const transportOf = (frame: Uint8Array): Uint8Array =>
  frame.subarray(info.headerOffset, info.headerOffset + info.transportBytes);

function addTransport(packet: PacketView, frame: Uint8Array): void {
  switch (info.protocol) {
    case PROTOCOL.tcp:
      packet.payloadBytes = tcpPayloadBytes(frame, info);
      if (info.transportBytes >= TCP_HEADER_BYTES) packet.tcp = tcpView(dataView(transportOf(frame)));
      return;
    case PROTOCOL.udp: {
      packet.payloadBytes = Math.max(0, info.transportBytes - UDP_HEADER_BYTES);
      if (packet.service !== 'corosync' || packet.payloadBytes === 0) return;
      const found = corosyncView(transportOf(frame).subarray(UDP_HEADER_BYTES));
      if (found) Object.assign(packet, found);
      return;
    }
    case PROTOCOL.icmp:
      return addIcmp(packet, frame, ICMP_TYPES, [0, 8]);
    case PROTOCOL.icmpv6:
      return addIcmp(packet, frame, ICMPV6_TYPES, [128, 129]);
    default:
  }
}

function tcpView(view: DataView): NonNullable<PacketView['tcp']> {
  return {
    flags: TCP_FLAGS.filter((_, bit) => (info.tcpFlags & (1 << bit)) !== 0),
    sequence: view.getUint32(4),
    acknowledgement: view.getUint32(8),
    window: view.getUint16(14),
  };
}

function addIcmp(
  packet: PacketView,
  frame: Uint8Array,
  names: Readonly<Record<number, string>>,
  echoes: readonly number[],
): void {
  const type = info.icmpType;
  if (type < 0) return;
  const view = dataView(transportOf(frame));
  const isEcho = echoes.includes(type) && info.transportBytes >= ICMP_ECHO_BYTES;
  packet.icmp = {
    type,
    code: view.getUint8(1),
    name: names[type] ?? `type ${type}`,
    ...(isEcho ? { id: view.getUint16(4), sequence: view.getUint16(6) } : {}),
  };
  if (isEcho) packet.payloadBytes = info.transportBytes - ICMP_ECHO_BYTES;
}

function addContent(packet: PacketView, frame: Uint8Array): void {
  if (packet.payloadBytes === 0) return;
  const transport = transportOf(frame);
  packet.content = quoted(transport.subarray(transport.length - packet.payloadBytes), CONTENT_BYTES_MAX);
}

/** By port: the place of its first service in `SERVICES`, or their number. */
const serviceOfPort = new Uint8Array(65_536).fill(SERVICES.length);
SERVICES.forEach(([low, high], i) => {
  for (let port = low; port <= high; port++) serviceOfPort[port] = Math.min(serviceOfPort[port] ?? i, i);
});

function serviceOf(source: number, destination: number): string | null {
  const place = Math.min(serviceOfPort[source] ?? SERVICES.length, serviceOfPort[destination] ?? SERVICES.length);
  return SERVICES[place]?.[2] ?? null;
}
