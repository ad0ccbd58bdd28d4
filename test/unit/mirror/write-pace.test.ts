import { expect, test } from 'vitest';
import { WritePace } from '../../../agent/mirror/core/write-pace.ts';

const MIB = 1 << 20;

/** Bytes that go in within `ms` when a client writes as fast as it may, and nothing is taken out. */
function written(roomBytes: number, ms: number, piece = 4096): number {
  const pace = new WritePace();
  let left = roomBytes;
  for (let nowMs = 0; nowMs < ms; nowMs++) {
    while (left >= piece && pace.isFree(left, 16 * MIB, nowMs)) {
      pace.took(piece, left, 16 * MIB, nowMs);
      left -= piece;
      if (roomBytes - left > 8 * MIB) return roomBytes - left;
    }
  }
  return roomBytes - left;
}

test('MI10: while a target keeps less than three quarters of the ring nobody waits', () => {
  expect(written(16 * MIB, 1)).toBeGreaterThan(8 * MIB);
});

test('MI10: in the last quarter a second takes less than all of it, and each further one less still', () => {
  const [one, two, four] = [1000, 2000, 4000].map((ms) => written(4 * MIB, ms)) as [number, number, number];
  expect(one).toBeLessThan(3.9 * MIB);
  expect(one).toBeGreaterThan(2 * MIB);
  expect(two).toBeGreaterThan(one);
  expect(four).toBeLessThan(4 * MIB);
  expect(two - one).toBeLessThan(one / 2);
});

test('a write that is larger than its share is let in, and paid for afterwards', () => {
  const pace = new WritePace();
  expect(pace.isFree(4 * MIB, 16 * MIB, 0)).toBe(true);
  pace.took(MIB, 4 * MIB, 16 * MIB, 0);
  expect([100, 140, 151].map((nowMs) => pace.isFree(3 * MIB, 16 * MIB, nowMs))).toEqual([false, false, true]);
});
