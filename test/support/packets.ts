/**
 * Frames as a TUN device hands them over (virtio-net header, IP packet), with right lengths and checksums. Every builder
 * takes the few fields that tests vary; the rest is what an ordinary host would send.
 */
import { VNET_HEADER_BYTES } from '../../vnic/device.ts';
import { ADDRESS_WORDS, parseIp } from '../../vnic/ip-address.ts';

export interface UdpFields {
  readonly source?: string;
  readonly target?: string;
  readonly sourcePort?: number;
  readonly targetPort?: number;
  readonly payload?: Uint8Array;
}

export interface TcpFields extends UdpFields {
  readonly flags?: number;
  readonly sequence?: number;
}

export interface IcmpFields {
  readonly source?: string;
  readonly target?: string;
  readonly type?: number;
  readonly identifier?: number;
  readonly sequence?: number;
  readonly payload?: Uint8Array;
}

export interface Ipv4Fields {
  readonly source?: string;
  readonly target?: string;
  readonly protocol: number;
  readonly identification?: number;
  /** In bytes, a multiple of 8. */
  readonly fragmentOffset?: number;
  readonly moreFragments?: boolean;
  /** IP options, padded to a multiple of 4. */
  readonly options?: Uint8Array;
}

export interface Ipv6Fields {
  readonly source?: string;
  readonly target?: string;
  /** What the fixed header names: an extension header's number, or the transport protocol. */
  readonly nextHeader: number;
}

const V4 = { source: '10.77.0.1', target: '10.77.0.2' } as const;
const V6 = { source: 'fd77::1', target: 'fd77::2' } as const;
const NO_BYTES = new Uint8Array(0);
const UDP = 17;
const TCP = 6;

export const buildUdp4 = (fields: UdpFields = {}): Uint8Array =>
  ipv4Frame({ ...ends(fields, V4), protocol: UDP }, udp(fields, pseudo4(ends(fields, V4), UDP)));

export const buildUdp6 = (fields: UdpFields = {}): Uint8Array =>
  ipv6Frame({ ...ends(fields, V6), nextHeader: UDP }, udp(fields, pseudo6(ends(fields, V6), UDP)));

export const buildTcp4 = (fields: TcpFields = {}): Uint8Array =>
  ipv4Frame({ ...ends(fields, V4), protocol: TCP }, tcp(fields, pseudo4(ends(fields, V4), TCP)));

export const buildTcp6 = (fields: TcpFields = {}): Uint8Array =>
  ipv6Frame({ ...ends(fields, V6), nextHeader: TCP }, tcp(fields, pseudo6(ends(fields, V6), TCP)));

export function buildIcmpEcho4(fields: IcmpFields = {}): Uint8Array {
  const ECHO_REQUEST = 8;
  return ipv4Frame({ ...ends(fields, V4), protocol: 1 }, icmp({ type: ECHO_REQUEST, ...fields }, 0));
}

export function buildIcmp6(fields: IcmpFields = {}): Uint8Array {
  const ECHO_REQUEST = 128;
  const transport = icmp({ type: ECHO_REQUEST, ...fields }, (length) => pseudo6(ends(fields, V6), 58)(length));
  return ipv6Frame({ ...ends(fields, V6), nextHeader: 58 }, transport);
}

/** Any IPv4 packet around the bytes given. */
export function ipv4Frame(fields: Ipv4Fields, body: Uint8Array): Uint8Array {
  const { source, target } = ends(fields, V4);
  const options = fields.options ?? NO_BYTES;
  const headerBytes = 20 + options.length;
  const frame = new Uint8Array(VNET_HEADER_BYTES + headerBytes + body.length);
  const header = new DataView(frame.buffer, VNET_HEADER_BYTES, headerBytes);
  header.setUint8(0, 0x40 | (headerBytes / 4));
  header.setUint16(2, headerBytes + body.length);
  header.setUint16(4, fields.identification ?? 1);
  header.setUint16(6, (fields.moreFragments === true ? 0x2000 : 0) | ((fields.fragmentOffset ?? 0) / 8));
  header.setUint8(8, 64);
  header.setUint8(9, fields.protocol);
  header.setUint32(12, words(source)[3] ?? 0);
  header.setUint32(16, words(target)[3] ?? 0);
  frame.set(options, VNET_HEADER_BYTES + 20);
  header.setUint16(10, finish(sum(frame.subarray(VNET_HEADER_BYTES, VNET_HEADER_BYTES + headerBytes))));
  frame.set(body, VNET_HEADER_BYTES + headerBytes);
  return frame;
}

/** Any IPv6 packet around the bytes given, which begin with its extension headers if it has some. */
export function ipv6Frame(fields: Ipv6Fields, body: Uint8Array): Uint8Array {
  const { source, target } = ends(fields, V6);
  const frame = new Uint8Array(VNET_HEADER_BYTES + 40 + body.length);
  const header = new DataView(frame.buffer, VNET_HEADER_BYTES, 40);
  header.setUint8(0, 0x60);
  header.setUint16(4, body.length);
  header.setUint8(6, fields.nextHeader);
  header.setUint8(7, 64);
  words(source).forEach((word, index) => header.setUint32(8 + 4 * index, word));
  words(target).forEach((word, index) => header.setUint32(24 + 4 * index, word));
  frame.set(body, VNET_HEADER_BYTES + 40);
  return frame;
}

/** An IPv6 extension header of 8 * (units + 1) bytes, as hop-by-hop, routing and destination options have it. */
export function extension6(nextHeader: number, units = 0): Uint8Array {
  const header = new Uint8Array(8 * (units + 1));
  header[0] = nextHeader;
  header[1] = units;
  return header;
}

/** An IPv6 fragment header; `offset` in bytes, a multiple of 8. */
export function fragment6(nextHeader: number, identification: number, offset: number, more: boolean): Uint8Array {
  const header = new Uint8Array(8);
  const view = new DataView(header.buffer);
  view.setUint8(0, nextHeader);
  view.setUint16(2, offset | (more ? 1 : 0));
  view.setUint32(4, identification);
  return header;
}

/** Cuts an IPv4 frame into fragments that carry at most `bodyBytes` (a multiple of 8) of its body each. */
export function fragments4(frame: Uint8Array, bodyBytes: number, identification: number): Uint8Array[] {
  const view = new DataView(frame.buffer, frame.byteOffset + VNET_HEADER_BYTES);
  const body = frame.subarray(VNET_HEADER_BYTES + 20);
  const addressText = (offset: number): string => [0, 1, 2, 3].map((index) => view.getUint8(offset + index)).join('.');
  const fields = { source: addressText(12), target: addressText(16), protocol: view.getUint8(9), identification };
  const cuts: Uint8Array[] = [];
  for (let offset = 0; offset < body.length; offset += bodyBytes) {
    const moreFragments = offset + bodyBytes < body.length;
    cuts.push(
      ipv4Frame({ ...fields, fragmentOffset: offset, moreFragments }, body.subarray(offset, offset + bodyBytes)),
    );
  }
  return cuts;
}

/** Marks a frame as a super-packet that the kernel is to cut into pieces of `size` payload bytes. */
export function asSuperPacket(frame: Uint8Array, gsoType: number, size: number): Uint8Array {
  const marked = frame.slice();
  const view = new DataView(marked.buffer);
  view.setUint8(1, gsoType);
  view.setUint16(4, size, true);
  return marked;
}

export function concat(...parts: readonly Uint8Array[]): Uint8Array {
  return new Uint8Array(Buffer.concat(parts));
}

type Ends = { readonly source: string; readonly target: string };
type Pseudo = (transportBytes: number) => number;

function ends(fields: { readonly source?: string; readonly target?: string }, defaults: Ends): Ends {
  return { source: fields.source ?? defaults.source, target: fields.target ?? defaults.target };
}

function udp(fields: UdpFields, pseudo: Pseudo): Uint8Array {
  const payload = fields.payload ?? NO_BYTES;
  const bytes = new Uint8Array(8 + payload.length);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, fields.sourcePort ?? 40_000);
  view.setUint16(2, fields.targetPort ?? 9);
  view.setUint16(4, bytes.length);
  bytes.set(payload, 8);
  // A sum of zero is sent as all ones: zero says "no checksum".
  view.setUint16(6, finish(sum(bytes) + pseudo(bytes.length)) || 0xffff);
  return bytes;
}

function tcp(fields: TcpFields, pseudo: Pseudo): Uint8Array {
  const ACK = 0x10;
  const payload = fields.payload ?? NO_BYTES;
  const bytes = new Uint8Array(20 + payload.length);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, fields.sourcePort ?? 40_000);
  view.setUint16(2, fields.targetPort ?? 9);
  view.setUint32(4, fields.sequence ?? 1);
  view.setUint8(12, 5 << 4);
  view.setUint8(13, fields.flags ?? ACK);
  view.setUint16(14, 0xffff);
  bytes.set(payload, 20);
  view.setUint16(16, finish(sum(bytes) + pseudo(bytes.length)));
  return bytes;
}

function icmp(fields: IcmpFields, pseudo: Pseudo | 0): Uint8Array {
  const payload = fields.payload ?? NO_BYTES;
  const bytes = new Uint8Array(8 + payload.length);
  const view = new DataView(bytes.buffer);
  view.setUint8(0, fields.type ?? 0);
  view.setUint16(4, fields.identifier ?? 1);
  view.setUint16(6, fields.sequence ?? 1);
  bytes.set(payload, 8);
  view.setUint16(2, finish(sum(bytes) + (pseudo === 0 ? 0 : pseudo(bytes.length))));
  return bytes;
}

const pseudo4 =
  ({ source, target }: Ends, protocol: number): Pseudo =>
  (transportBytes) =>
    wordSum(words(source).subarray(3)) + wordSum(words(target).subarray(3)) + protocol + transportBytes;

const pseudo6 =
  ({ source, target }: Ends, protocol: number): Pseudo =>
  (transportBytes) =>
    wordSum(words(source)) + wordSum(words(target)) + protocol + transportBytes;

function words(address: string): Uint32Array {
  const into = new Uint32Array(ADDRESS_WORDS);
  if (!parseIp(address, into)) throw new RangeError(`"${address}" is not an IP address`);
  return into;
}

function wordSum(values: Uint32Array): number {
  return values.reduce((total, word) => total + (word >>> 16) + (word & 0xffff), 0);
}

/** The plain sum of 16-bit words, an odd last byte padded with zero. */
function sum(bytes: Uint8Array): number {
  let total = 0;
  for (let offset = 0; offset < bytes.length; offset += 2) {
    total += ((bytes[offset] ?? 0) << 8) | (bytes[offset + 1] ?? 0);
  }
  return total;
}

/** Folds the carries in and complements: the Internet checksum. */
function finish(total: number): number {
  let folded = total;
  while (folded > 0xffff) folded = (folded >>> 16) + (folded & 0xffff);
  return ~folded & 0xffff;
}
