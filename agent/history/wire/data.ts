/** Data: the payload of one mark, or an image of a range; the same bytes on a link, in a folder on the way, and in a segment. */
import { getU64, roundUp, setU64 } from '../../base/bytes.ts';
import { crc32 } from '../../base/crc32.ts';
import { defineFields } from '../../base/fields.ts';
import { DATA_ALIGN, DATA_MAGIC } from './layout.ts';

export const DATA = defineFields({
  magic: 4,
  kind: 1,
  reserved: 1,
  volume: 2,
  mark: 8,
  offset: 8,
  length: 8,
  payloadBytes: 4,
  payloadCrc: 4,
  zero: 4,
  headerCrc: 4,
} as const);

export interface DataHeader {
  /** `write` or `image` of `RECORD_KIND`. */
  readonly kind: number;
  readonly volume: number;
  readonly mark: number;
  readonly offset: number;
  readonly length: number;
  /** `length`, or 0: an image of zeros. */
  readonly payloadBytes: number;
  readonly payloadCrc: number;
}

const { at } = DATA;

/** What it takes in a file or a frame. */
export const dataBytes = (payloadBytes: number): number => roundUp(DATA.bytes + payloadBytes, DATA_ALIGN);

/** Writes the header; the payload's place is behind it. */
export function encodeData(data: DataHeader, into: Uint8Array, offset: number): void {
  const header = into.subarray(offset, offset + DATA.bytes);
  const view = new DataView(header.buffer, header.byteOffset, DATA.bytes);
  view.setUint32(at.magic, DATA_MAGIC, true);
  view.setUint8(at.kind, data.kind);
  view.setUint8(at.reserved, 0);
  view.setUint16(at.volume, data.volume, true);
  setU64(view, at.mark, data.mark);
  setU64(view, at.offset, data.offset);
  setU64(view, at.length, data.length);
  view.setUint32(at.payloadBytes, data.payloadBytes, true);
  view.setUint32(at.payloadCrc, data.payloadCrc, true);
  view.setUint32(at.zero, 0, true);
  view.setUint32(at.headerCrc, crc32(header.subarray(0, at.headerCrc)), true);
}

/** The header at `offset`; null where there is none that holds. */
export function decodeData(bytes: Uint8Array, offset: number): DataHeader | null {
  if (offset + DATA.bytes > bytes.length) return null;
  const header = bytes.subarray(offset, offset + DATA.bytes);
  const view = new DataView(header.buffer, header.byteOffset, DATA.bytes);
  if (view.getUint32(at.magic, true) !== DATA_MAGIC) return null;
  if (view.getUint32(at.headerCrc, true) !== crc32(header.subarray(0, at.headerCrc))) return null;
  return {
    kind: view.getUint8(at.kind),
    volume: view.getUint16(at.volume, true),
    mark: getU64(view, at.mark),
    offset: getU64(view, at.offset),
    length: getU64(view, at.length),
    payloadBytes: view.getUint32(at.payloadBytes, true),
    payloadCrc: view.getUint32(at.payloadCrc, true),
  };
}

/** The payload behind the header at `offset`, when it is there and holds. */
export function payloadOf(
  bytes: Uint8Array,
  offset: number,
  { payloadBytes, payloadCrc }: DataHeader,
): Uint8Array | null {
  const from = offset + DATA.bytes;
  if (from + payloadBytes > bytes.length) return null;
  const payload = bytes.subarray(from, from + payloadBytes);
  return payloadBytes === 0 || crc32(payload) === payloadCrc ? payload : null;
}
