import { expect, test } from 'vitest';
import { addsAtMost } from '../../../agent/bench/figure.ts';

test('addsAtMost: the difference is what counts, the ratio is shown', () => {
  const unit = '% of a core';
  expect(addsAtMost('page', unit, 5, 3.5, 2)).toEqual({
    name: 'page',
    value: 5,
    unit,
    limit: 3.5,
    ratio: 1.429,
    target: '<= 2 % of a core more',
    met: true,
  });
  expect(addsAtMost('page', unit, 5.6, 3.5, 2).met).toBe(false);
  expect(addsAtMost('page', unit, 1, 0, 2)).toMatchObject({ ratio: null, met: true });
});
