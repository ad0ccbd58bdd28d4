/** Frames whose checksum is left for the hardware to finish, as the kernel hands them over with TUN offloads. */
import { PacketInfo, parsePacket, PROTOCOL } from '../../vnic/ip-packet.ts';
import { VNET_HEADER_BYTES } from '../../vnic/device.ts';

/** `frame` (whole, with its right checksum) as it looks before the checksum is finished. */
export function withPartialChecksum(frame: Uint8Array): Uint8Array {
  const out = frame.slice();
  const info = new PacketInfo();
  if (!parsePacket(out, info)) throw new Error('not an IP packet');
  const view = new DataView(out.buffer);
  const offset = info.protocol === PROTOCOL.tcp ? 16 : 6;
  view.setUint8(0, 1);
  view.setUint16(6, info.headerOffset - VNET_HEADER_BYTES, true);
  view.setUint16(8, offset, true);
  const addressBytes = info.version === 4 ? 8 : 32;
  const addresses = info.version === 4 ? 12 : 8;
  let sum = info.protocol + info.transportBytes;
  for (let at = 0; at < addressBytes; at += 2) sum += view.getUint16(VNET_HEADER_BYTES + addresses + at);
  while (sum > 0xffff) sum = (sum >>> 16) + (sum & 0xffff);
  view.setUint16(info.headerOffset + offset, sum);
  return out;
}
