/** Entries as they lie in a ring, as control and data: two ways may carry them. */
import { dataView, getU64 } from '../../base/bytes.ts';
import { ENTRY, ENTRY_KIND, entryBytes, isChained, type EntryKind } from '../../mirror/wire/entry.ts';
import { DATA, dataBytes, encodeData } from '../wire/data.ts';
import { RECORD } from '../wire/record.ts';

export interface Split {
  readonly control: Uint8Array;
  readonly controlCount: number;
  readonly data: Uint8Array;
  readonly dataCount: number;
}

const { at: ENTRY_AT } = ENTRY;
const { at: RECORD_AT } = RECORD;

/** `bytes`: whole entries that hold, one behind the other. */
export function splitEntries(bytes: Uint8Array): Split {
  const from = dataView(bytes);
  const starts: number[] = [];
  let [dataEnd, dataCount] = [0, 0];
  for (let at = 0; at < bytes.length;) {
    const kind = from.getUint8(at + ENTRY_AT.kind) as EntryKind;
    const payloadBytes = from.getUint32(at + ENTRY_AT.payloadBytes, true);
    if (isChained(kind)) starts.push(at);
    if (isChained(kind) && payloadBytes > 0) {
      dataEnd += dataBytes(payloadBytes);
      dataCount++;
    }
    at += kind === ENTRY_KIND.skip ? getU64(from, at + ENTRY_AT.length) : entryBytes(payloadBytes);
  }
  const control = new Uint8Array(starts.length * RECORD.bytes);
  // Not zeroed: all of it is written.
  const data = Buffer.allocUnsafeSlow(dataEnd);
  const into = dataView(control);
  dataEnd = 0;
  for (const [i, at] of starts.entries()) {
    putRecord(from, at, into, i * RECORD.bytes);
    dataEnd = putData(bytes, from, at, data, dataEnd);
  }
  return { control, controlCount: starts.length, data, dataCount };
}

/** What both have, as it lies there; without a place of the data. */
function putRecord(from: DataView, at: number, into: DataView, to: number): void {
  into.setUint8(to + RECORD_AT.kind, from.getUint8(at + ENTRY_AT.kind));
  into.setUint16(to + RECORD_AT.volume, from.getUint16(at + ENTRY_AT.volume, true), true);
  into.setUint32(to + RECORD_AT.payloadCrc, from.getUint32(at + ENTRY_AT.payloadCrc, true), true);
  into.setUint32(to + RECORD_AT.payloadBytes, from.getUint32(at + ENTRY_AT.payloadBytes, true), true);
  for (const field of ['mark', 'time', 'offset', 'length', 'chain'] as const) {
    into.setUint32(to + RECORD_AT[field], from.getUint32(at + ENTRY_AT[field], true), true);
    into.setUint32(to + RECORD_AT[field] + 4, from.getUint32(at + ENTRY_AT[field] + 4, true), true);
  }
}

/** Answers where the next one begins. */
function putData(bytes: Uint8Array, from: DataView, at: number, into: Uint8Array, to: number): number {
  const payloadBytes = from.getUint32(at + ENTRY_AT.payloadBytes, true);
  if (payloadBytes === 0) return to;
  const header = {
    kind: from.getUint8(at + ENTRY_AT.kind),
    volume: from.getUint16(at + ENTRY_AT.volume, true),
    mark: getU64(from, at + ENTRY_AT.mark),
    offset: getU64(from, at + ENTRY_AT.offset),
    length: getU64(from, at + ENTRY_AT.length),
    payloadBytes,
    payloadCrc: from.getUint32(at + ENTRY_AT.payloadCrc, true),
  };
  encodeData(header, into, to);
  const payloadAt = to + DATA.bytes;
  into.set(bytes.subarray(at + ENTRY.bytes, at + ENTRY.bytes + payloadBytes), payloadAt);
  const end = to + dataBytes(payloadBytes);
  if (payloadAt + payloadBytes < end) into.fill(0, payloadAt + payloadBytes, end);
  return end;
}

/** A range of a volume as it was behind `mark`, as a data record. */
export function imageData(
  image: { readonly volume: number; readonly offset: number; readonly mark: number },
  payload: Uint8Array,
  payloadCrc: number,
): Uint8Array {
  const isZero = isZeros(payload);
  const payloadBytes = isZero ? 0 : payload.length;
  const bytes = new Uint8Array(dataBytes(payloadBytes));
  // One of mark 0 is of a volume that was never written to.
  const mark = Math.max(1, image.mark);
  const header = { ...image, mark, kind: ENTRY_KIND.image, length: payload.length, payloadBytes };
  encodeData({ ...header, payloadCrc: isZero ? 0 : payloadCrc }, bytes, 0);
  if (!isZero) bytes.set(payload, DATA.bytes);
  return bytes;
}

function isZeros(bytes: Uint8Array): boolean {
  const view = dataView(bytes);
  let at = 0;
  for (; at + 8 <= bytes.length; at += 8) {
    if (view.getInt32(at, true) !== 0 || view.getInt32(at + 4, true) !== 0) return false;
  }
  for (; at < bytes.length; at++) if (bytes[at] !== 0) return false;
  return true;
}
