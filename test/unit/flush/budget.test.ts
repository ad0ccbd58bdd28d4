import { describe, expect, test } from 'vitest';
import { Budget } from '../../../agent/flush/budget.ts';

/** Writes of `bytes` as soon as they are allowed, for `seconds`; answers how many. */
function spend(budget: Budget, bytes: number, seconds: number): number {
  let count = 0;
  for (let nowMs = 0; nowMs < seconds * 1000;) {
    const wait = budget.waitMs(nowMs);
    if (wait > 0) {
      nowMs += Math.max(wait, 0.01);
      continue;
    }
    budget.spent(bytes, 1);
    count++;
    if (count > 1e6) break;
  }
  return count;
}

describe('budget', () => {
  test('0 is no limit', () => {
    const budget = new Budget({ bytesPerSecond: 0, operationsPerSecond: 0 });
    for (let i = 0; i < 1000; i++) {
      expect(budget.waitMs(0)).toBe(0);
      budget.spent(1e9, 1);
    }
    expect(budget.bytesAllowed()).toBe(Infinity);
  });

  test.each([
    [0, 100, 4096],
    [1_000_000, 0, 4096],
    [10_000_000, 50, 4096],
    [500_000, 0, 131_072],
    [0, 1, 4096],
  ])(
    '%i bytes and %i operations a second, writes of %i: never more, and nearly all of it',
    (bytes, operations, size) => {
      const SECONDS = 20;
      const limit = Math.min(
        bytes === 0 ? Infinity : (bytes * SECONDS) / size,
        operations === 0 ? Infinity : operations * SECONDS,
      );
      const count = spend(new Budget({ bytesPerSecond: bytes, operationsPerSecond: operations }), size, SECONDS);
      expect(count).toBeLessThanOrEqual(limit * 1.01 + 2);
      expect(count).toBeGreaterThanOrEqual(limit * 0.98 - 2);
    },
  );

  test('rest does not save up more than a tenth of a second', () => {
    const budget = new Budget({ bytesPerSecond: 0, operationsPerSecond: 100 });
    expect(budget.waitMs(0)).toBe(0);
    expect(budget.waitMs(3_600_000)).toBe(0);
    let burst = 0;
    while (budget.waitMs(3_600_000) === 0) {
      budget.spent(0, 1);
      burst++;
    }
    expect(burst).toBe(10);
  });

  test('a super-packet is always allowed, and then waited for', () => {
    const budget = new Budget({ bytesPerSecond: 10_000, operationsPerSecond: 0 });
    expect(budget.waitMs(0)).toBe(0);
    expect(budget.bytesAllowed()).toBe(131_072);
    budget.spent(131_072, 1);
    expect(budget.waitMs(0)).toBeGreaterThan(12_000);
  });
});
