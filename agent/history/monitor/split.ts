/** Entries as they lie in a ring, as control and data: two ways may carry them. */
import { dataView } from '../../base/bytes.ts';
import { decodeEntry, ENTRY, ENTRY_KIND, isChained, ringBytesOf, type Entry } from '../../mirror/wire/entry.ts';
import { DATA, dataBytes, encodeData } from '../wire/data.ts';
import { encodeRecord, RECORD, type ControlRecord } from '../wire/record.ts';

export interface Split {
  readonly control: Uint8Array;
  readonly controlCount: number;
  readonly data: Uint8Array;
  readonly dataCount: number;
}

/** `bytes`: whole entries, one behind the other. */
export function splitEntries(bytes: Uint8Array): Split {
  const entries = entriesIn(bytes);
  const withData = entries.filter(({ entry }) => entry.payloadBytes > 0);
  const control = new Uint8Array(entries.length * RECORD.bytes);
  const data = new Uint8Array(withData.reduce((sum, { entry }) => sum + dataBytes(entry.payloadBytes), 0));
  entries.forEach(({ entry }, i) => encodeRecord(controlOf(entry), control, i * RECORD.bytes));
  let end = 0;
  for (const { entry, at } of withData) {
    encodeData(entry, data, end);
    const from = at + ENTRY.bytes;
    data.set(bytes.subarray(from, from + entry.payloadBytes), end + DATA.bytes);
    end += dataBytes(entry.payloadBytes);
  }
  return { control, controlCount: entries.length, data, dataCount: withData.length };
}

function entriesIn(bytes: Uint8Array): { readonly entry: Entry; readonly at: number }[] {
  const entries: { entry: Entry; at: number }[] = [];
  for (let at = 0; at < bytes.length;) {
    const decoded = decodeEntry(bytes, at);
    if (!decoded.ok) throw new Error('entries of our own that do not hold');
    if (isChained(decoded.entry.kind)) entries.push({ entry: decoded.entry, at });
    at += ringBytesOf(decoded.entry);
  }
  return entries;
}

const controlOf = (entry: Entry): ControlRecord => ({
  kind: entry.kind,
  volume: entry.volume,
  payloadCrc: entry.payloadCrc,
  mark: entry.mark,
  time: entry.time,
  offset: entry.offset,
  length: entry.length,
  payloadBytes: entry.payloadBytes,
  segment: 0,
  position: 0,
  chain: entry.chain,
});

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
