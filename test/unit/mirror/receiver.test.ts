import { beforeEach, describe, expect, test } from 'vitest';
import { Prng } from '../../../agent/base/prng.ts';
import { type Arrival, Receiver } from '../../../agent/mirror/core/receiver.ts';

/** A chain that a test can reckon: each entry adds its mark, in base 3. */
const chainOf = ({ mark }: { mark: number }, previous: bigint): bigint => (previous * 3n + BigInt(mark)) % 1_000_003n;

/** Marks 1 to 60; each tenth is a seal. */
const ENTRIES: Arrival[] = [];
let previous = 0n;
for (let mark = 1; mark <= 60; mark++) {
  previous = chainOf({ mark }, previous);
  const cycle = Math.ceil(mark / 10);
  ENTRIES.push({ isImage: false, mark, cycle, isSeal: mark % 10 === 0, chain: previous, position: 0, end: 0 });
}
const entry = (mark: number): Arrival => ENTRIES[mark - 1] as Arrival;

let receiver: Receiver;
let end: number;

/** Puts it where the journal goes on, when it is wanted. */
function arrive(session: number, mark: number): boolean {
  if (!receiver.wants(session, mark)) return false;
  receiver.placed({ ...entry(mark), position: end, end: end + 64 });
  end += 64;
  return true;
}

beforeEach(() => {
  receiver = new Receiver({ session: 4, cut: { mark: 0, chain: 0n }, committed: 0 }, chainOf);
  end = 0;
  receiver.begin(5, 0);
});

test('CY2: entries in any order; stored is what is there without a hole, and durable', () => {
  for (const mark of [3, 1, 2]) arrive(5, mark);
  expect(receiver.flushed(128)).toEqual([{ do: 'stored', received: 3, durable: 1 }]);
  expect(receiver.flushed(192)).toEqual([{ do: 'stored', received: 3, durable: 3 }]);
});

test('CY2: a cycle is sealed when all of it is durable, and applied in order and only when it is committed', () => {
  for (let mark = 10; mark >= 2; mark--) arrive(5, mark);
  expect(receiver.flushed(end)).toEqual([{ do: 'stored', received: 0, durable: 0 }]);
  expect(receiver.commit(5, 1)).toBeNull();
  arrive(5, 1);
  expect(receiver.flushed(end)).toContainEqual({ do: 'sealed', cycle: 1 });
  expect(() => receiver.applied(10)).toThrow('not committed');
  expect(receiver.commit(5, 1)).toBe(10);
  expect(receiver.toApply(10).map(({ mark }) => mark)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
  receiver.applied(10);
  expect(receiver.cut).toEqual({ mark: 10, chain: entry(10).chain });
  expect(receiver.toApply(10)).toEqual([]);
});

test('a cycle that is not sealed here is not committed, whoever says so', () => {
  for (let mark = 1; mark <= 15; mark++) arrive(5, mark);
  receiver.flushed(end);
  expect(receiver.commit(5, 2)).toBe(10);
  expect(receiver.commit(5, 2)).toBeNull();
});

test('a repeated, late or foreign entry changes nothing', () => {
  expect(arrive(5, 1)).toBe(true);
  expect(arrive(5, 1)).toBe(false);
  expect(arrive(4, 2)).toBe(false);
  receiver.lost();
  expect(arrive(5, 2)).toBe(false);
  expect(receiver.begin(5, 0)).toBe(false);
});

describe('CY4', () => {
  test('a lost link drops nothing; the next session drops what is not synchronised', () => {
    for (const mark of [1, 2, 3, 7, 8]) arrive(5, mark);
    receiver.flushed(end);
    receiver.lost();
    expect(receiver.toApply(60).map(({ mark }) => mark)).toEqual([1, 2, 3, 7, 8]);
    expect(receiver.prefix).toEqual({ mark: 3, chain: entry(3).chain });
    receiver.begin(6, 3);
    expect(receiver.toApply(60).map(({ mark }) => mark)).toEqual([1, 2, 3]);
    expect(arrive(6, 7)).toBe(true);
  });

  test('MI3: cut back to the source’s last durable mark, seals behind it too', () => {
    for (let mark = 1; mark <= 25; mark++) arrive(5, mark);
    receiver.flushed(end);
    receiver.begin(6, 14);
    expect(receiver.prefix).toEqual({ mark: 14, chain: entry(14).chain });
    expect(receiver.commit(6, 2)).toBe(10);
  });
});

test('an entry whose chain does not follow trips the session', () => {
  arrive(5, 1);
  receiver.placed({ ...entry(2), chain: 6n, position: end, end: end + 64 });
  expect(receiver.flushed(end + 64)).toContainEqual({ do: 'trip', reason: expect.stringContaining('mark 2') });
  expect(receiver.prefix.mark).toBe(1);
  expect(arrive(5, 3)).toBe(false);
});

test('MI12: images sort behind the entry of their mark, and the cut jumps over what was not sent', () => {
  receiver.begin(6, 20);
  arrive(6, 1);
  receiver.rebase({ mark: 20, chain: entry(20).chain });
  expect(receiver.toApply(20)).toEqual([]);
  end = 64;
  receiver.placedImage({ isImage: true, mark: 23, position: end, end: end + 64 });
  end += 64;
  for (let mark = 21; mark <= 30; mark++) arrive(6, mark);
  receiver.placedImage({ isImage: true, mark: 20, position: end, end: end + 64 });
  receiver.flushed(end);
  expect(receiver.images).toEqual({ here: 2, durable: 1 });
  receiver.flushed(end + 64);
  expect(receiver.images).toEqual({ here: 2, durable: 2 });
  expect(receiver.commit(6, 3)).toBe(30);
  const order = receiver.toApply(30).map((item) => (item.isImage ? `image ${item.mark}` : item.mark));
  expect(order).toEqual(['image 20', 21, 22, 23, 'image 23', 24, 25, 26, 27, 28, 29, 30]);
  receiver.applied(30);
  expect(receiver.cut).toEqual({ mark: 30, chain: entry(30).chain });
});

test.each([1, 2, 3, 4])('a restart finds what was durable, in any order (seed %i)', (seed) => {
  const prng = new Prng(seed);
  const found = ENTRIES.slice(10, 35)
    .map((arrival) => ({ arrival, key: prng.u32() }))
    .sort((a, b) => a.key - b.key)
    .map(({ arrival }) => arrival);
  const again = new Receiver({ session: 9, cut: { mark: 10, chain: entry(10).chain }, committed: 20 }, chainOf, found);
  expect(again.prefix).toEqual({ mark: 35, chain: entry(35).chain });
  expect(again.committed).toBe(20);
  again.begin(10, 35);
  again.commit(10, 1);
  expect(again.committed).toBe(20);
  expect(again.chainAt(30)).toBe(entry(30).chain);
  expect(again.chainAt(36)).toBeNull();
});
