import { expect, test } from 'vitest';
import { copyBytes } from '../../../agent/base/bytes.ts';

test.each([0, 1, 255, 256, 257, 4096, 100_001])(
  '%i bytes are copied into and out of shared memory, and nothing beside',
  (length) => {
    const source = Uint8Array.from({ length: length + 7 }, (_, i) => (i * 31) % 251);
    const from = source.subarray(5, 5 + length);
    const shared = new Uint8Array(new SharedArrayBuffer(length + 64)).fill(255);
    copyBytes(from, shared, 9);
    const back = new Uint8Array(length + 2).fill(255);
    copyBytes(shared.subarray(9, 9 + length), back, 1);
    expect(Buffer.compare(back.subarray(1, 1 + length), from)).toBe(0);
    expect([back[0], back[length + 1], shared[8], shared[9 + length]]).toEqual([255, 255, 255, 255]);
  },
);

test('what does not fit is no silent loss', () => {
  for (const length of [16, 1000]) expect(() => copyBytes(new Uint8Array(length), new Uint8Array(length), 1)).toThrow();
});
