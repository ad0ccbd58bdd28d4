import { expect, test } from 'vitest';
import { Prng } from '../../../agent/base/prng.ts';
import { MarkPrefix } from '../../../agent/mirror/core/prefix.ts';

test('CY2: the prefix goes as far as there is no hole', () => {
  const prefix = new MarkPrefix();
  expect(prefix.add(4, 6)).toBe(true);
  expect(prefix.upTo).toBe(0);
  expect(prefix.add(1, 2)).toBe(true);
  expect(prefix.upTo).toBe(2);
  expect(prefix.add(3, 3)).toBe(true);
  expect(prefix.upTo).toBe(6);
  expect(prefix.early).toEqual([]);
});

test('a transfer that comes twice is known', () => {
  const prefix = new MarkPrefix(10);
  expect(prefix.add(8, 10)).toBe(false);
  expect(prefix.add(20, 30)).toBe(true);
  expect(prefix.add(22, 25)).toBe(false);
  expect(prefix.add(25, 31)).toBe(true);
});

test('MI5: what lies beyond a mark is dropped', () => {
  const prefix = new MarkPrefix(10);
  prefix.add(20, 30);
  prefix.add(40, 50);
  prefix.cut(25);
  expect(prefix.early).toEqual([[20, 25]]);
  prefix.cut(5);
  expect(prefix.upTo).toBe(5);
  expect(prefix.early).toEqual([]);
});

test.each([1, 2, 3, 4, 5, 6, 7, 8])('runs in any order, with repeats, agree with a set of marks (seed %i)', (seed) => {
  const random = new Prng(seed);
  const prefix = new MarkPrefix();
  const marks = new Set<number>();
  const upTo = (): number => {
    let mark = 0;
    while (marks.has(mark + 1)) mark++;
    return mark;
  };
  for (let step = 0; step < 300; step++) {
    if (random.chance(1, 33)) {
      const cut = random.between(1, 60);
      prefix.cut(cut);
      for (const mark of marks) if (mark > cut) marks.delete(mark);
    }
    const first = random.between(1, 60);
    const last = first + random.between(0, 5);
    let isNew = false;
    for (let mark = first; mark <= last; mark++) {
      if (!marks.has(mark)) isNew = true;
      marks.add(mark);
    }
    expect(prefix.add(first, last)).toBe(isNew);
    expect(prefix.upTo).toBe(upTo());
    for (let mark = 1; mark <= 66; mark++) expect(prefix.has(mark)).toBe(marks.has(mark));
  }
});
