/**
 * A record: one frame with its address inside a lane. The same in the write buffer, in batches and in tunnel messages.
 *
 *   length u32 | type u8 | flags u8 | peer u16 | sequence u32 | age u16 (ms) | reserved u16 | frame, padded to 8 bytes
 */
import { dataView } from '../base/bytes.ts';
import { defineFields } from '../base/fields.ts';

export const RECORD = defineFields({
  frameBytes: 4,
  type: 1,
  flags: 1,
  /** Slot index of the node that it is for. */
  peer: 2,
  sequence: 4,
  /** How long the frame had waited when the batch or message was made. */
  ageMs: 2,
  reserved: 2,
} as const);

export const RECORD_HEADER_BYTES: number = RECORD.bytes;
export const AGE_MS_MAX = 0xffff;

/** Bytes that a record with a frame of `frameBytes` takes. */
export const recordBytes = (frameBytes: number): number => (RECORD_HEADER_BYTES + frameBytes + 7) & ~7;

export interface RecordHeader {
  frameBytes: number;
  type: number;
  peer: number;
  sequence: number;
  ageMs: number;
}

export function writeRecordHeader(view: DataView, offset: number, header: RecordHeader): void {
  const { at } = RECORD;
  view.setUint32(offset + at.frameBytes, header.frameBytes, true);
  view.setUint8(offset + at.type, header.type);
  view.setUint8(offset + at.flags, 0);
  view.setUint16(offset + at.peer, header.peer, true);
  view.setUint32(offset + at.sequence, header.sequence, true);
  view.setUint16(offset + at.ageMs, Math.min(Math.max(0, Math.round(header.ageMs)), AGE_MS_MAX), true);
  view.setUint16(offset + at.reserved, 0, true);
}

export function readRecordHeader(view: DataView, offset: number, into: RecordHeader): void {
  const { at } = RECORD;
  into.frameBytes = view.getUint32(offset + at.frameBytes, true);
  into.type = view.getUint8(offset + at.type);
  into.peer = view.getUint16(offset + at.peer, true);
  into.sequence = view.getUint32(offset + at.sequence, true);
  into.ageMs = view.getUint16(offset + at.ageMs, true);
}

export const emptyRecordHeader = (): RecordHeader => ({ frameBytes: 0, type: 0, peer: 0, sequence: 0, ageMs: 0 });

/**
 * Walks the records in `bytes[start, end)`; `visit` gets the header (reused) and the frame's place. Returns false when a
 * length points outside: authenticated bytes never do, so that is a broken sender.
 */
export function walkRecords(
  bytes: Uint8Array,
  start: number,
  end: number,
  visit: (header: RecordHeader, frameOffset: number) => void,
): boolean {
  const view = dataView(bytes);
  const header = emptyRecordHeader();
  let offset = start;
  while (offset < end) {
    if (offset + RECORD_HEADER_BYTES > end) return false;
    readRecordHeader(view, offset, header);
    const next = offset + recordBytes(header.frameBytes);
    if (next > end || header.frameBytes > end) return false;
    visit(header, offset + RECORD_HEADER_BYTES);
    offset = next;
  }
  return true;
}
