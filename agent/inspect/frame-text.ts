/** What a frame is, in a line: addresses, protocol, ports, flags, and the cluster software that uses such a port. */
import { PacketInfo, parsePacket, PROTOCOL, tcpPayloadBytes } from '../../vnic/ip-packet.ts';
import { withoutControls } from '../base/text.ts';
import { decodeProgramMessage, isProgramFrame, PROGRAM_KIND } from '../wire/program-message.ts';
import { ipWordsText } from './ip-text.ts';

const UDP_HEADER_BYTES = 8;

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
const TCP_FLAGS = ['FIN', 'SYN', 'RST', 'PSH', 'ACK', 'URG', 'ECE', 'CWR'];

const info = new PacketInfo();

/** One line about the frame; nothing of its content but headers, so nothing that a terminal could take for a command. */
export function frameText(frame: Uint8Array): string {
  if (isProgramFrame(frame)) return programText(frame);
  if (!parsePacket(frame, info)) return 'not an IP packet';
  const parts = [PROTOCOL_NAMES[info.protocol] ?? `IP protocol ${info.protocol}`, ends(), details(frame)];
  if (info.isFragment) parts.push(info.isFirstFragment ? 'first fragment' : 'later fragment');
  if (info.isSuperPacket) parts.push('super-packet');
  return parts.filter((part) => part !== '').join(' ');
}

function programText(frame: Uint8Array): string {
  const message = decodeProgramMessage(frame);
  if (!message) return 'not a message of a program';
  if (message.kind === PROGRAM_KIND.report) return `report on message ${message.id}`;
  const channel = message.channel === '' ? '' : ` on channel ${withoutControls(message.channel)}`;
  return `message ${message.id} of a program${channel} ${message.bytes.length} bytes`;
}

function ends(): string {
  const hasPorts = info.sourcePort !== 0 || info.destinationPort !== 0;
  const end = (words: Uint32Array, port: number): string => {
    const text = ipWordsText(words);
    if (!hasPorts) return text;
    return text.includes(':') ? `[${text}]:${port}` : `${text}:${port}`;
  };
  return `${end(info.source, info.sourcePort)} > ${end(info.destination, info.destinationPort)}`;
}

function details(frame: Uint8Array): string {
  switch (info.protocol) {
    case PROTOCOL.tcp: {
      const flags = TCP_FLAGS.filter((_, bit) => (info.tcpFlags & (1 << bit)) !== 0);
      return `[${flags.join(' ')}] ${tcpPayloadBytes(frame, info)} bytes${service()}`;
    }
    case PROTOCOL.udp:
      return `${Math.max(0, info.transportBytes - UDP_HEADER_BYTES)} bytes${service()}`;
    case PROTOCOL.icmp:
      return icmp(frame, ICMP_TYPES, info.icmpType === 8 || info.icmpType === 0);
    case PROTOCOL.icmpv6:
      return icmp(frame, ICMPV6_TYPES, info.icmpType === 128 || info.icmpType === 129);
    default:
      return `${info.transportBytes} bytes${service()}`;
  }
}

function icmp(frame: Uint8Array, names: Readonly<Record<number, string>>, isEcho: boolean): string {
  if (info.icmpType < 0) return '';
  const name = names[info.icmpType] ?? `type ${info.icmpType}`;
  if (!isEcho || info.transportBytes < 8) return name;
  const word = (offset: number): number => ((frame[offset] ?? 0) << 8) | (frame[offset + 1] ?? 0);
  return `${name} id ${word(info.headerOffset + 4)} sequence ${word(info.headerOffset + 6)}`;
}

function service(): string {
  const ports = [info.destinationPort, info.sourcePort];
  const found = SERVICES.find(([low, high]) => ports.some((port) => port >= low && port <= high));
  return found ? ` (${found[2]})` : '';
}
