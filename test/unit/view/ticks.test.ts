/** Axes: what stands at them is round, and no two marks read the same. */
import { expect, test } from 'vitest';
import { axisTicks, axisTop, type AxisKind } from '../../../agent/view/ticks.ts';
import { bytesText, countText, msText, rateText } from '../../../agent/view/units.ts';

const words = (max: number, kind: AxisKind, text: (value: number) => string): string[] =>
  axisTicks(axisTop(max, kind), kind).map(text);

test('bytes are marked at powers of two, as their units are', () => {
  expect(words(0, 'bytes', bytesText)).toEqual(['0 B', '1 B']);
  expect(words(1.1, 'bytes', bytesText)).toEqual(['0 B', '1 B']);
  expect(words(1_000_000, 'bytes', bytesText)).toEqual(['0 B', '256 KiB', '512 KiB', '768 KiB']);
  expect(words(2_000_000, 'bytes', bytesText)).toEqual(['0 B', '512 KiB', '1 MiB', '1.5 MiB']);
});

test('all else at 1, 2 and 5', () => {
  expect(words(0, 'ms', msText)).toEqual(['0 ms', '0.01 ms']);
  expect(words(1.2, 'ms', msText)).toEqual(['0 ms', '0.5 ms', '1 ms']);
  expect(words(0.3, 'count', rateText)).toEqual(['0', '1']);
  expect(words(40, 'count', countText)).toEqual(['0', '10', '20', '30', '40']);
});

test.each([
  ['bytes', bytesText],
  ['ms', msText],
  ['count', rateText],
  ['count', countText],
] as const)('no two marks of %s read the same, whatever the highest value', (kind, text) => {
  for (let max = 0.000_1; max < 1e14; max *= 1.037) {
    const marks = words(max, kind, text);
    expect(new Set(marks).size, `${max}: ${marks.join(', ')}`).toBe(marks.length);
    expect(marks.length).toBeGreaterThan(1);
    expect(marks.length).toBeLessThan(6);
  }
});
