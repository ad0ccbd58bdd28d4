import { expect, test } from 'vitest';
import { Prng } from '../../../agent/base/prng.ts';
import { RegionSet } from '../../../agent/mirror/core/region-set.ts';
import { levelBytes } from '../../../agent/mirror/wire/compare.ts';

const MIB = 1 << 20;
const BLOCK = 4096;
const SIZES = [{ bytes: 40 * MIB + 5 }, { bytes: 0 }, { bytes: 100 }];

test('runs come out in order, none longer than asked for, each region once', () => {
  const set = RegionSet.all(SIZES);
  expect(set.count).toBe(42);
  const runs = [set.take(30), set.take(30), set.take(30), set.take(30)];
  expect(runs).toEqual([
    { volume: 0, first: 0, count: 30 },
    { volume: 0, first: 30, count: 11 },
    { volume: 2, first: 0, count: 1 },
    null,
  ]);
});

test('whatever is marked, added and taken in turn, nothing is lost and nothing comes twice', () => {
  for (let seed = 1; seed <= 50; seed++) {
    const prng = new Prng(seed);
    const set = new RegionSet(SIZES);
    const wanted = new Set<number>();
    for (let step = 0; step < 100; step++) {
      const action = prng.below(4);
      const offset = prng.below(40 * MIB);
      if (action === 0) set.mark(0, offset, 1);
      else if (action === 1) {
        const other = new RegionSet(SIZES);
        other.mark(0, offset, 1);
        set.add(other);
      }
      if (action < 2) wanted.add(Math.floor(offset / MIB));
      const { first, count } = (action === 2 ? set.take(1 + prng.below(4)) : null) ?? { first: 0, count: 0 };
      for (let i = 0; i < count; i++) expect(wanted.delete(first + i), `seed ${seed}`).toBe(true);
      expect(set.count).toBe(wanted.size);
    }
    for (let run = set.take(9); run; run = set.take(9)) {
      for (let i = 0; i < run.count; i++) expect(wanted.delete(run.first + i), `seed ${seed}`).toBe(true);
    }
    expect(wanted.size).toBe(0);
  }
});

test('[CR4] parts cover every byte that was marked, once, and no other block but where nothing finer is known', () => {
  for (let seed = 1; seed <= 50; seed++) {
    const prng = new Prng(seed);
    const set = new RegionSet(SIZES, true);
    const wanted = new Set<number>();
    const want = (offset: number, end: number) => {
      for (let at = offset - (offset % BLOCK); at < Math.min(end, 40 * MIB + 5); at += BLOCK) wanted.add(at / BLOCK);
    };
    for (let step = 0; step < 60; step++) {
      const offset = prng.below(40 * MIB);
      const length = 1 + prng.below(prng.below(5) === 0 ? 3 * MIB : 9000);
      const into = prng.below(3) === 0 ? new RegionSet(SIZES, true) : set;
      into.mark(0, offset, length);
      if (into !== set) set.add(into);
      want(offset, offset + length);
    }
    const coarse = new RegionSet(SIZES);
    coarse.mark(0, 7 * MIB + 1, 1);
    if (seed % 2 === 0) set.add(coarse);
    if (seed % 2 === 0) want(7 * MIB, 8 * MIB);
    for (let taken = set.takeParts(5, 700); taken.regions > 0; taken = set.takeParts(5, 700)) {
      expect(taken.regions).toBeLessThanOrEqual(5);
      for (const { level, first, count } of taken.parts) {
        const size = levelBytes(level);
        const end = Math.min((first + count) * size, 40 * MIB + 5);
        for (let at = first * size; at < end; at += BLOCK) expect(wanted.delete(at / BLOCK), `seed ${seed}`).toBe(true);
      }
    }
    expect([wanted.size, set.count]).toEqual([0, 0]);
  }
});
