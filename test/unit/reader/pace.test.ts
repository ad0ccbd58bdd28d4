import { describe, expect, test } from 'vitest';
import { pollPause } from '../../../agent/reader/pace.ts';

const PACE = { idle: 50, active: 0.2 };
/** The pause at moment 10,000 when news came and we wrote so long ago. */
const pause = (sinceNews: number, sinceWritten: number, needed: boolean): number =>
  pollPause(PACE, 10_000, 10_000 - sinceNews, 10_000 - sinceWritten, needed);

describe('pace of polling', () => {
  test('idle when storage is not the way and brings nothing, however much is written', () => {
    expect(pause(Infinity, Infinity, false)).toBe(50);
    expect(pause(201, 0.1, false)).toBe(50);
  });

  test('active while packets come', () => {
    expect(pause(5, 100, false)).toBe(0.2);
    expect(pause(5, 100, true)).toBe(0.2);
  });

  test('at once while an answer to what we have just written is due', () => {
    expect(pause(100, 0.5, true)).toBe(0);
    expect(pause(0.3, 0.5, true)).toBe(0.2);
    expect(pause(100, 0.7, true)).toBe(0.2);
  });

  test('slower with the silence, up to a bound while storage is the way, then idle', () => {
    const pauses = [20, 50, 100, 190, 1000, 1e6].map((silence) => pause(silence, silence, true));
    expect(pauses).toEqual([...pauses].sort((a, b) => a - b));
    expect(pauses[0]).toBe(0.2);
    expect(pauses.at(-1)).toBe(2);
    expect(pause(200, 1e6, false)).toBe(2);
    expect(pause(201, 1e6, false)).toBe(50);
  });

  test('never slower than idle, never faster than active but for an answer', () => {
    for (const since of [0, 1, 19, 21, 199, 5000, Infinity]) {
      for (const written of [0.7, 10, 500, Infinity]) {
        for (const needed of [true, false]) {
          const chosen = pollPause({ idle: 1, active: 0.5 }, 10_000, 10_000 - since, 10_000 - written, needed);
          expect(chosen).toBeGreaterThanOrEqual(0.5);
          expect(chosen).toBeLessThanOrEqual(1);
        }
      }
    }
  });
});
