/**
 * A look at the headers of one frame, without allocating: what classifying and counting need, and nothing more.
 *
 *     0            10                        headerOffset
 *     | virtio-net | IP header (+ extensions) | transport header | payload |
 *                  |<----------------- totalBytes ---------------------->|
 *                                             |<---- transportBytes ---->|
 *
 * Any bytes may come in. `parsePacket` reads no byte outside the frame, nor outside the length that the packet itself
 * states, and answers false to what no IP stack would take. Values of a PacketInfo hold until the next call.
 */
import { VNET_HEADER_BYTES } from './device.ts';
import { ADDRESS_WORDS } from './ip-address.ts';

export const PROTOCOL = {
  icmp: 1,
  igmp: 2,
  tcp: 6,
  udp: 17,
  dccp: 33,
  icmpv6: 58,
  vrrp: 112,
  sctp: 132,
  udpLite: 136,
} as const;

export const TCP_FIN = 0x01;
export const TCP_SYN = 0x02;
export const TCP_ACK = 0x10;

const IPV4_HEADER_BYTES_MIN = 20;
const IPV6_HEADER_BYTES = 40;
const TCP_HEADER_BYTES_MIN = 20;
const GSO_TYPE_OFFSET = 1;

const IPV6_HOP_BY_HOP = 0;
const IPV6_ROUTING = 43;
const IPV6_FRAGMENT = 44;
const IPV6_AUTHENTICATION = 51;
const IPV6_DESTINATION_OPTIONS = 60;
const EXTENSION_HEADER_BYTES_MIN = 8;
/** Nobody sends more; without a limit one packet could keep the thread walking through 8,000 of them. */
const EXTENSION_HEADERS_MAX = 8;

/** What `parsePacket` fills in; made once and used again for every frame. */
export class PacketInfo {
  version = 0;
  /** Transport protocol, after any extension headers; of a later IPv6 fragment, what its fragment header names. */
  protocol = 0;
  /** 0 when the protocol has no ports, or the packet is a later fragment. */
  sourcePort = 0;
  destinationPort = 0;
  /** Addresses as in `ip-address.ts`. */
  readonly source: Uint32Array = new Uint32Array(ADDRESS_WORDS);
  readonly destination: Uint32Array = new Uint32Array(ADDRESS_WORDS);
  /** The destination is a multicast group. */
  isMulticast = false;
  /** The destination is 255.255.255.255. A subnet's own broadcast address cannot be told from the packet. */
  isLimitedBroadcast = false;
  isFragment = false;
  /** Only the first fragment has the transport header. False for packets that are no fragments. */
  isFirstFragment = false;
  fragmentId = 0;
  /** The IP packet's whole length, headers included. */
  totalBytes = 0;
  /** Where in the frame the transport header begins. */
  headerOffset = 0;
  /** Transport header and payload. */
  transportBytes = 0;
  /** ICMP or ICMPv6 type, -1 for everything else. */
  icmpType = -1;
  /** 0 for everything but a packet with a whole TCP header. */
  tcpFlags = 0;
  /** A super-packet: the kernel will segment it later. */
  isSuperPacket = false;
}

/** Fills `into` from a frame. False when it is no IP packet; `into` is then undefined. */
export function parsePacket(frame: Uint8Array, into: PacketInfo): boolean {
  if (frame.length < VNET_HEADER_BYTES + IPV4_HEADER_BYTES_MIN) return false;
  into.isSuperPacket = at(frame, GSO_TYPE_OFFSET) !== 0;
  const version = at(frame, VNET_HEADER_BYTES) >> 4;
  into.version = version;
  if (version === 4) return parseIpv4(frame, into);
  return version === 6 && parseIpv6(frame, into);
}

/** Bytes of TCP payload; 0 when there is none, or the packet holds no whole TCP header. */
export function tcpPayloadBytes(frame: Uint8Array, info: PacketInfo): number {
  if (info.protocol !== PROTOCOL.tcp || info.transportBytes < TCP_HEADER_BYTES_MIN) return 0;
  if (info.isFragment && !info.isFirstFragment) return 0;
  const headerBytes = (at(frame, info.headerOffset + 12) >> 4) * 4;
  return Math.max(0, info.transportBytes - Math.max(headerBytes, TCP_HEADER_BYTES_MIN));
}

function parseIpv4(frame: Uint8Array, into: PacketInfo): boolean {
  const start = VNET_HEADER_BYTES;
  const headerBytes = (at(frame, start) & 0x0f) * 4;
  const totalBytes = word16(frame, start + 2);
  if (headerBytes < IPV4_HEADER_BYTES_MIN || totalBytes < headerBytes || start + totalBytes > frame.length)
    return false;
  const fragmentWord = word16(frame, start + 6);
  into.protocol = at(frame, start + 9);
  into.isFragment = (fragmentWord & 0x3fff) !== 0;
  into.isFirstFragment = into.isFragment && (fragmentWord & 0x1fff) === 0;
  into.fragmentId = word16(frame, start + 4);
  mappedAddress(frame, start + 12, into.source);
  mappedAddress(frame, start + 16, into.destination);
  into.isMulticast = at(frame, start + 16) >> 4 === 0xe;
  into.isLimitedBroadcast = into.destination[3] === 0xffffffff;
  into.totalBytes = totalBytes;
  into.headerOffset = start + headerBytes;
  into.transportBytes = totalBytes - headerBytes;
  parseTransport(frame, into);
  return true;
}

function parseIpv6(frame: Uint8Array, into: PacketInfo): boolean {
  const start = VNET_HEADER_BYTES;
  if (frame.length < start + IPV6_HEADER_BYTES) return false;
  const totalBytes = IPV6_HEADER_BYTES + word16(frame, start + 4);
  if (start + totalBytes > frame.length) return false;
  into.isFragment = false;
  into.isFirstFragment = false;
  into.fragmentId = 0;
  for (let word = 0; word < ADDRESS_WORDS; word++) {
    into.source[word] = word32(frame, start + 8 + 4 * word);
    into.destination[word] = word32(frame, start + 24 + 4 * word);
  }
  into.isMulticast = at(frame, start + 24) === 0xff;
  into.isLimitedBroadcast = false;
  into.totalBytes = totalBytes;
  if (!walkExtensions(frame, into, start + totalBytes)) return false;
  into.transportBytes = start + totalBytes - into.headerOffset;
  parseTransport(frame, into);
  return true;
}

/** Finds the transport header behind the extension headers; false when they run out of the packet, which ends at `end`. */
function walkExtensions(frame: Uint8Array, into: PacketInfo, end: number): boolean {
  let protocol = at(frame, VNET_HEADER_BYTES + 6);
  let offset = VNET_HEADER_BYTES + IPV6_HEADER_BYTES;
  for (let headers = 0; headers < EXTENSION_HEADERS_MAX && isExtension(protocol); headers++) {
    if (offset + EXTENSION_HEADER_BYTES_MIN > end) return false;
    const next = at(frame, offset);
    if (protocol === IPV6_FRAGMENT) {
      const fragmentWord = word16(frame, offset + 2);
      // Offset 0 and nothing to follow is a whole packet that only wears the header (RFC 6946).
      into.isFragment = (fragmentWord & 0xfff9) !== 0;
      into.isFirstFragment = into.isFragment && (fragmentWord & 0xfff8) === 0;
      into.fragmentId = word32(frame, offset + 4);
      offset += EXTENSION_HEADER_BYTES_MIN;
    } else {
      const units = at(frame, offset + 1);
      offset += protocol === IPV6_AUTHENTICATION ? (units + 2) * 4 : (units + 1) * 8;
    }
    protocol = next;
    if (offset > end) return false;
    if (into.isFragment && !into.isFirstFragment) break;
  }
  into.protocol = protocol;
  into.headerOffset = offset;
  return true;
}

function isExtension(protocol: number): boolean {
  return (
    protocol === IPV6_HOP_BY_HOP ||
    protocol === IPV6_ROUTING ||
    protocol === IPV6_FRAGMENT ||
    protocol === IPV6_AUTHENTICATION ||
    protocol === IPV6_DESTINATION_OPTIONS
  );
}

function parseTransport(frame: Uint8Array, into: PacketInfo): void {
  const { protocol, headerOffset, transportBytes } = into;
  into.sourcePort = 0;
  into.destinationPort = 0;
  into.icmpType = -1;
  into.tcpFlags = 0;
  if (transportBytes < 4 || (into.isFragment && !into.isFirstFragment)) return;
  switch (protocol) {
    case PROTOCOL.tcp:
    case PROTOCOL.udp:
    case PROTOCOL.sctp:
    case PROTOCOL.dccp:
    case PROTOCOL.udpLite:
      into.sourcePort = word16(frame, headerOffset);
      into.destinationPort = word16(frame, headerOffset + 2);
      if (protocol === PROTOCOL.tcp && transportBytes >= TCP_HEADER_BYTES_MIN)
        into.tcpFlags = at(frame, headerOffset + 13);
      return;
    case PROTOCOL.icmp:
    case PROTOCOL.icmpv6:
      into.icmpType = at(frame, headerOffset);
      return;
    default:
  }
}

function mappedAddress(frame: Uint8Array, offset: number, into: Uint32Array): void {
  into[0] = 0;
  into[1] = 0;
  into[2] = 0xffff;
  into[3] = word32(frame, offset);
}

/** The callers have checked the bounds; the fallback only satisfies the compiler. */
function at(frame: Uint8Array, offset: number): number {
  return frame[offset] ?? 0;
}

function word16(frame: Uint8Array, offset: number): number {
  return (at(frame, offset) << 8) | at(frame, offset + 1);
}

function word32(frame: Uint8Array, offset: number): number {
  return ((word16(frame, offset) << 16) | word16(frame, offset + 2)) >>> 0;
}
