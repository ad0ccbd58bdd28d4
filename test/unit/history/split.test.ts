/** Entries of a ring as control and data: what each says is what the entry said. */
import { expect, test } from 'vitest';
import { crc32 } from '../../../agent/base/crc32.ts';
import { Prng } from '../../../agent/base/prng.ts';
import { splitEntries } from '../../../agent/history/monitor/split.ts';
import { dataBytes, decodeData, payloadOf } from '../../../agent/history/wire/data.ts';
import { decodeRecord, RECORD } from '../../../agent/history/wire/record.ts';
import { encodeEntry, ENTRY, ENTRY_KIND, entryBytes, type EntryKind } from '../../../agent/mirror/wire/entry.ts';

const START_NS = 1_700_000_000_123_456_789n;
const KINDS: readonly EntryKind[] = [ENTRY_KIND.write, ENTRY_KIND.zero, ENTRY_KIND.trim, ENTRY_KIND.seal];

test('[OS2] entries of every kind and size are split into control and data that say the same', () => {
  const random = new Prng(3);
  const said: { record: object; payload: Uint8Array }[] = [];
  const pieces: Uint8Array[] = [];
  let chain = 0n;
  for (let mark = 1; mark <= 200; mark++) {
    const kind = random.pick(KINDS);
    const payload = new Uint8Array(kind === ENTRY_KIND.write ? random.between(1, 5000) : 0);
    random.fill(payload);
    const length = kind === ENTRY_KIND.seal ? 0 : payload.length || random.between(1, 1e6);
    const facts = { kind, volume: random.below(3), mark, time: START_NS + BigInt(mark), offset: random.below(1e12) };
    const sums = { length, payloadBytes: payload.length, payloadCrc: crc32(payload) };
    const bytes = new Uint8Array(entryBytes(payload.length));
    const place = { flags: 0, cycle: 9, position: 0, generation: new Uint8Array(16).fill(5), durableBack: 0, chain };
    chain = encodeEntry({ ...facts, ...sums, ...place }, chain, bytes, 0);
    bytes.set(payload, ENTRY.bytes);
    pieces.push(bytes);
    said.push({ record: { ...facts, ...sums, segment: 0, position: 0, chain }, payload });
  }
  const { control, controlCount, data, dataCount } = splitEntries(Buffer.concat(pieces));
  expect(controlCount).toBe(200);
  expect(control.length).toBe(200 * RECORD.bytes);
  let at = 0;
  let count = 0;
  for (const [i, { record, payload }] of said.entries()) {
    expect(decodeRecord(control, i * RECORD.bytes)).toEqual(record);
    if (payload.length === 0) continue;
    const header = decodeData(data, at);
    expect(record).toMatchObject(header ?? { none: true });
    expect(Buffer.compare(payloadOf(data, at, header as never) ?? new Uint8Array(0), payload)).toBe(0);
    const end = at + dataBytes(payload.length);
    expect(data.subarray(at + 48 + payload.length, end).every((byte) => byte === 0)).toBe(true);
    at = end;
    count++;
  }
  expect([at, count]).toEqual([data.length, dataCount]);
});
