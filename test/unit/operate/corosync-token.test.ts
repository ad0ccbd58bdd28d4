import { describe, expect, test } from 'vitest';
import { tokenMinMs } from '../../../agent/operate/corosync-token.ts';

const ring = (nodes: number, hasLinks = true) => ({ nodes, coefficientMs: 650, hasLinks });

describe('the token that a latency allows', () => {
  test('fast storage allows the shortest token that was tried, and none below', () => {
    expect(tokenMinMs(0, ring(2))).toBe(1000);
    expect(tokenMinMs(0.3, ring(64))).toBe(1000);
  });

  // Measured with two nodes: with token 1000 a sudden rise to 75 ms passed and 100 did not; with 3000, 500 and 700.
  test.each([
    [62, 1000],
    [63, 1100],
    [187, 3000],
    [188, 3100],
  ])('two nodes, %i ms one way: the link asks for a token of %i', (oneWayMs, token) => {
    expect(tokenMinMs(oneWayMs, ring(2))).toBe(token);
  });

  test('what the margin allows is at most a quarter of what was measured to pass', () => {
    // Two nodes: 1200 ms with token 3000, 400 with 1000; three nodes: 900 with 3000, which corosync makes 3650.
    for (const [oneWayMs, nodes, token] of [
      [1200, 2, 3000],
      [400, 2, 1000],
      [900, 3, 3000],
    ] as const) {
      expect(tokenMinMs(oneWayMs / 4, ring(nodes, false))).toBeLessThanOrEqual(token);
      expect(tokenMinMs((oneWayMs * 1.11) / 4, ring(nodes, false))).toBeGreaterThan(token);
    }
  });

  test('with many nodes the ring asks for more than the link, less what corosync adds by itself', () => {
    expect(tokenMinMs(200, ring(16))).toBe(
      Math.max(3200, Math.ceil((4 * 200 * 16) / 0.81 / 100 - (14 * 650) / 100) * 100),
    );
    expect(tokenMinMs(200, { nodes: 16, coefficientMs: 0, hasLinks: true })).toBe(15_900);
  });

  test('a transport without links is held to the ring alone', () => {
    expect(tokenMinMs(150, ring(2, false))).toBe(1500);
    expect(tokenMinMs(150, ring(2))).toBe(2400);
  });
});
