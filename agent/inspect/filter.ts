/** Which batches and records are wanted: by time mark, by type, and by what the packet says. */
import { ADDRESS_WORDS, parseIp } from '../../vnic/ip-address.ts';
import { PacketInfo, parsePacket } from '../../vnic/ip-packet.ts';
import { PACKET_TYPES, type PacketType } from '../base/packet-type.ts';
import type { BatchHeader } from '../volume/batch.ts';
import { isProgramFrame } from '../wire/program-message.ts';

export interface AddressRange {
  /** As in `vnic/ip-address.ts`. */
  readonly words: readonly number[];
  /** Bits of the four words that count. */
  readonly bits: number;
}

export interface Filter {
  readonly sinceUs: number;
  readonly untilUs: number;
  /** Index of the type; null: all. */
  readonly type: number | null;
  /** Of the sender or of the receiver. */
  readonly address: AddressRange | null;
  readonly port: number | null;
}

export const ALL: Filter = { sinceUs: -Infinity, untilUs: Infinity, type: null, address: null, port: null };

/** The index of a type's name, or null when there is none such. */
export function typeIndex(name: string): number | null {
  const index = PACKET_TYPES.indexOf(name as PacketType);
  return index < 0 ? null : index;
}

/** An address, or a prefix such as 10.77.0.0/24; null when it is neither. */
export function addressRange(text: string): AddressRange | null {
  const [address = '', length, ...more] = text.split('/');
  const words = new Uint32Array(ADDRESS_WORDS);
  if (more.length > 0 || !parseIp(address, words)) return null;
  const widest = address.includes(':') ? 128 : 32;
  if (length !== undefined && (!/^\d{1,3}$/.test(length) || Number(length) > widest)) return null;
  return { words: [...words], bits: 128 - widest + Number(length ?? widest) };
}

export const isInTime = (filter: Filter, header: BatchHeader): boolean =>
  header.wallUs >= filter.sinceUs && header.wallUs <= filter.untilUs;

/** Whether records are looked at one by one. */
export const isOfRecords = ({ type, address, port }: Filter): boolean =>
  type !== null || address !== null || port !== null;

const info = new PacketInfo();

export function wantsRecord(filter: Filter, type: number, frame: Uint8Array): boolean {
  if (filter.type !== null && type !== filter.type) return false;
  const { address, port } = filter;
  if (address === null && port === null) return true;
  if (isProgramFrame(frame) || !parsePacket(frame, info)) return false;
  if (port !== null && info.sourcePort !== port && info.destinationPort !== port) return false;
  return address === null || isWithin(info.source, address) || isWithin(info.destination, address);
}

function isWithin(words: Uint32Array, { words: wanted, bits }: AddressRange): boolean {
  for (let word = 0, left = bits; left > 0; word++, left -= 32) {
    const mask = left >= 32 ? 0xffff_ffff : ~(0xffff_ffff >>> left);
    if ((((words[word] ?? 0) ^ (wanted[word] ?? 0)) & mask) !== 0) return false;
  }
  return true;
}
