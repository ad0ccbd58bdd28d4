import { expect, test } from 'vitest';
import { Prng } from '../../../agent/base/prng.ts';
import { CHUNK_BYTES, ChunkMap } from '../../../agent/mirror/core/chunk-map.ts';

const chunksOf = (map: ChunkMap): number[] => {
  const chunks: number[] = [];
  for (let chunk = map.next(0); chunk !== -1; chunk = map.next(chunk + 1)) chunks.push(chunk);
  return chunks;
};

test('CR4: a write marks each chunk that it touches, and no other', () => {
  const map = new ChunkMap(100 * CHUNK_BYTES);
  map.mark(CHUNK_BYTES - 1, 2);
  map.mark(31 * CHUNK_BYTES, CHUNK_BYTES);
  map.mark(99 * CHUNK_BYTES, CHUNK_BYTES);
  map.mark(50 * CHUNK_BYTES, 0);
  expect(chunksOf(map)).toEqual([0, 1, 31, 99]);
  expect(map.count).toBe(4);
});

test('the last chunk may be short', () => {
  const map = new ChunkMap(CHUNK_BYTES + 4096);
  map.mark(CHUNK_BYTES, 4096);
  expect(chunksOf(map)).toEqual([1]);
});

test('CR4: agrees with a set, and comes back from what was saved', () => {
  const prng = new Prng(7);
  const map = new ChunkMap(1000 * CHUNK_BYTES);
  const set = new Set<number>();
  for (let step = 0; step < 2000; step++) {
    const chunk = prng.below(1000);
    if (prng.chance(1, 3)) {
      map.clear(chunk);
      set.delete(chunk);
    } else {
      map.mark(chunk * CHUNK_BYTES + prng.below(CHUNK_BYTES), 1);
      set.add(chunk);
    }
  }
  const sorted = [...set].sort((a, b) => a - b);
  expect(chunksOf(map)).toEqual(sorted);
  expect(map.count).toBe(sorted.length);
  const again = new ChunkMap(1000 * CHUNK_BYTES, map.save());
  expect(chunksOf(again)).toEqual(sorted);
  expect(again.count).toBe(sorted.length);
});

test('one map takes the other’s chunks', () => {
  const [a, b] = [new ChunkMap(64 * CHUNK_BYTES), new ChunkMap(64 * CHUNK_BYTES)];
  a.mark(0, 1);
  b.mark(40 * CHUNK_BYTES, 1);
  a.add(b);
  expect(chunksOf(a)).toEqual([0, 40]);
  expect(b.count).toBe(1);
});
