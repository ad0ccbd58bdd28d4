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
    expect(budget.bytesAllowed).toBe(Infinity);
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

  test('one super-packet may cost more than there is, and is then waited for', () => {
    const budget = new Budget({ bytesPerSecond: 10_000, operationsPerSecond: 0 });
    expect(budget.waitMs(0)).toBe(0);
    expect(budget.bytesAllowed).toBe(4096);
    budget.spent(69_632, 1);
    expect(budget.bytesAllowed).toBe(0);
    expect(budget.waitMs(0)).toBeCloseTo(6963.2, 1);
  });

  test('what is urgent does not wait for what data owes, and data waits for both', () => {
    const budget = new Budget({ bytesPerSecond: 100_000, operationsPerSecond: 100 });
    budget.spent(69_632, 10);
    expect(budget.waitMs(0, true)).toBe(0);
    const before = budget.waitMs(0);
    budget.spent(4096, 1);
    expect(budget.waitMs(0, true)).toBe(0);
    expect(budget.waitMs(0)).toBeGreaterThan(before);
  });

  test('nor may urgent things spend for ever: they too keep to the limit', () => {
    const budget = new Budget({ bytesPerSecond: 0, operationsPerSecond: 100 });
    let count = 0;
    for (let nowMs = 0; nowMs < 5000;) {
      const wait = budget.waitMs(nowMs, true);
      if (wait > 0) nowMs += Math.max(wait, 0.01);
      else {
        budget.spent(4096, 1);
        count++;
      }
    }
    expect(count).toBeLessThanOrEqual(500 * 1.05);
    expect(count).toBeGreaterThanOrEqual(500);
  });

  test.each([
    [1_000_000, 0, 69_632],
    [5_000_000, 0, 69_632],
    [0, 100, 4096],
    [2_000_000, 200, 8192],
  ])(
    '%i bytes and %i operations, data of %i beside heartbeats of a block: within 5 %% over any 5 seconds',
    (...limit) => {
      const [bytesPerSecond, operationsPerSecond, size] = limit;
      const budget = new Budget({ bytesPerSecond, operationsPerSecond });
      const writes: { atMs: number; bytes: number }[] = [];
      const write = (atMs: number, bytes: number): void => {
        budget.spent(bytes, 1);
        writes.push({ atMs, bytes });
      };
      let heartbeatWaitMs = 0;
      for (let nowMs = 0, heartbeatMs = 0; nowMs < 30_000; nowMs += 0.5) {
        if (nowMs >= heartbeatMs && budget.waitMs(nowMs, true) === 0) {
          heartbeatWaitMs = Math.max(heartbeatWaitMs, nowMs - heartbeatMs);
          write(nowMs, 4096);
          heartbeatMs += 50;
        } else if (budget.waitMs(nowMs) === 0) write(nowMs, size);
      }
      expect(heartbeatWaitMs).toBeLessThanOrEqual(0.5);
      for (let fromMs = 0; fromMs <= 25_000; fromMs += 500) {
        const span = writes.filter(({ atMs }) => atMs >= fromMs && atMs < fromMs + 5000);
        const bytes = span.reduce((sum, { bytes: some }) => sum + some, 0) / 5;
        if (bytesPerSecond > 0) expect(bytes / bytesPerSecond).toBeLessThan(1.05);
        if (operationsPerSecond > 0) expect(span.length / 5 / operationsPerSecond).toBeLessThan(1.05);
        const shares = [bytes / (bytesPerSecond || Infinity), span.length / 5 / (operationsPerSecond || Infinity)];
        expect(Math.max(...shares)).toBeGreaterThan(0.95);
      }
    },
  );
});
