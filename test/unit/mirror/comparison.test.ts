import { expect, test } from 'vitest';
import { Prng } from '../../../agent/base/prng.ts';
import { Comparison } from '../../../agent/mirror/core/comparison.ts';
import { COMPARE_LEVEL, levelBytes, type CompareRun } from '../../../agent/mirror/wire/compare.ts';
import { BLOCK_BYTES, REGION_BYTES } from '../../../agent/mirror/wire/layout.ts';

const PER_REGION = REGION_BYTES / BLOCK_BYTES;
/** A volume is its blocks' contents. */
type Volume = string[];

const sizesOf = (volume: Volume) => [{ bytes: volume.length * BLOCK_BYTES }];
const digestsOf = (volume: Volume, { level, first, count }: CompareRun): string[] => {
  const blocks = levelBytes(level) / BLOCK_BYTES;
  return Array.from({ length: count }, (_, i) => volume.slice((first + i) * blocks, (first + i + 1) * blocks).join());
};
const regions = (first: number, count: number, isLast = true): CompareRun => ({
  volume: 0,
  level: COMPARE_LEVEL.regions,
  isLast,
  first,
  count,
});
const blocksOf = ({ first, count }: CompareRun): number[] => Array.from({ length: count }, (_, i) => first + i);

interface Outcome {
  readonly asked: number[];
  readonly runs: CompareRun[];
  readonly comparison: Comparison;
}

/** Runs a pass over all of it to its end, with words in any order. */
function compare(source: Volume, target: Volume, prng: Prng, comparison = new Comparison(sizesOf(source))): Outcome {
  const count = Math.ceil(source.length / PER_REGION);
  const asked: number[] = [];
  const runs: CompareRun[] = [];
  const pending: (() => CompareRun[])[] = [];
  const tell = (run: CompareRun): void => {
    pending.push(() => comparison.theirs(run, digestsOf(source, run)));
    pending.push(() => comparison.ours(run, digestsOf(target, run)));
  };
  for (let first = 0; first < count; first += 3) {
    const run = regions(first, Math.min(3, count - first), first + 3 >= count);
    comparison.begin(run);
    tell(run);
  }
  while (pending.length > 0) {
    const [word] = pending.splice(prng.below(pending.length), 1);
    for (const run of word?.() ?? []) {
      runs.push(run);
      if (run.level !== COMPARE_LEVEL.images) {
        tell(run);
        continue;
      }
      asked.push(...blocksOf(run));
      for (const block of blocksOf(run)) {
        expect(comparison.isDone).toBe(false);
        comparison.arrived({ volume: 0, block });
      }
    }
  }
  return { asked: asked.sort((a, b) => a - b), runs, comparison };
}

const volumeOf = (blocks: number): Volume => Array.from({ length: blocks }, (_, block) => `b${block}`);
const withChanged = (volume: Volume, blocks: Iterable<number>): Volume => {
  const other = volume.slice();
  for (const block of blocks) other[block] = 'other';
  return other;
};

test('CR2: exactly the blocks that differ are asked for, whatever the order of words', () => {
  for (let seed = 1; seed <= 20; seed++) {
    const prng = new Prng(seed);
    // The last region is short.
    const source = volumeOf(9 * PER_REGION + 17);
    const changed = new Set([source.length - 1]);
    for (let i = 0; i < 40; i++) changed.add(prng.below(source.length));
    const { asked, comparison } = compare(source, withChanged(source, changed), prng);
    expect(asked).toEqual([...changed].sort((a, b) => a - b));
    expect(comparison.isDone).toBe(true);
    expect(comparison.differing).toBe(changed.size);
    expect(comparison.compared).toBe(10);
  }
});

test('CR2: equal volumes cost one digest a region', () => {
  const volume = volumeOf(4 * PER_REGION);
  const { runs, comparison } = compare(volume, volume.slice(), new Prng(1));
  expect(runs).toEqual([]);
  expect([comparison.isDone, comparison.compared]).toEqual([true, 4]);
});

test('CR2: of what differs the parts are asked for level by level, neighbours as one run, images by the region', () => {
  const source = volumeOf(3 * PER_REGION);
  const { runs } = compare(source, withChanged(source, [PER_REGION - 1, PER_REGION, PER_REGION + 70]), new Prng(1));
  const asked = runs.map(({ level, first, count }) => `${level} ${first}+${count}`);
  expect(asked.sort()).toEqual(['2 0+32', '3 60+8', '3 80+4', '4 252+8', '4 324+4', '5 255+1', '5 256+1', '5 326+1']);
});

test('a region is dealt with when nothing of it is open any more', () => {
  const source = volumeOf(2 * PER_REGION);
  const target = withChanged(source, [0, PER_REGION]);
  const comparison = new Comparison(sizesOf(source));
  const both = (run: CompareRun): CompareRun[] => {
    comparison.theirs(run, digestsOf(source, run));
    return comparison.ours(run, digestsOf(target, run));
  };
  comparison.begin(regions(0, 2));
  const chunks = both(regions(0, 2));
  const quarters = chunks.flatMap(both);
  const [first, second, ...more] = quarters.flatMap(both) as [CompareRun, CompareRun];
  expect([chunks.length, quarters.length, more.length, comparison.compared]).toEqual([1, 2, 0, 0]);
  both(second);
  expect(comparison.compared).toBe(1);
  both(first);
  expect([comparison.compared, comparison.isDone]).toEqual([2, false]);
});

test('CR3: a scrub names what differs, and waits for nothing', () => {
  const source = volumeOf(3);
  const comparison = new Comparison(sizesOf(source), 'report');
  let isTold = false;
  comparison.begin(regions(0, 1));
  let runs = [regions(0, 1)];
  while (!isTold) {
    runs = runs.flatMap((run) => [
      ...comparison.theirs(run, digestsOf(source, run)),
      ...comparison.ours(run, digestsOf(withChanged(source, [0, 2]), run)),
    ]);
    isTold = runs.every(({ level }) => level === COMPARE_LEVEL.images);
  }
  expect(runs.flatMap(blocksOf)).toEqual([0, 2]);
  expect([comparison.isDone, comparison.differing]).toEqual([true, 2]);
});

test('MI12: staged, a block that came once is asked for again, though the own volume is as the source again', () => {
  const own = volumeOf(2 * PER_REGION);
  const comparison = new Comparison(sizesOf(own), 'staged');
  expect(compare(withChanged(own, [300]), own, new Prng(1), comparison).asked).toEqual([300]);
  // The client wrote the old content again, behind a hole in the ring.
  expect(compare(withChanged(own, [302]), own, new Prng(2), comparison).asked).toEqual([300, 302]);
  expect(compare(own, own, new Prng(3), comparison).asked).toEqual([300, 302]);
  expect([comparison.isDone, comparison.compared]).toEqual([true, 6]);
  const inPlace = new Comparison(sizesOf(own));
  compare(withChanged(own, [300]), own, new Prng(1), inPlace);
  expect(compare(own, own, new Prng(2), inPlace).asked).toEqual([]);
});

test('words about what nobody compares, or about fewer than were asked for, are passed over', () => {
  const comparison = new Comparison(sizesOf(volumeOf(4 * PER_REGION)));
  expect(comparison.ours(regions(3, 1), ['x'])).toEqual([]);
  expect(comparison.theirs(regions(3, 1), ['x'])).toEqual([]);
  expect(comparison.isDone).toBe(false);
  comparison.begin(regions(0, 2));
  comparison.ours(regions(0, 2), ['x', 'y']);
  expect(comparison.theirs(regions(0, 1), ['x'])).toEqual([]);
  expect([comparison.isDone, comparison.compared]).toEqual([false, 0]);
  comparison.theirs(regions(0, 2), ['x', 'y']);
  expect([comparison.isDone, comparison.compared]).toEqual([true, 2]);
  comparison.begin(regions(0, 0, false));
  expect(comparison.isDone).toBe(false);
  comparison.begin(regions(0, 0));
  expect(comparison.isDone).toBe(true);
});
