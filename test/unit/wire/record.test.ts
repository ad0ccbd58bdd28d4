import { describe, expect, test } from 'vitest';
import { dataView } from '../../../agent/base/bytes.ts';
import {
  AGE_MS_MAX,
  emptyRecordHeader,
  readRecordHeader,
  RECORD,
  RECORD_HEADER_BYTES,
  recordBytes,
  walkRecords,
  writeRecordHeader,
} from '../../../agent/wire/record.ts';

const header = { frameBytes: 5, type: 3, peer: 63, sequence: 0xffff_ffff, ageMs: 7 };

function written(...headers: (typeof header)[]): Uint8Array {
  const bytes = new Uint8Array(headers.reduce((sum, { frameBytes }) => sum + recordBytes(frameBytes), 0));
  let offset = 0;
  for (const one of headers) {
    writeRecordHeader(dataView(bytes), offset, one);
    offset += recordBytes(one.frameBytes);
  }
  return bytes;
}

function walked(bytes: Uint8Array, start = 0, end = bytes.length): { whole: boolean; offsets: number[] } {
  const offsets: number[] = [];
  const whole = walkRecords(bytes, start, end, (record, offset) => {
    expect(offset + record.frameBytes).toBeLessThanOrEqual(end);
    offsets.push(offset);
  });
  return { whole, offsets };
}

describe('record', () => {
  test('what is written is read', () => {
    const read = emptyRecordHeader();
    readRecordHeader(dataView(written(header)), 0, read);
    expect(read).toEqual(header);
  });

  test('an age that no field can hold is the highest, a negative one is none', () => {
    const read = emptyRecordHeader();
    for (const [ageMs, told] of [
      [1e9, AGE_MS_MAX],
      [-3, 0],
      [2.6, 3],
    ] as const) {
      readRecordHeader(dataView(written({ ...header, ageMs })), 0, read);
      expect(read.ageMs).toBe(told);
    }
  });

  test('records take whole multiples of 8 bytes', () => {
    expect([0, 1, 8, 9].map(recordBytes)).toEqual([16, 24, 24, 32]);
  });

  test('a walk meets every record', () => {
    const bytes = written(header, { ...header, frameBytes: 0 }, { ...header, frameBytes: 8 });
    expect(walked(bytes)).toEqual({ whole: true, offsets: [16, 40, 56] });
    expect(walked(bytes, 24)).toEqual({ whole: true, offsets: [40, 56] });
    expect(walked(bytes, bytes.length)).toEqual({ whole: true, offsets: [] });
  });

  test('a walk ends, and says so, where a record does not fit', () => {
    const bytes = written(header, header);
    expect(walked(bytes, 0, bytes.length - 1)).toEqual({ whole: false, offsets: [16] });
    expect(walked(bytes, 0, 24 + RECORD_HEADER_BYTES - 1)).toEqual({ whole: false, offsets: [16] });
  });

  test.each([25, 0x7fff_ffff, 0x8000_0000, 0xffff_fff0, 0xffff_ffff])('a length of %i points outside', (length) => {
    const bytes = written(header, header);
    dataView(bytes).setUint32(24 + RECORD.at.frameBytes, length, true);
    expect(walked(bytes)).toEqual({ whole: false, offsets: [16] });
  });
});
