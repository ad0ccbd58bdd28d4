import { expect, test } from 'vitest';
import { Cover } from '../../../agent/mirror/core/cover.ts';

test('I21: whoever is away is waited for until it is durable elsewhere that it is outdated', () => {
  const cover = new Cover(false, 0);
  expect(cover.look(true, true, 5, 1)).toBeNull();
  expect(cover.isWaitedFor).toBe(true);
  // Away, and nobody wants anything: there is nothing to be said.
  expect(cover.look(false, false, 7, 2)).toBeNull();
  expect(cover.look(false, true, 7, 3)).toEqual({ do: 'mark', cut: 7 });
  expect(cover.isWaitedFor).toBe(true);
  // Once.
  expect(cover.look(false, true, 7, 4)).toBeNull();
  cover.marked();
  expect(cover.isWaitedFor).toBe(false);
});

test('I21: the mark is taken away when it is in sync again, and set anew when it leaves', () => {
  const cover = new Cover(false, 0);
  expect(cover.look(false, true, 7, 0)).toEqual({ do: 'mark', cut: 7 });
  cover.marked();
  expect(cover.isWaitedFor).toBe(false);
  expect(cover.look(false, true, 7, 1)).toBeNull();
  expect(cover.look(true, true, 9, 2)).toEqual({ do: 'clear' });
  // It leaves while that is being written: nobody is answered, and it is marked when that is done.
  expect(cover.look(false, true, 9, 3)).toBeNull();
  expect(cover.isWaitedFor).toBe(true);
  cover.cleared();
  expect(cover.look(false, true, 9, 4)).toEqual({ do: 'mark', cut: 9 });
});

test('I21: it comes back while it is being marked: the mark stands, and is taken away', () => {
  const cover = new Cover(false, 0);
  expect(cover.look(false, true, 7, 1)).toEqual({ do: 'mark', cut: 7 });
  expect(cover.look(true, true, 8, 2)).toBeNull();
  cover.marked();
  expect(cover.look(true, true, 8, 3)).toEqual({ do: 'clear' });
});

test('a start gives a target time to be met, and believes no device that it cannot read', () => {
  const fresh = new Cover(false, 1000);
  expect(fresh.look(false, true, 7, 999)).toBeNull();
  expect(fresh.look(false, true, 7, 1000)).toEqual({ do: 'mark', cut: 7 });
  const unknown = new Cover(null, 0);
  expect(unknown.isWaitedFor).toBe(true);
  expect(unknown.look(true, false, 7, 1)).toEqual({ do: 'clear' });
});

test('I21: a start believes a mark that it finds when nobody claims the role, at once and since when it was', () => {
  // It was written before the claims were read, by a run that answered nobody because of one.
  const found = new Cover(true, 1000);
  expect(found.isWaitedFor).toBe(true);
  expect(found.look(false, false, 7, 1)).toEqual({ do: 'mark', cut: Infinity });
  expect(found.isWaitedFor).toBe(true);
  expect(found.look(false, true, 7, 2)).toBeNull();
  found.marked();
  expect(found.isWaitedFor).toBe(false);
  expect(new Cover(true, 1000).look(true, true, 9, 1)).toEqual({ do: 'clear' });
});
