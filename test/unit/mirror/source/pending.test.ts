import { describe, expect, test } from 'vitest';
import { PendingIndex, type Pending } from '../../../../agent/mirror/source/pending.ts';
import { pieceOf } from '../../../../agent/mirror/source/piece.ts';
import { Prng } from '../../../../agent/base/prng.ts';

const KIB = 1024;
const VOLUME_BYTES = 400 * KIB;
const seeds = Array.from({ length: 30 }, (_, i) => i + 1);

/** Content as the number of the change that made each byte. */
function lay(content: Uint16Array, offset: number, changes: readonly Pending[]): void {
  for (const change of changes) {
    const from = Math.max(change.offset - offset, 0);
    const to = Math.min(change.offset + change.length - offset, content.length);
    content.fill(change.position / 128, from, to);
  }
}

describe('pending', () => {
  test('whatever a volume shows of them, laid over it they give the newest state', () => {
    for (const seed of seeds) {
      const random = new Prng(seed);
      const index = new PendingIndex();
      const all: Pending[] = [];
      const newest = new Uint16Array(VOLUME_BYTES);
      const flushed = new Uint16Array(VOLUME_BYTES);
      let gone = 0;
      for (let i = 1; i <= 400; i++) {
        // Short ones on the same chunks again and again, and some over several.
        const length = random.pick([512, 4096, 4096, 1 + random.below(150 * KIB)]);
        const offset = random.below(VOLUME_BYTES - length);
        const change = { volume: 0, offset, length, position: i * 128, end: (i + 1) * 128, isZero: false };
        index.add(change);
        index.add({ ...change, volume: 1 });
        all.push(change);
        lay(newest, 0, [change]);
        if (random.below(60) === 0) {
          const upTo = gone + random.below(all.length - gone + 1);
          lay(flushed, 0, all.slice(gone, upTo));
          gone = upTo;
          index.dropBefore((gone + 1) * 128);
          expect(index.length).toBe(2 * (all.length - gone));
        }
        if (i % 5 !== 0) continue;
        // The volume shows some of them, in their order.
        const shown = flushed.slice();
        lay(shown, 0, all.slice(gone, gone + random.below(all.length - gone + 1)));
        const at = random.below(VOLUME_BYTES - 1);
        const read = shown.slice(at, at + 1 + random.below(VOLUME_BYTES - at - 1));
        lay(read, at, index.overlaps(0, at, read.length));
        expect(Buffer.compare(bytesOf(read), bytesOf(newest.slice(at, at + read.length)))).toBe(0);
      }
    }
  });

  test('one that is very long is found from anywhere in it, in its order, and goes like the others', () => {
    const index = new PendingIndex();
    const add = (position: number, offset: number, length: number) =>
      index.add({ volume: 3, offset, length, position, end: position + 128, isZero: true });
    add(0, 2 ** 30, 4096);
    add(128, 0, 2 ** 40);
    add(256, 2 ** 30, 4096);
    expect(index.overlaps(3, 2 ** 30, 512).map(({ position }) => position)).toEqual([0, 128, 256]);
    expect(index.overlaps(3, 2 ** 39, 512).map(({ position }) => position)).toEqual([128]);
    expect(index.overlaps(2, 2 ** 39, 512)).toEqual([]);
    index.dropBefore(256);
    expect(index.overlaps(3, 2 ** 30, 512).map(({ position }) => position)).toEqual([256]);
    expect(index.overlaps(3, 2 ** 39, 512)).toEqual([]);
  });

  test('a chunk that is written over and over keeps few of them', () => {
    const index = new PendingIndex();
    for (let i = 0; i < 10_000; i++) {
      index.add({
        volume: 0,
        offset: (i % 4) * 4096,
        length: 4096,
        position: i * 128,
        end: i * 128 + 128,
        isZero: false,
      });
    }
    expect(index.overlaps(0, 0, 64 * KIB).length).toBeLessThan(30);
    expect(index.overlaps(0, 0, 4096).at(-1)?.position).toBe(9996 * 128);
  });
});

const bytesOf = (numbers: Uint16Array): Buffer => Buffer.from(numbers.buffer, numbers.byteOffset, numbers.byteLength);

describe('a piece of a payload', () => {
  test('is the same as a cut of the whole, wherever the chunks end', () => {
    const random = new Prng(1);
    const whole = new Uint8Array(200);
    random.fill(whole);
    for (let i = 0; i < 300; i++) {
      const cuts = [0, ...[random.below(201), random.below(201)].sort((a, b) => a - b), 200];
      const chunks = cuts.slice(1).map((cut, j) => whole.subarray(cuts[j], cut));
      const from = random.below(200);
      const length = random.below(201 - from);
      expect(Buffer.concat(pieceOf(chunks, from, length))).toEqual(Buffer.from(whole.subarray(from, from + length)));
    }
  });
});
