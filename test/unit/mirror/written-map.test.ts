import { expect, test } from 'vitest';
import { Prng } from '../../../agent/base/prng.ts';
import { WrittenMap } from '../../../agent/mirror/core/written-map.ts';

const MIB = 1 << 20;
const [BLOCK, CHUNK] = [4096, 65_536];
/** Three pages, the last of them short. */
const BYTES = 300 * MIB + 5000;

const blocksOf = (map: WrittenMap): number[] => {
  const blocks: number[] = [];
  for (let chunk = map.next(0); chunk !== -1; chunk = map.next(chunk + 1)) {
    for (let i = 0; i < 16; i++) if (((map.blocks(chunk) >>> i) & 1) === 1) blocks.push(chunk * 16 + i);
  }
  return blocks;
};

test('CR4: agrees with a set of blocks, whatever is marked, added and cleared in turn', () => {
  for (let seed = 1; seed <= 20; seed++) {
    const prng = new Prng(seed);
    const map = new WrittenMap(BYTES);
    const set = new Set<number>();
    for (let step = 0; step < 100; step++) {
      const offset = prng.below(299 * MIB);
      const length = 1 + prng.below(prng.below(9) === 0 ? MIB : 9000);
      const action = prng.below(20);
      if (action === 0) {
        map.clearAll();
        set.clear();
      } else if (action < 4) {
        const chunk = Math.floor(offset / CHUNK);
        map.clear(chunk);
        for (let i = 0; i < 16; i++) set.delete(chunk * 16 + i);
      } else {
        const into = action < 8 ? new WrittenMap(BYTES) : map;
        into.mark(offset, length);
        if (into !== map) map.add(into);
        for (let at = offset - (offset % BLOCK); at < offset + length; at += BLOCK) set.add(at / BLOCK);
      }
    }
    expect(blocksOf(map), `seed ${seed}`).toEqual([...set].sort((a, b) => a - b));
  }
});

test('[MI16] past its bound, and of a saved map, all blocks of what was written to are meant, and no other chunk', () => {
  const map = new WrittenMap(BYTES, undefined, 1);
  map.mark(0, 1);
  map.mark(290 * MIB, 1);
  expect([map.blocks(0), map.blocks(290 * 16), map.count]).toEqual([1, 0xffff, 2]);
  const other = new WrittenMap(BYTES);
  other.mark(290 * MIB, 1);
  other.add(map);
  expect(other.blocks(290 * 16)).toBe(0xffff);
  const saved = new WrittenMap(BYTES, map.save());
  saved.mark(CHUNK, 1);
  expect([saved.blocks(0), saved.blocks(1), saved.count]).toEqual([0xffff, 0xffff, 3]);
  saved.clearAll();
  saved.mark(CHUNK, 1);
  expect([saved.blocks(1), saved.count]).toEqual([1, 1]);
  map.clearAll();
  map.mark(290 * MIB, 1);
  expect(map.blocks(290 * 16)).toBe(1);
});

test('a trim of all of it takes no memory', () => {
  const map = new WrittenMap(BYTES, undefined, 1);
  map.mark(0, BYTES);
  expect([map.count, map.blocks(0)]).toEqual([4801, 0xffff]);
  map.clearAll();
  map.mark(0, 1);
  expect(map.blocks(0)).toBe(1);
});
