import { expect, test } from 'vitest';
import { Prng } from '../../../agent/base/prng.ts';
import { Overlay, OverlayRoom } from '../../../agent/history/serve/overlay.ts';

const BLOCK = 4096;
/** The last block is cut short. */
const SIZE = 16 * BLOCK + 1000;

function over(bytes: number, room = new OverlayRoom(bytes)) {
  const below = new Uint8Array(SIZE);
  new Prng(1).fill(below);
  const under = (offset: number, into: Uint8Array): void => {
    if (offset + into.length > SIZE) throw new Error('read beyond the end');
    into.set(below.subarray(offset, offset + into.length));
  };
  const overlay = new Overlay(SIZE, under, room);
  const content = (): Uint8Array => {
    const all = new Uint8Array(SIZE);
    overlay.read(0, all);
    return all;
  };
  return { overlay, below, content };
}

test('[OS8] writes and zeroes of any alignment, in any order, read as on a plain volume; what is below stays', () => {
  const { overlay, below, content } = over(17 * BLOCK);
  const [model, before] = [below.slice(), below.slice()];
  const random = new Prng(2);
  for (let i = 0; i < 3000; i++) {
    const offset = random.below(SIZE);
    const length = 1 + random.below(Math.min(3 * BLOCK, SIZE - offset));
    const part = new Uint8Array(length);
    const cut = random.below(length + 1);
    if (random.below(3) === 0) expect(overlay.zero(offset, length)).toBe(true);
    else {
      random.fill(part);
      expect(overlay.write(offset, [part.subarray(0, cut), part.subarray(cut)])).toBe(true);
    }
    model.set(part, offset);
    const [from, count] = [random.below(SIZE), 1 + random.below(2 * BLOCK)];
    const read = new Uint8Array(Math.min(count, SIZE - from));
    overlay.read(from, read);
    expect(Buffer.compare(read, model.subarray(from, from + read.length))).toBe(0);
  }
  expect(Buffer.compare(content(), model)).toBe(0);
  expect(below).toEqual(before);
});

test('[OS8] a write that would go beyond the bound changes nothing; what is there already can be written again', () => {
  const room = new OverlayRoom(3 * BLOCK);
  const [one, other] = [over(0, room), over(0, room)];
  expect(one.overlay.write(BLOCK - 1, [new Uint8Array(2).fill(7)])).toBe(true);
  const before = one.content();
  expect(one.overlay.write(0, [new Uint8Array(4 * BLOCK).fill(9)])).toBe(false);
  expect(one.overlay.zero(0, SIZE)).toBe(false);
  expect(one.content()).toEqual(before);
  // The room is that of both.
  expect(other.overlay.zero(2 * BLOCK, BLOCK)).toBe(true);
  expect(other.overlay.zero(3 * BLOCK, 1)).toBe(false);
  expect(one.overlay.write(0, [new Uint8Array(2 * BLOCK).fill(3)])).toBe(true);
  expect(
    one
      .content()
      .subarray(0, 2 * BLOCK)
      .every((byte) => byte === 3),
  ).toBe(true);
});
