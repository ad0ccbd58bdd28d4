import { beforeEach, describe, expect, test } from 'vitest';
import { Prng } from '../../../agent/base/prng.ts';
import { OutOfSync } from '../../../agent/mirror/core/out-of-sync.ts';
import { COMPARE_LEVEL } from '../../../agent/mirror/wire/compare.ts';

const MIB = 1 << 20;
const CHUNK = 65_536;
const SIZES = [{ bytes: 4 * MIB }, { bytes: MIB + 1 }];
const point = (mark: number) => ({ mark, chain: BigInt(mark * 3) });
let lacking: OutOfSync;
beforeEach(() => {
  lacking = new OutOfSync(SIZES, 10);
});

const regions = (of: OutOfSync): string[] => {
  const set = of.regions();
  return [0, 1].flatMap((volume) =>
    [0, 1, 2, 3].filter((region) => set.has(volume, region)).map((region) => `${volume}/${region}`),
  );
};

test('CR4: noted are the chunks that were written to, of each volume by itself', () => {
  lacking.note(0, 2 * MIB - 1, 2);
  lacking.note(1, MIB, 1);
  expect(regions(lacking)).toEqual(['0/1', '0/2', '1/1']);
  expect(lacking.bytes).toBe(3 * CHUNK);
  lacking.note(0, 2 * MIB, 100);
  expect(lacking.bytes).toBe(3 * CHUNK);
  lacking.note(0, 0, 4 * MIB);
  expect(lacking.bytes).toBe(65 * CHUNK);
});

test('CR4: compared are the blocks that were written to, and not all of their chunks', () => {
  lacking.note(0, 4096, 1);
  lacking.shows(10, 20);
  lacking.note(0, 3 * 4096, 5000);
  expect(lacking.regions().takeParts(1, 1).parts).toEqual([
    { volume: 0, level: COMPARE_LEVEL.blocks, first: 1, count: 1 },
    { volume: 0, level: COMPARE_LEVEL.blocks, first: 3, count: 2 },
  ]);
  expect(lacking.bytes).toBe(CHUNK);
});

describe('MI11: a target is covered at a cut that it was told of, and at no other', () => {
  test('mark and chain must be equal', () => {
    expect(lacking.covers(point(10))).toBe(false);
    lacking.mayShow(point(12));
    expect(lacking.covers(point(12))).toBe(true);
    expect(lacking.covers(point(11))).toBe(false);
    expect(lacking.covers({ mark: 12, chain: 1n })).toBe(false);
  });

  test('what was written before the first mark is in no map: an older cut is not covered', () => {
    lacking.mayShow(point(9));
    expect(lacking.covers(point(9))).toBe(false);
  });

  test('an older cut than the one shown is no longer', () => {
    lacking.mayShow(point(12));
    lacking.mayShow(point(14));
    lacking.shows(14, 20);
    expect([lacking.covers(point(12)), lacking.covers(point(14))]).toEqual([false, true]);
  });
});

test('I7: a bit that a later write set outlives the cut that holds the former', () => {
  lacking.note(0, 0, 1);
  lacking.note(0, MIB, 1);
  lacking.shows(15, 30);
  // Marks 16 to 30 are not in that cut.
  lacking.note(0, 0, 1);
  lacking.shows(20, 40);
  expect(regions(lacking)).toEqual(['0/0', '0/1']);
  lacking.shows(35, 50);
  expect(regions(lacking)).toEqual(['0/0']);
  lacking.shows(60, 60);
  expect(regions(lacking)).toEqual([]);
});

test('a saved one covers what it covered, and goes on', () => {
  lacking.mayShow(point(12));
  lacking.note(0, 0, 1);
  const saved = new OutOfSync(SIZES, 40, lacking.save());
  expect([saved.covers(point(12)), regions(saved)]).toEqual([true, ['0/0']]);
  saved.note(1, 0, 1);
  expect(regions(saved)).toEqual(['0/0', '1/0']);
  saved.shows(40, 45);
  expect(regions(saved)).toEqual(['1/0']);
});

test('I7: whatever happens, all writes behind a covered cut are noted', () => {
  for (let seed = 1; seed <= 200; seed++) {
    const prng = new Prng(seed);
    let map = new OutOfSync(SIZES, 0);
    const writes: { mark: number; chunk: number }[] = [];
    let [mark, committed, shown] = [0, 0, 0];
    for (let step = 0; step < 120; step++) {
      const action = prng.below(10);
      if (action < 6) {
        mark++;
        const chunk = prng.below(64);
        writes.push({ mark, chunk });
        map.note(0, chunk * CHUNK + prng.below(CHUNK), 1);
      } else if (action < 8) {
        committed = mark;
        map.mayShow(point(committed));
      } else if (action < 9 && committed > shown) {
        shown = committed;
        map.shows(shown, mark);
      } else if (prng.below(4) === 0) map = new OutOfSync(SIZES, mark, map.save());
      const set = map.regions();
      for (let cut = 0; cut <= mark; cut++) {
        if (!map.covers(point(cut))) continue;
        const lost = writes.filter((write) => write.mark > cut && !set.has(0, write.chunk >> 4));
        expect(lost, `seed ${seed}, step ${step}, cut ${cut}`).toEqual([]);
      }
    }
    expect(map.covers(point(committed)) || committed === 0, `seed ${seed}`).toBe(true);
  }
});
