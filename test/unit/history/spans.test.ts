/** Times and marks: what is meant, and what cannot be had, with clocks that are apart, equal, or go back. */
import { expect, test } from 'vitest';
import { clockAhead } from '../../../agent/history/core/clock.ts';
import { correctedTimes, extentOf, findMark, type When } from '../../../agent/history/core/spans.ts';
import { buildTable } from '../../../agent/history/core/table.ts';
import { parseWhen } from '../../../agent/cli/operator-time.ts';
import {
  EMPTY_RECORD,
  encodeRecord,
  RECORD,
  RECORD_KIND,
  type ControlRecord,
} from '../../../agent/history/wire/record.ts';

const NOON_US = Date.parse('2026-11-21T12:00:00Z') * 1000;
const NOW_US = NOON_US + 3_600_000_000;

/** Zeroes: they need no data. */
const zero = (mark: number, afterUs: number): Partial<ControlRecord> => ({
  kind: RECORD_KIND.zero,
  mark,
  length: 512,
  time: BigInt(NOON_US + afterUs) * 1000n,
});

function found(records: readonly Partial<ControlRecord>[], when: When): number | string {
  const bytes = new Uint8Array(records.length * RECORD.bytes);
  records.forEach((record, i) => encodeRecord({ ...EMPTY_RECORD, ...record }, bytes, i * RECORD.bytes));
  const table = buildTable(bytes, () => true);
  const base = { mark: 0, timeUs: NOON_US };
  const times = correctedTimes(table, NOON_US);
  const result = findMark(table, extentOf(table, base, times, { mark: 0, timeUs: NOW_US }), times, when, NOW_US);
  return result.ok ? result.mark : result.why;
}
const at = (afterUs: number): When => ({ timeUs: NOON_US + afterUs });

test('[OS4] the newest mark that is not later; equal times belong together', () => {
  const records = [zero(1, 1000), zero(2, 2000), zero(3, 2000), zero(4, 9000)];
  expect([0, 999, 1000, 1999, 2000, 8999, 9000, 50_000].map((us) => found(records, at(us)))).toEqual([
    0, 0, 1, 1, 3, 3, 4, 4,
  ]);
  expect(found(records.toReversed(), at(2000))).toBe(3);
});

test('a clock that is an hour apart is corrected to the recorder’s, from where that was found on', () => {
  const hourUs = 3_600_000_000;
  const ahead = (us: number): Partial<ControlRecord> => ({
    kind: RECORD_KIND.clock,
    mark: 0,
    time: BigInt(us) * 1000n,
  });
  for (const offUs of [hourUs, -hourUs]) {
    const records = [ahead(offUs), zero(1, offUs + 1000), zero(2, offUs + 2000)];
    expect([500, 1000, 2500].map((us) => found(records, at(us)))).toEqual([0, 1, 2]);
  }
  // Less than a second is the way that the question took.
  expect(found([ahead(900_000), zero(1, 1000)], at(1000))).toBe(1);
});

test('how far a clock is ahead is known within the time that the answer took', () => {
  expect([
    clockAhead(5000, 1000, 9000),
    clockAhead(3_601_000, 1000, 1200),
    clockAhead(1000, 3_601_000, 3_609_000),
  ]).toEqual([0, 3_599_800, -3_600_000]);
});

test('a clock that goes back does not turn marks round', () => {
  const records = [zero(1, 5_000_000), zero(2, 1_000_000), zero(3, 6_000_000)];
  expect([4_000_000, 5_000_000, 6_000_000].map((us) => found(records, at(us)))).toEqual([0, 2, 3]);
});

test('the future, before the beginning, and a gap are refused, each by its name', () => {
  const records = [zero(1, 1000), zero(2, 2000), zero(5, 5000), zero(6, 6000)];
  const whole = { kind: RECORD_KIND.whole, mark: 5, time: BigInt(NOON_US + 5500) * 1000n };
  expect(found(records, { timeUs: NOW_US + 1 })).toMatch(/is in the future/);
  expect(found(records, at(-1))).toMatch(
    /before the beginning of what is kept: the earliest is 2026-11-21T12:00:00.000Z, mark 0/,
  );
  const gap = /lies in a gap: marks 3 to 4, .* were never recorded/;
  for (const when of [at(3000), at(5499), { mark: 3 }, { mark: 4 }])
    expect(found([...records, whole], when)).toMatch(gap);
  expect([at(2000), at(5500), at(6000), { mark: 5 }].map((when) => found([...records, whole], when))).toEqual([
    2, 5, 6, 5,
  ]);
  expect(found(records, { mark: 7 })).toMatch(/not recorded yet/);
});

test('[HI9] a gap begins when all was known that is before it, not with the last write', () => {
  const known = { kind: RECORD_KIND.whole, mark: 2, time: BigInt(NOON_US + 60_000_000) * 1000n };
  const whole = { kind: RECORD_KIND.whole, mark: 5, time: BigInt(NOON_US + 90_000_000) * 1000n };
  const records = [zero(1, 1000), zero(2, 2000), known, zero(5, 70_000_000), whole, zero(6, 91_000_000)];
  const from = new Date((NOON_US + 60_000_000) / 1000).toISOString();
  expect([2000, 59_000_000, 60_000_000, 90_000_000].map((us) => found(records, at(us)))).toEqual([2, 2, 2, 5]);
  expect(found(records, at(60_000_001))).toContain(`lies in a gap: marks 3 to 4, from ${from} to `);
  expect(found(records, { mark: 2 })).toBe(2);
  // What came all the same has its own time.
  expect(found([...records, zero(3, 3000), zero(4, 4000)], at(3500))).toBe(3);
  // Another generation may have written before that.
  const branch = { kind: RECORD_KIND.branch, mark: 2 };
  const others = [zero(1, 1000), zero(2, 2000), known, branch, zero(5, 70_000_000), whole];
  expect(found(others, at(59_000_000))).toMatch(/lies in a gap/);
});

test('a takeover elsewhere voids what it never had', () => {
  const branch = { kind: RECORD_KIND.branch, mark: 2 };
  const records = [zero(1, 1000), zero(2, 2000), zero(3, 3000), branch, zero(3, 4000)];
  expect([3500, 4000].map((us) => found(records, at(us)))).toEqual([2, 3]);
});

test('times as an operator writes them', () => {
  const nowMs = NOW_US / 1000;
  expect(parseWhen('2026-11-21T12:00:00Z', nowMs)).toEqual({ timeUs: NOON_US });
  expect(parseWhen('2026-11-21 12:00:00.5Z', nowMs)).toEqual({ timeUs: NOON_US + 500_000 });
  expect(parseWhen('2026-11-21T14:00:00+02:00', nowMs)).toEqual({ timeUs: NOON_US });
  // Without a zone it is local, with a time and without.
  const zone = process.env['TZ'];
  process.env['TZ'] = 'Asia/Kolkata';
  try {
    expect(parseWhen('2026-11-21 17:30', nowMs)).toEqual({ timeUs: NOON_US });
    // A time of day is the last one that has been: now it is 18:30 there.
    expect(parseWhen('17:30', nowMs)).toEqual({ timeUs: NOON_US });
    expect(parseWhen('17:30:00.5', nowMs)).toEqual({ timeUs: NOON_US + 500_000 });
    expect(parseWhen('18:31', nowMs)).toEqual({ timeUs: NOON_US + 3_660_000_000 - 24 * 3_600_000_000 });
    expect(parseWhen('2026-11-21', nowMs)).toEqual({ timeUs: NOON_US - 17.5 * 3_600_000_000 });
  } finally {
    if (zone === undefined) delete process.env['TZ'];
    else process.env['TZ'] = zone;
  }
  expect(parseWhen('-60m', nowMs)).toEqual({ timeUs: NOON_US });
  expect(parseWhen('-1.5s', nowMs)).toEqual({ timeUs: NOW_US - 1_500_000 });
  expect(parseWhen('#120', nowMs)).toEqual({ mark: 120 });
  for (const none of [
    '',
    'yesterday',
    '#',
    '-5',
    '5m',
    '2026-13-40T00:00:00Z',
    '2026-02-30',
    '2026-02-29T12:00Z',
    '2026-02-30 12:00:00Z',
    '24:61',
    '3:12:99',
  ]) {
    expect(parseWhen(none, nowMs), none).toBeNull();
  }
});
