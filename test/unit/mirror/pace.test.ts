import { expect, test } from 'vitest';
import { Pace } from '../../../agent/mirror/core/pace.ts';

test('what goes out under a bound, however it comes, is no more than the bound and one piece', () => {
  const pace = new Pace(1000);
  let sent = 0;
  for (let nowMs = 0; nowMs < 10_000; nowMs += 7) {
    if (pace.waitMs(nowMs) > 0) continue;
    pace.sent(333, nowMs);
    sent += 333;
  }
  expect(sent).toBeGreaterThan(9000);
  expect(sent).toBeLessThanOrEqual(10_333);
});

test('a pause is followed by no burst; without a bound nothing waits', () => {
  const pace = new Pace(1000);
  pace.sent(1000, 0);
  expect(pace.waitMs(400)).toBe(600);
  expect(pace.waitMs(60_000)).toBe(0);
  pace.sent(1000, 60_000);
  expect(pace.waitMs(60_000)).toBe(1000);
  const none = new Pace(0);
  none.sent(1e12, 0);
  expect(none.waitMs(0)).toBe(0);
});
