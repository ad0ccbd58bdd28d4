import { describe, expect, test } from 'vitest';
import { bitRate, bytes, milliseconds, percentile, sparkline, spread } from '../../../agent/demo/figures.ts';

describe('percentile', () => {
  test('is a sample, by nearest rank', () => {
    const hundred = Array.from({ length: 100 }, (_, i) => 100 - i);
    expect(percentile(hundred, 0.5)).toBe(50);
    expect(percentile(hundred, 0.99)).toBe(99);
    expect(percentile(hundred, 1)).toBe(100);
    expect(percentile(hundred, 0)).toBe(1);
    expect(percentile([7], 0.99)).toBe(7);
  });

  test('of nothing is null, and the samples stay as they were', () => {
    expect(percentile([], 0.5)).toBeNull();
    const samples = [3, 1, 2];
    expect(spread(samples)).toEqual({ p50: 2, p99: 3 });
    expect(samples).toEqual([3, 1, 2]);
    expect(spread([])).toEqual({ p50: null, p99: null });
  });
});

describe('figures for people', () => {
  test('milliseconds change their unit and digits with size', () => {
    expect([null, 0.333, 9.994, 12.4, 999, 1000, 61_234].map(milliseconds)).toEqual([
      '–',
      '0.33 ms',
      '9.99 ms',
      '12 ms',
      '999 ms',
      '1.0 s',
      '61.2 s',
    ]);
  });

  test('bytes and bit rates', () => {
    expect([0, 999, 1000, 1_234_567, 5e12].map(bytes)).toEqual(['0 B', '999 B', '1.0 kB', '1.2 MB', '5.0 TB']);
    expect([0, 25e6, 125e6].map(bitRate)).toEqual(['0 Mbit/s', '200 Mbit/s', '1.0 Gbit/s']);
  });

  test('sparkline shows the newest values, padded on the left', () => {
    expect(sparkline([1, 8, 0, 4], 3)).toBe('█▁▅');
    expect(sparkline([5], 3)).toBe('  █');
    expect(sparkline([], 2)).toBe('  ');
    expect(sparkline([0, 0], 2)).toBe('▁▁');
  });
});
