import { describe, expect, test } from 'vitest';
import { ClockOffset } from '../../../agent/core/clock-offset.ts';

/** An exchange with a peer whose clock is `ahead` of ours: there in `out`, answered after `delay`, back in `back`. */
function exchange(clock: ClockOffset, sent: number, out: number, delay: number, back: number, ahead: number): void {
  const peerUs = sent + out + delay + ahead;
  clock.exchange(sent, delay, peerUs, sent + out + delay + back);
}

describe('[AGE1] clock offset', () => {
  test('is not known before an exchange, nor after a reset', () => {
    const clock = new ClockOffset();
    expect(clock.known).toBe(false);
    exchange(clock, 0, 100, 50, 100, 5_000_000);
    expect(clock.known).toBe(true);
    clock.reset();
    expect([clock.known, clock.roundTripUs]).toEqual([false, 0]);
  });

  test('is exact when both ways take as long, whatever the answer’s delay', () => {
    for (const ahead of [1, -3_600_000_000, 3_600_000_000]) {
      const clock = new ClockOffset();
      exchange(clock, 1000, 200, 987_654, 200, ahead);
      expect(clock.offsetUs).toBe(-ahead);
      expect([clock.roundTripUs, clock.errorUs]).toEqual([400, 200]);
    }
  });

  test('is never more wrong than it says', () => {
    for (const [out, back] of [
      [1000, 0],
      [0, 1000],
      [300, 700],
    ] as const) {
      const clock = new ClockOffset();
      exchange(clock, 0, out, 10, back, 12_345);
      expect(Math.abs(clock.offsetUs + 12_345)).toBeLessThanOrEqual(clock.errorUs);
    }
  });

  test('nothing looks younger than it is, also when the clocks drift apart', () => {
    const clock = new ClockOffset();
    exchange(clock, 0, 0, 0, 1000, 5_000_000);
    const trueAgeMs = 2000;
    for (const nowUs of [1_000_000, 3_600_000_000]) {
      const drifted = nowUs * 99e-6;
      const ageMs = clock.ageMs(nowUs - trueAgeMs * 1000 + 5_000_000 + drifted, nowUs);
      expect(ageMs).toBeGreaterThanOrEqual(trueAgeMs);
      expect(ageMs).toBeLessThanOrEqual(trueAgeMs + 1.1 + nowUs * 2e-7);
    }
  });

  test('a slow exchange does not spoil a good one until that has faded', () => {
    const clock = new ClockOffset();
    exchange(clock, 0, 100, 0, 100, 0);
    exchange(clock, 1000, 0, 0, 50_000, 0);
    expect([clock.errorUs, clock.roundTripUs]).toEqual([100, 50_000]);
    // 100 ppm of 250 s are 25 ms: now the slow one says as much.
    exchange(clock, 250_000_000, 25_000, 0, 25_000, 400);
    expect(clock.offsetUs).toBe(-400);
  });

  test('impossible exchanges are ignored', () => {
    const clock = new ClockOffset();
    clock.exchange(1000, 0, 5, 999);
    clock.exchange(1000, 500, 5, 1499);
    clock.exchange(Number.NaN, 0, 5, 10);
    clock.exchange(-Infinity, 0, 5, 10);
    clock.exchange(0, 0, Infinity, 10);
    expect(clock.known).toBe(false);
  });
});
