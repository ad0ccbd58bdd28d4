import { expect, test } from 'vitest';
import { HEAD_INTERVAL_MS, headIntervalMs, HeadSchedule } from '../../../agent/flush/head-schedule.ts';

const BLOCK_BYTES = 4096;

test('the first head is due at once, then each is a beacon, or follows sooner when it is wanted', () => {
  const heads = new HeadSchedule(1000, HEAD_INTERVAL_MS);
  expect([heads.hasBegun, heads.isDue(0), heads.waitMs(0, false) <= 0]).toEqual([false, true, true]);
  heads.written(100, 8192);
  expect([heads.hasBegun, heads.isDue(1099), heads.isDue(1100)]).toEqual([true, false, true]);
  expect(heads.waitMs(200, false)).toBe(900);
  expect(heads.waitMs(105, true)).toBe(15);
  expect(heads.waitMs(1090, true)).toBeLessThan(0);
  expect([heads.names(8192), heads.names(4096)]).toEqual([true, false]);
});

test('on a limited storage heads that are no beacons take a fifth at most', () => {
  expect(headIntervalMs({ bytesPerSecond: 0, operationsPerSecond: 0 }, BLOCK_BYTES)).toBe(HEAD_INTERVAL_MS);
  expect(headIntervalMs({ bytesPerSecond: 0, operationsPerSecond: 20 }, BLOCK_BYTES)).toBe(250);
  expect(headIntervalMs({ bytesPerSecond: 409_600, operationsPerSecond: 1000 }, BLOCK_BYTES)).toBe(50);
});
