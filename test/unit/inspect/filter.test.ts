import { expect, test } from 'vitest';
import { timeUs, typeIndex } from '../../../agent/inspect/filter.ts';
import { timeText } from '../../../agent/inspect/node-view.ts';

const NOW_MS = Date.parse('2026-03-01T03:12:00Z');

test.each([
  ['2026-03-01T03:12:00Z', NOW_MS * 1000],
  ['2026-03-01T04:12:00.5+01:00', (NOW_MS + 500) * 1000],
  ['2026-03-01T03:12:00.000123Z', NOW_MS * 1000 + 123],
  ['2026-03-01T03:12:00.0004+00:00', NOW_MS * 1000 + 400],
  ['2026-03-01', Date.parse('2026-03-01T00:00:00Z') * 1000],
  ['now', NOW_MS * 1000],
  ['-5m', (NOW_MS - 300_000) * 1000],
  ['-1.5h', (NOW_MS - 5_400_000) * 1000],
  ['-250ms', (NOW_MS - 250) * 1000],
  ['-2d', (NOW_MS - 172_800_000) * 1000],
  ['5m', null],
  ['-5', null],
  ['-5y', null],
  ['yesterday', null],
  ['2026-13-01', null],
  ['12', null],
])('the time %s', (text, us) => {
  expect(timeUs(text, NOW_MS)).toBe(us);
});

test('types by name', () => {
  expect([typeIndex('control'), typeIndex('bulk'), typeIndex('Data'), typeIndex('')]).toEqual([0, 3, null, null]);
});

test('a time mark with its microseconds, whatever it is', () => {
  expect(timeText(1_700_000_000_123_456)).toBe('2023-11-14T22:13:20.123456Z');
  expect(timeText(7)).toBe('1970-01-01T00:00:00.000007Z');
  expect(timeText(Infinity)).toBe('Infinity');
  expect(timeText(2 ** 53 - 1)).toMatch(/Z$/);
});
