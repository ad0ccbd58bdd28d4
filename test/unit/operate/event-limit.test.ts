import { describe, expect, test } from 'vitest';
import { BURST, EventLimit, REFILL_MS } from '../../../agent/operate/event-limit.ts';

/** Offers so many at one moment; answers how many are told at once. */
const offer = (limit: EventLimit<number>, count: number, nowMs: number, thing = 'path b'): number =>
  Array.from({ length: count }, (_, i) => limit.offer(thing, i, nowMs)).filter((told) => told).length;

describe('a storm', () => {
  test('is told up to the burst, then thinned out', () => {
    const limit = new EventLimit<number>();
    expect(offer(limit, BURST, 0)).toBe(BURST);
    expect(limit.isHolding).toBe(false);
    expect(offer(limit, 100, 0)).toBe(0);
    expect(limit.isHolding).toBe(true);
  });

  test('ends with its newest word, and how many are missing before it', () => {
    const limit = new EventLimit<number>();
    offer(limit, BURST + 10, 0);
    expect(limit.due(REFILL_MS - 1)).toEqual([]);
    expect(limit.due(REFILL_MS)).toEqual([{ event: BURST + 9, untold: 9 }]);
    expect(limit.due(10 * REFILL_MS)).toEqual([]);
    expect(limit.isHolding).toBe(false);
  });

  test('of one thing leaves others alone', () => {
    const limit = new EventLimit<number>();
    offer(limit, 2 * BURST, 0);
    expect(offer(limit, 3, 0, 'path c')).toBe(3);
  });

  test('what comes while something waits does not overtake it', () => {
    const limit = new EventLimit<number>();
    offer(limit, BURST + 1, 0);
    expect(limit.offer('path b', 77, 5 * REFILL_MS)).toBe(false);
    expect(limit.due(5 * REFILL_MS)).toEqual([{ event: 77, untold: 1 }]);
    expect(limit.offer('path b', 78, 5 * REFILL_MS)).toBe(true);
  });

  test('that goes on is told at the pace of the refill', () => {
    const limit = new EventLimit<number>();
    offer(limit, BURST, 0);
    let told = 0;
    for (let nowMs = 0; nowMs < 60_000; nowMs += 100) {
      if (limit.offer('path b', nowMs, nowMs)) told++;
      told += limit.due(nowMs).length;
    }
    expect(Math.abs(told - 60_000 / REFILL_MS)).toBeLessThanOrEqual(1);
  });

  test('at the end nothing stays untold', () => {
    const limit = new EventLimit<number>();
    offer(limit, BURST + 3, 0);
    expect(limit.due(0, true)).toEqual([{ event: BURST + 2, untold: 2 }]);
    expect(limit.due(0, true)).toEqual([]);
  });
});
