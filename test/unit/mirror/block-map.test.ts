import { expect, test } from 'vitest';
import { Prng } from '../../../agent/base/prng.ts';
import { BLOCK, BlockMap, type ChangedBlock } from '../../../agent/mirror/core/block-map.ts';
import { BLOCK_BYTES } from '../../../agent/mirror/wire/layout.ts';

const K = BLOCK_BYTES;
const byBlock = (map: BlockMap): ChangedBlock[] => map.list();

test('[RF2] a block that a write covers is known by its entry and the block of it', () => {
  const map = new BlockMap();
  map.write(3, 8 * K, 2 * K, 77);
  expect(byBlock(map)).toEqual([
    { volume: 3, block: 8, kind: BLOCK.reference, mark: 77, within: 0 },
    { volume: 3, block: 9, kind: BLOCK.reference, mark: 77, within: 1 },
  ]);
});

test('[RF3] a block that was written in part goes as data, whatever covered it before', () => {
  const map = new BlockMap();
  map.write(0, 0, K, 1);
  map.write(0, 100, 10, 2);
  expect(byBlock(map).map(({ kind }) => kind)).toEqual([BLOCK.partial]);
  expect(map.partialCount).toBe(1);
  map.write(0, 0, K, 3);
  expect(byBlock(map)).toEqual([{ volume: 0, block: 0, kind: BLOCK.reference, mark: 3, within: 0 }]);
  expect(map.partialCount).toBe(0);
});

test('[RF3] a write that covers a block but does not begin with one cannot be referred to', () => {
  const map = new BlockMap();
  map.write(0, 512, 3 * K, 1);
  expect(byBlock(map).map(({ block, kind }) => [block, kind])).toEqual([
    [0, BLOCK.partial],
    [1, BLOCK.partial],
    [2, BLOCK.partial],
    [3, BLOCK.partial],
  ]);
});

test('zeroes over whole blocks are zero blocks, at their edges data', () => {
  const map = new BlockMap();
  map.zero(0, K - 1, K + 1);
  expect(byBlock(map).map(({ block, kind }) => [block, kind])).toEqual([
    [0, BLOCK.partial],
    [1, BLOCK.zero],
  ]);
});

test('[MI7] a block that is wanted is data, and the others are as they were', () => {
  const map = new BlockMap();
  map.write(0, 0, 2 * K, 1);
  map.data(0, 1);
  map.data(2, 9);
  expect(byBlock(map).map(({ volume, block, kind }) => [volume, block, kind])).toEqual([
    [0, 0, BLOCK.reference],
    [0, 1, BLOCK.partial],
    [2, 9, BLOCK.partial],
  ]);
});

test('[MI16] past its bounds it is empty, says so, and stays so', () => {
  const limits = { blocks: 10, partial: 3 };
  const few = new BlockMap(limits);
  few.write(0, 0, 10 * K, 1);
  expect(few.isOver).toBe(false);
  few.write(0, 10 * K, K, 2);
  expect([few.isOver, few.count]).toEqual([true, 0]);
  few.write(0, 0, K, 3);
  expect(few.list()).toEqual([]);
  const partly = new BlockMap(limits);
  for (let i = 0; i < 4; i++) partly.write(0, i * K + 1, 1, i + 1);
  expect(partly.isOver).toBe(true);
  const wide = new BlockMap(limits);
  wide.zero(0, 0, 2 ** 44);
  expect(wide.isOver).toBe(true);
});

test('[RF4] many blocks in several volumes agree with a map of the newest writer', () => {
  const prng = new Prng(11);
  const map = new BlockMap();
  const newest = new Map<string, string>();
  for (let mark = 1; mark <= 20_000; mark++) {
    const [volume, block, count] = [prng.below(64), prng.below(2 ** 28), prng.between(1, 3)];
    map.write(volume, block * K, count * K, mark);
    for (let i = 0; i < count; i++) newest.set(`${volume}/${block + i}`, `${mark}/${i}`);
  }
  expect(map.count).toBe(newest.size);
  for (const { volume, block, mark, within } of map.list()) {
    expect(newest.get(`${volume}/${block}`)).toBe(`${mark}/${within}`);
  }
});
