/** [AG9] A copy that is late is a miss, once; the ring is held against what is seen of rate and lag. */
import { expect, test } from 'vitest';
import { CopyWatch } from '../../../agent/copy/watch.ts';

const point = (position: number, heads = 0) => ({ position, heads });
const watchOf = (ringBytes = 1e6, withinMs = 1000): CopyWatch => new CopyWatch({ withinMs, ringBytes });

test('[AG9] the lag is the age of the oldest that is not copied', () => {
  const watch = watchOf();
  watch.look(0, point(0), point(0));
  expect(watch.lagMs).toBe(0);
  watch.look(100, point(10), point(0));
  watch.look(300, point(30), point(0));
  expect([watch.lagMs, watch.lagBytes]).toEqual([200, 30]);
  watch.look(400, point(30), point(10));
  expect([watch.lagMs, watch.lagBytes]).toEqual([100, 20]);
  watch.look(500, point(30), point(30));
  expect(watch.lagMs).toBe(0);
});

test('[AG9] a head block that is not copied counts, and the count wraps', () => {
  const watch = watchOf();
  watch.look(0, point(0, 0x7fff_ffff), point(0, 0x7fff_ffff));
  watch.look(100, point(0, -0x8000_0000), point(0, 0x7fff_ffff));
  watch.look(200, point(0, -0x8000_0000), point(0, 0x7fff_ffff));
  expect(watch.lagMs).toBe(100);
  watch.look(300, point(0, -0x8000_0000), point(0, -0x8000_0000));
  expect(watch.lagMs).toBe(0);
});

test('[AG9] a miss is told and counted once, and its end with how long it lasted', () => {
  const watch = watchOf();
  expect(watch.look(0, point(0), point(0))).toEqual([]);
  expect(watch.look(100, point(10), point(0))).toEqual([]);
  expect(watch.look(1100, point(10), point(0))).toEqual([]);
  expect(watch.look(1101, point(10), point(0))).toEqual([{ kind: 'copy-late', lagMs: 1001, lagBytes: 10 }]);
  expect(watch.look(2000, point(10), point(0))).toEqual([]);
  expect([watch.misses, watch.isLate]).toEqual([1, true]);
  expect(watch.look(2100, point(10), point(10))).toEqual([{ kind: 'copy-caught-up', afterMs: 2000 }]);
  expect([watch.misses, watch.isLate]).toEqual([1, false]);
});

test('of a copy that stands for long the lag is never shown too short', () => {
  const watch = watchOf();
  for (let i = 0; i <= 3000; i++) watch.look(i * 100, point(i), point(0));
  expect(watch.lagMs).toBe(300_000 - 100);
  // What is left in the last mark is at least as old as it says.
  watch.look(300_100, point(3000), point(2999));
  expect(watch.lagMs).toBeGreaterThanOrEqual(200);
});

test('the ring is short when rate times lag does not fit: told once, forgotten after a minute', () => {
  const watch = watchOf(1e6, 500);
  watch.look(0, point(0), point(0));
  // 1.5 MB/s for half a second at most: 750 kB.
  expect(watch.look(1000, point(1.5e6), point(1.5e6))).toEqual([]);
  expect(Math.round(watch.neededBytes)).toBe(750_000);
  const news = watch.look(2000, point(3.5e6), point(3.5e6));
  expect(news).toEqual([{ kind: 'copy-ring', lagMs: 500, bytesPerSecond: 2e6, ringBytes: 1e6 }]);
  expect(watch.look(3000, point(5.5e6), point(5.5e6))).toEqual([]);
  expect(watch.isRingShort).toBe(true);
  watch.look(64_000, point(5.5e6), point(5.5e6));
  expect(watch.isRingShort).toBe(false);
});
