/**
 * Packets in the pcapng form (draft-ietf-opsawg-pcapng): one interface for each node, nanoseconds, raw IP, and the order
 * stamp of each packet as its comment.
 *
 * A frame's checksum may be left for the hardware to finish (VIRTIO_NET_HDR_F_NEEDS_CSUM); it is finished here, so that
 * readers do not call the packet broken. Super-packets stay whole.
 */
import { VNET_HEADER_BYTES } from '../../vnic/device.ts';

const SECTION = 0x0a0d_0d0a;
const INTERFACE = 1;
const ENHANCED_PACKET = 6;
const BYTE_ORDER = 0x1a2b_3c4d;
const LINKTYPE_RAW = 101;
const NANOSECONDS = 9;

const OPTION = { comment: 1, sectionApplication: 4, interfaceName: 2, interfaceResolution: 9 } as const;

export const PCAPNG_BEGIN_BYTES = 12;

/** Whether what a file begins with is that of packets in this form. */
export const isPcapng = (bytes: Buffer): boolean =>
  bytes.length >= PCAPNG_BEGIN_BYTES && bytes.readUInt32LE(0) === SECTION && bytes.readUInt32LE(8) === BYTE_ORDER;

/** What a file begins with: the section, then an interface for each node in this order. */
export function pcapngHeader(nodes: readonly string[]): Buffer {
  const section = Buffer.alloc(16);
  section.writeUInt32LE(BYTE_ORDER, 0);
  section.writeUInt16LE(1, 4);
  section.writeBigInt64LE(-1n, 8); // the section's length is not known
  const interfaces = nodes.map((node) => {
    const body = Buffer.alloc(8);
    body.writeUInt16LE(LINKTYPE_RAW, 0);
    const options = [
      option(OPTION.interfaceName, Buffer.from(node)),
      option(OPTION.interfaceResolution, [NANOSECONDS]),
    ];
    return block(INTERFACE, [body, ...options, endOfOptions()]);
  });
  const application = option(OPTION.sectionApplication, Buffer.from('stillbeat'));
  return Buffer.concat([block(SECTION, [section, application, endOfOptions()]), ...interfaces]);
}

/** One packet of the node with this index; `timeUs` since 1970. */
export function pcapngPacket(node: number, timeUs: number, packet: Uint8Array, comment: string): Buffer {
  const time = BigInt(timeUs) * 1000n;
  const body = Buffer.alloc(20);
  body.writeUInt32LE(node, 0);
  body.writeUInt32LE(Number(time >> 32n), 4);
  body.writeUInt32LE(Number(time & 0xffff_ffffn), 8);
  body.writeUInt32LE(packet.length, 12);
  body.writeUInt32LE(packet.length, 16);
  return block(ENHANCED_PACKET, [body, padded(packet), option(OPTION.comment, Buffer.from(comment)), endOfOptions()]);
}

function block(type: number, parts: readonly Uint8Array[]): Buffer {
  const length = parts.reduce((sum, part) => sum + part.length, 12);
  const head = Buffer.alloc(8);
  head.writeUInt32LE(type, 0);
  head.writeUInt32LE(length, 4);
  return Buffer.concat([head, ...parts, head.subarray(4)]);
}

function option(code: number, value: Uint8Array | readonly number[]): Buffer {
  const head = Buffer.alloc(4);
  head.writeUInt16LE(code, 0);
  head.writeUInt16LE(value.length, 2);
  return Buffer.concat([head, padded(Uint8Array.from(value))]);
}

const endOfOptions = (): Buffer => Buffer.alloc(4);

function padded(bytes: Uint8Array): Buffer {
  const out = Buffer.alloc(Math.ceil(bytes.length / 4) * 4);
  out.set(bytes);
  return out;
}

const NEEDS_CHECKSUM = 1;
const CHECKSUM_START = 6;
const CHECKSUM_OFFSET = 8;

/** The IP packet of a frame, with its checksum finished; a copy. */
export function finishedPacket(frame: Uint8Array): Uint8Array {
  const packet = frame.slice(VNET_HEADER_BYTES);
  if (((frame[0] ?? 0) & NEEDS_CHECKSUM) === 0) return packet;
  const word = (offset: number): number => (frame[offset] ?? 0) | ((frame[offset + 1] ?? 0) << 8);
  const start = word(CHECKSUM_START);
  const place = start + word(CHECKSUM_OFFSET);
  if (place + 2 > packet.length) return packet;
  // The field holds the sum of the pseudo-header already.
  const sum = checksum(packet.subarray(start));
  packet[place] = sum >> 8;
  packet[place + 1] = sum & 0xff;
  return packet;
}

/** The Internet checksum (RFC 1071). Never 0, which UDP takes for "none". */
function checksum(bytes: Uint8Array): number {
  let sum = 0;
  for (let offset = 0; offset < bytes.length; offset += 2)
    sum += ((bytes[offset] ?? 0) << 8) | (bytes[offset + 1] ?? 0);
  while (sum > 0xffff) sum = (sum >>> 16) + (sum & 0xffff);
  const finished = ~sum & 0xffff;
  return finished === 0 ? 0xffff : finished;
}
