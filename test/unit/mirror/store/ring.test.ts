import { expect, test } from 'vitest';
import { Prng } from '../../../../agent/base/prng.ts';
import { bytesInAnyOrder, payloadBytesMax, skipBefore } from '../../../../agent/mirror/store/ring.ts';
import { entryBytes } from '../../../../agent/mirror/wire/entry.ts';

const SIZE = { windowBytes: 32 * 1024, ringBytes: 128 * 1024 };

test('[CY2] entries take no more than is reckoned, wherever they begin and in whatever order they come', () => {
  const random = new Prng(3);
  let [skips, tightest] = [0, Infinity];
  for (let round = 0; round < 20_000; round++) {
    const most = random.pick([200, 4096, payloadBytesMax(SIZE)]);
    const payloads = Array.from({ length: 1 + random.below(40) }, () => random.below(most));
    const lengths = payloads.map((bytes) => entryBytes(bytes));
    const sum = lengths.reduce((a, b) => a + b, 0);
    const from = 128 * random.below(SIZE.ringBytes / 128);
    let head = from;
    for (const bytes of payloads) {
      const skip = skipBefore(head, bytes, SIZE);
      if (skip > 0) skips++;
      head += skip + entryBytes(bytes);
    }
    const reckoned = bytesInAnyOrder(sum, Math.max(...lengths), SIZE);
    expect(head - from).toBeLessThanOrEqual(reckoned);
    tightest = Math.min(tightest, reckoned - (head - from));
  }
  expect(skips).toBeGreaterThan(1000);
  expect(tightest).toBeLessThan(1024);
});
