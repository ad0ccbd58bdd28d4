import { expect, test } from 'vitest';
import { Prng } from '../../../agent/base/prng.ts';
import { redoOrder } from '../../../agent/mirror/core/redo.ts';

interface Write {
  readonly mark: number;
  readonly block: number;
  readonly value: number;
  readonly isImage: boolean;
  readonly position: number;
}

test.each([1, 2, 3, 4, 5])(
  'CY4 MI12: arrivals in any order, with images among them, give what the source had (seed %i)',
  (seed) => {
    const prng = new Prng(seed);
    const source = [0, 0, 0, 0];
    const states: number[][] = [source.slice()];
    const arrivals: Write[] = [];
    for (let mark = 1; mark <= 200; mark++) {
      const block = prng.below(4);
      source[block] = mark;
      arrivals.push({ mark, block, value: mark, isImage: false, position: 0 });
      states.push(source.slice());
    }
    // Images of all blocks, read between marks 100 and 120: with them nothing before 100 is needed.
    for (let block = 0; block < 4; block++) {
      const mark = prng.between(100, 120);
      arrivals.push({ mark, block, value: states[mark]?.[block] ?? 0, isImage: true, position: 0 });
    }
    const kept = arrivals
      .filter(({ mark, isImage }) => isImage || mark > 100)
      .map((arrival) => ({ arrival, key: prng.u32() }))
      .sort((a, b) => a.key - b.key)
      .map(({ arrival }, position) => ({ ...arrival, position }));
    for (const cut of [120, 150, 200]) {
      const target = [-1, -1, -1, -1];
      for (const write of redoOrder(kept, cut)) target[write.block] = write.value;
      expect(target).toEqual(states[cut]);
    }
  },
);
