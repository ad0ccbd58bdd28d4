import { expect, test } from 'vitest';
import {
  bytesText,
  countText,
  durationText,
  listText,
  msText,
  rateText,
  shareText,
} from '../../../agent/view/units.ts';

test('figures as people read them', () => {
  expect([0.241, 12.6, 1500, null].map(msText)).toEqual(['0.24 ms', '13 ms', '1.5 s', '–']);
  expect([0, 1023, 1536, 5 << 20].map(bytesText)).toEqual(['0 B', '1023 B', '1.5 KiB', '5 MiB']);
  expect([0, 999, 1_234_567].map(countText)).toEqual(['0', '999', '1\u202f234\u202f567']);
  expect([0.44, 12.4].map(rateText)).toEqual(['0.4', '12']);
  expect([150, 4200, 61_000, 7_500_000, 90_000_000].map(durationText)).toEqual([
    '0.15 s',
    '4.2 s',
    '1 min 1 s',
    '2 h 5 min',
    '1 d 1 h',
  ]);
  expect([0, 0.0004, 0.5, 0.99999, 1].map(shareText)).toEqual(['0 %', '< 0.1 %', '50 %', '> 99.9 %', '100 %']);
  expect([[], ['a'], ['a', 'b', 'c']].map(listText)).toEqual(['', 'a', 'a, b and c']);
});
