/** The tail of a ring: what the oldest place is that a target may begin at. */
import { expect, test } from 'vitest';
import { Tail } from '../../../../agent/mirror/source/tail.ts';
import { tailOf } from '../../../../agent/mirror/store/recovery.ts';
import { freshSuper } from '../store/journal-world.ts';

test('the oldest place is the tail itself, noted or not, and the noted ones behind it stay', () => {
  const superblock = freshSuper();
  const tail = new Tail(superblock, [tailOf(superblock)]);
  const place = (position: number, mark: number) => ({ position, mark, chain: 7n, time: 1n, cycle: 1 });
  tail.note(place(1024, 3));
  tail.note(place(4096, 9));
  tail.next({}, place(2048, 5));
  tail.written();
  expect(tail.oldest).toEqual(place(2048, 5));
  expect(tail.beforeMark(8)).toEqual(place(2048, 5));
  expect(tail.before(5000)).toEqual(place(4096, 9));
});
