import { describe, expect, test } from 'vitest';
import { BLOCK_BYTES, ContentChecker, ContentSource } from '../../../agent/demo/stream-content.ts';

function stream(blocks: number, seed = 1): Buffer {
  const source = new ContentSource(seed);
  return Buffer.concat(Array.from({ length: blocks }, () => source.next()));
}

function checked(content: Buffer, pieceBytes: number, seed = 1): ContentChecker {
  const checker = new ContentChecker(seed);
  for (let at = 0; at < content.length; at += pieceBytes) checker.take(content.subarray(at, at + pieceBytes));
  return checker;
}

describe('the content of a TCP stream', () => {
  for (const pieceBytes of [1000, BLOCK_BYTES - 1, BLOCK_BYTES, 3 * BLOCK_BYTES]) {
    test(`is right however it is cut: pieces of ${pieceBytes}`, () => {
      const checker = checked(stream(4), pieceBytes);
      expect([checker.bytes, checker.corrupted]).toEqual([4 * BLOCK_BYTES, 0]);
    });
  }

  test('one altered byte counts as one', () => {
    const content = stream(3);
    content[BLOCK_BYTES + 77] = (content[BLOCK_BYTES + 77] ?? 0) ^ 0x80;
    expect(checked(content, 5000).corrupted).toBe(1);
  });

  test('a block that is missing or repeated is found, although the filling is the same', () => {
    const content = stream(3);
    const without = Buffer.concat([content.subarray(0, BLOCK_BYTES), content.subarray(2 * BLOCK_BYTES)]);
    const twice = Buffer.concat([content.subarray(0, BLOCK_BYTES), content]);
    expect(checked(without, 5000).corrupted).toBeGreaterThan(0);
    expect(checked(twice, 5000).corrupted).toBeGreaterThan(0);
  });

  test('another seed is another content', () => {
    expect(checked(stream(1, 1), 5000, 2).corrupted).toBeGreaterThan(BLOCK_BYTES / 2);
  });
});
