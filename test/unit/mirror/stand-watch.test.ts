import { expect, test } from 'vitest';
import { StandWatch } from '../../../agent/mirror/core/stand-watch.ts';

test('what has no work, or gets on, does not stand; what has work and does not, does', () => {
  const watch = new StandWatch(0);
  watch.look(1, false, 10_000);
  expect(watch.hungMs(10_500)).toBe(0);
  watch.look(1, true, 11_000);
  watch.look(2, true, 12_000);
  expect(watch.hungMs(12_900)).toBe(0);
  watch.look(2, true, 14_000);
  expect(watch.hungMs(14_000)).toBe(2000);
  watch.look(3, true, 14_100);
  expect(watch.hungMs(14_100)).toBe(0);
});
