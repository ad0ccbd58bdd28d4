import { setImmediate as nextTurn } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { RegionSet } from '../../../../agent/mirror/core/region-set.ts';
import { DIGEST_BYTES } from '../../../../agent/mirror/scan/digest.ts';
import { Compared } from '../../../../agent/mirror/source/compared.ts';
import { COMPARE_LEVEL, encodeRun } from '../../../../agent/mirror/wire/compare.ts';

const volumes = [{ bytes: 1 << 20 }];
const RUN = { volume: 0, level: COMPARE_LEVEL.blocks, isLast: false, first: 0, count: 4 } as const;

test.each([0, 1, 2, 3, 4, 5, 6, 7, 8])(
  '[CR1] what the target asks for is answered whenever it comes: %i steps behind the frame before',
  async (steps) => {
    let frames = 0;
    const errors: Error[] = [];
    const compared = new Compared(
      {
        checksum: 'crc32',
        volumes,
        generation: new Uint8Array(16),
        digests: async (_, { count }) => new Uint8Array(DIGEST_BYTES.crc32 * count),
        image: () => {},
        isFull: false,
        done: () => {},
        failed: (error) => errors.push(error),
        send: () => {
          if (++frames > 1) return;
          let wait = Promise.resolve();
          for (let i = 0; i < steps; i++) wait = wait.then(() => {});
          void wait.then(() => compared.asked(0, encodeRun(RUN)));
        },
      },
      RegionSet.all(volumes, true),
    );
    compared.pump();
    for (let i = 0; i < 5; i++) await nextTurn();
    expect([frames, errors]).toEqual([2, []]);
  },
);
