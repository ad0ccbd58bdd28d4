import { expect, test } from 'vitest';
import { kinship, type Lineage } from '../../../agent/mirror/core/generation.ts';

const point = (mark: number) => ({ mark, chain: BigInt(mark) });
const of = (generation: string, ...former: [string, number][]): Lineage => ({
  generation,
  ancestry: former.map(([name, mark]) => ({ generation: name, until: point(mark) })),
});

test('MI13: kinship of two histories', () => {
  expect(kinship(of('a'), of('a'))).toEqual({ kin: 'same' });
  expect(kinship(of('a'), of('b', ['a', 7]))).toEqual({ kin: 'overtaken', until: point(7) });
  expect(kinship(of('b', ['a', 7]), of('a'))).toEqual({ kin: 'successor', until: point(7) });
  expect(kinship(of('a'), of('c', ['b', 9], ['a', 7]))).toEqual({ kin: 'overtaken', until: point(7) });
  expect(kinship(of('a'), of('b'))).toEqual({ kin: 'none' });
  // Who began c had not got to where b began.
  expect(kinship(of('c', ['b', 5], ['a', 7]), of('a'))).toEqual({ kin: 'successor', until: point(5) });
});

test('MI13: two of one parent are split, by their nearest common one', () => {
  const ours = of('x', ['b', 9], ['a', 7]);
  expect(kinship(ours, of('y', ['b', 12], ['a', 7]))).toEqual({
    kin: 'split',
    parent: 'b',
    ours: point(9),
    theirs: point(12),
  });
  expect(kinship(ours, of('y', ['a', 5]))).toEqual({ kin: 'split', parent: 'a', ours: point(7), theirs: point(5) });
});
