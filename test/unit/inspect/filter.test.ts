import { expect, test } from 'vitest';
import { timeUs } from '../../../agent/cli/operator-time.ts';
import { addressRange, ALL, typeIndex, wantsRecord } from '../../../agent/inspect/filter.ts';
import { timeText } from '../../../agent/inspect/node-view.ts';
import { buildUdp4, buildUdp6 } from '../../support/packets.ts';

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

test('a time of day is the last one that has been, of the local time zone', () => {
  const local = (text: string): number => Date.parse(text) * 1000;
  const nowMs = Date.parse('2026-03-05T12:00:00');
  expect(timeUs('03:12', nowMs)).toBe(local('2026-03-05T03:12:00'));
  expect(timeUs('3:12:05.25', nowMs)).toBe(local('2026-03-05T03:12:05.250'));
  expect(timeUs('23:12', nowMs)).toBe(local('2026-03-04T23:12:00'));
  expect(timeUs('25:00', nowMs)).toBeNull();
});

test.each<[string, string, boolean]>([
  ['10.77.0.2', 'udp4', true],
  ['10.77.0.3', 'udp4', false],
  ['10.77.0.0/24', 'udp4', true],
  ['10.77.0.3/31', 'udp4', true],
  ['10.77.0.4/31', 'udp4', false],
  ['10.78.0.0/15', 'udp4', false],
  ['0.0.0.0/0', 'udp4', true],
  ['0.0.0.0/0', 'udp6', false],
  ['fd77::1', 'udp6', true],
  ['fd77::/16', 'udp6', true],
  ['fd77:0:0:0:8000::/65', 'udp6', false],
  ['::/0', 'udp6', true],
])('the address %s and a frame of %s: %s', (text, kind, isWanted) => {
  const frame = kind === 'udp4' ? buildUdp4() : buildUdp6();
  expect(wantsRecord({ ...ALL, address: addressRange(text) }, 2, frame)).toBe(isWanted);
});

test.each(['', '10.77.0', '10.77.0.2/33', 'fd77::/129', '10.0.0.0/8/8', '10.0.0.0/', 'host'])(
  'no address: %j',
  (text) => {
    expect(addressRange(text)).toBeNull();
  },
);

test('a port of either end; what is no packet has neither port nor address', () => {
  const frame = buildUdp4({ sourcePort: 5000, targetPort: 5405 });
  expect([5000, 5405, 5404].map((port) => wantsRecord({ ...ALL, port }, 1, frame))).toEqual([true, true, false]);
  const message = Uint8Array.of(0xb5, ...new Uint8Array(60));
  expect(wantsRecord({ ...ALL, port: 5000 }, 1, message)).toBe(false);
  expect(wantsRecord(ALL, 1, message)).toBe(true);
  expect(wantsRecord({ ...ALL, type: 2 }, 1, frame)).toBe(false);
});
