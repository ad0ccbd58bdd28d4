/** Control: one record for each entry of a monitor, and some words of the recorder's own. Frames of them make a control file. */
import { dataView, getU64, setU64 } from '../../base/bytes.ts';
import { crc32 } from '../../base/crc32.ts';
import { defineFields } from '../../base/fields.ts';
import { CONTROL_MAGIC } from './layout.ts';

export const RECORD = defineFields({
  kind: 1,
  flags: 1,
  volume: 2,
  payloadCrc: 4,
  mark: 8,
  time: 8,
  offset: 8,
  length: 8,
  payloadBytes: 4,
  segment: 4,
  position: 8,
  chain: 8,
} as const);

/** The first five are the mirror's kinds of entries. */
export const RECORD_KIND = {
  write: 1,
  zero: 2,
  trim: 3,
  seal: 4,
  image: 5,
  place: 16,
  whole: 17,
  branch: 18,
  clock: 19,
} as const;

export interface ControlRecord {
  readonly kind: number;
  readonly volume: number;
  readonly payloadCrc: number;
  readonly mark: number;
  /** ns since 1970; of a `clock` a signed difference. */
  readonly time: bigint;
  /** Bytes of the volume. */
  readonly offset: number;
  readonly length: number;
  readonly payloadBytes: number;
  /** Number of the segment in which the payload lies; 0: not known here. */
  readonly segment: number;
  /** Where in it the data record begins. */
  readonly position: number;
  readonly chain: bigint;
}

export const EMPTY_RECORD: ControlRecord = {
  kind: 0,
  volume: 0,
  payloadCrc: 0,
  mark: 0,
  time: 0n,
  offset: 0,
  length: 0,
  payloadBytes: 0,
  segment: 0,
  position: 0,
  chain: 0n,
};

const { at } = RECORD;

export function encodeRecord(record: ControlRecord, into: Uint8Array, offset: number): void {
  const view = new DataView(into.buffer, into.byteOffset + offset, RECORD.bytes);
  view.setUint8(at.kind, record.kind);
  view.setUint8(at.flags, 0);
  view.setUint16(at.volume, record.volume, true);
  view.setUint32(at.payloadCrc, record.payloadCrc, true);
  setU64(view, at.mark, record.mark);
  view.setBigInt64(at.time, BigInt.asIntN(64, record.time), true);
  setU64(view, at.offset, record.offset);
  setU64(view, at.length, record.length);
  view.setUint32(at.payloadBytes, record.payloadBytes, true);
  view.setUint32(at.segment, record.segment, true);
  setU64(view, at.position, record.position);
  view.setBigUint64(at.chain, record.chain, true);
}

export function encodedRecord(record: ControlRecord): Uint8Array {
  const bytes = new Uint8Array(RECORD.bytes);
  encodeRecord(record, bytes, 0);
  return bytes;
}

/** The caller has checked what the bytes come in; values are bounded by whoever uses them. */
export function decodeRecord(bytes: Uint8Array, offset: number): ControlRecord {
  const view = new DataView(bytes.buffer, bytes.byteOffset + offset, RECORD.bytes);
  return {
    kind: view.getUint8(at.kind),
    volume: view.getUint16(at.volume, true),
    payloadCrc: view.getUint32(at.payloadCrc, true),
    mark: getU64(view, at.mark),
    time: view.getBigInt64(at.time, true),
    offset: getU64(view, at.offset),
    length: getU64(view, at.length),
    payloadBytes: view.getUint32(at.payloadBytes, true),
    segment: view.getUint32(at.segment, true),
    position: getU64(view, at.position),
    chain: view.getBigUint64(at.chain, true),
  };
}

/** Whether the kind is an entry with a mark of its own. */
export const isEntry = (kind: number): boolean => kind >= RECORD_KIND.write && kind <= RECORD_KIND.seal;

/** Whether such a record can be: what a monitor sends, or a damaged file shows. `volumes`: their sizes in bytes. */
export function isSane(record: ControlRecord, volumes: readonly number[]): boolean {
  const { kind, mark, volume, offset, length, payloadBytes } = record;
  if (mark === Infinity || offset === Infinity || length === Infinity || record.position === Infinity) return false;
  if (kind === RECORD_KIND.seal) return mark > 0;
  if (!isEntry(kind) && kind !== RECORD_KIND.image) return kind >= RECORD_KIND.place && kind <= RECORD_KIND.clock;
  const bytes = volumes[volume];
  if (bytes === undefined || mark < 1 || length < 1 || offset + length > bytes) return false;
  return kind === RECORD_KIND.write ? payloadBytes === length : payloadBytes === 0 || payloadBytes === length;
}

export const CONTROL_FRAME = defineFields({
  magic: 4,
  count: 4,
  sequence: 8,
  segment: 4,
  bodyCrc: 4,
  writtenAt: 8,
  zero: 28,
  headerCrc: 4,
} as const);

export interface ControlFrame {
  /** Records behind the header. */
  readonly count: number;
  /** One higher than the frame before it, over all segments. */
  readonly sequence: number;
  readonly segment: number;
  readonly bodyCrc: number;
  /** The recorder's clock, ns since 1970. */
  readonly writtenAt: bigint;
}

const frameAt = CONTROL_FRAME.at;

/** The records as they go into a control file. */
export function encodeControlFrame(
  records: readonly ControlRecord[],
  frame: Pick<ControlFrame, 'sequence' | 'segment' | 'writtenAt'>,
): Uint8Array {
  const bytes = new Uint8Array(CONTROL_FRAME.bytes + records.length * RECORD.bytes);
  records.forEach((record, i) => encodeRecord(record, bytes, CONTROL_FRAME.bytes + i * RECORD.bytes));
  const view = dataView(bytes);
  view.setUint32(frameAt.magic, CONTROL_MAGIC, true);
  view.setUint32(frameAt.count, records.length, true);
  setU64(view, frameAt.sequence, frame.sequence);
  view.setUint32(frameAt.segment, frame.segment, true);
  view.setUint32(frameAt.bodyCrc, crc32(bytes.subarray(CONTROL_FRAME.bytes)), true);
  view.setBigUint64(frameAt.writtenAt, frame.writtenAt, true);
  view.setUint32(frameAt.headerCrc, crc32(bytes.subarray(0, frameAt.headerCrc)), true);
  return bytes;
}

/** The frame at `offset`, whole and undamaged; null where there is none. */
export function readControlFrame(bytes: Uint8Array, offset: number): ControlFrame | null {
  if (offset + CONTROL_FRAME.bytes > bytes.length) return null;
  const header = bytes.subarray(offset, offset + CONTROL_FRAME.bytes);
  const view = dataView(header);
  if (view.getUint32(frameAt.magic, true) !== CONTROL_MAGIC) return null;
  if (view.getUint32(frameAt.headerCrc, true) !== crc32(header.subarray(0, frameAt.headerCrc))) return null;
  const count = view.getUint32(frameAt.count, true);
  const end = offset + CONTROL_FRAME.bytes + count * RECORD.bytes;
  const bodyCrc = view.getUint32(frameAt.bodyCrc, true);
  if (end > bytes.length || crc32(bytes.subarray(offset + CONTROL_FRAME.bytes, end)) !== bodyCrc) return null;
  return {
    count,
    sequence: getU64(view, frameAt.sequence),
    segment: view.getUint32(frameAt.segment, true),
    bodyCrc,
    writtenAt: view.getBigUint64(frameAt.writtenAt, true),
  };
}
