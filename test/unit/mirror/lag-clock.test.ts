import { expect, test } from 'vitest';
import { LagClock } from '../../../agent/mirror/core/lag-clock.ts';

test('a lag counts from when the first missing mark was admitted', () => {
  const clock = new LagClock(10);
  clock.note(10, 0);
  expect(clock.behindMs(10, 5000)).toBe(0);
  clock.note(15, 1000);
  clock.note(20, 2000);
  expect(clock.behindMs(10, 5000)).toBe(4000);
  expect(clock.behindMs(14, 5000)).toBe(4000);
  expect(clock.behindMs(15, 5000)).toBe(3000);
  expect(clock.behindMs(20, 5000)).toBe(0);
});

test('a target that is away for long costs no more than some samples, and its lag stays true', () => {
  const clock = new LagClock(0);
  for (let mark = 1; mark <= 100_000; mark++) clock.note(mark, mark * 10);
  expect(clock.behindMs(0, 1_000_000)).toBe(999_990);
  // Coarser, a little more rather than less.
  for (const mark of [1000, 50_000, 99_000, 99_999]) {
    const trueMs = 1_000_000 - (mark + 1) * 10;
    const told = clock.behindMs(mark, 1_000_000);
    expect(told).toBeGreaterThanOrEqual(trueMs);
    expect(told - trueMs).toBeLessThan(1_000_000 / 50);
  }
  clock.dropUpTo(100_000);
  expect(clock.behindMs(0, 1_000_010)).toBe(0);
  clock.note(100_001, 2_000_000);
  expect(clock.behindMs(100_000, 2_000_003)).toBe(3);
});

test('what was noted by the clock on the wall counts on by another one, and nothing of it lies in the future', () => {
  const wall = new LagClock(10);
  wall.note(20, 1_700_000_000_000);
  wall.note(30, 1_700_000_060_000);
  wall.note(40, 1_700_009_000_000);
  // Now it is 90 s behind the first by the wall, and 5000 by the other clock.
  const clock = wall.moved(5000 - 1_700_000_090_000, 5000);
  expect(clock.behindMs(10, 5000)).toBe(90_000);
  expect(clock.behindMs(20, 6000)).toBe(31_000);
  expect(clock.behindMs(30, 6000)).toBe(1000);
  expect(clock.behindMs(40, 6000)).toBe(0);
  clock.note(50, 6500);
  expect(clock.behindMs(40, 7000)).toBe(500);
});
