/** Each planted bug is found; by which seed is printed. */
import { expect, test, vi } from 'vitest';
import type * as generation from '../../agent/mirror/core/generation.ts';
import type * as takeover from '../../agent/mirror/core/takeover.ts';
import type * as bitmaps from '../../agent/mirror/source/saved-bitmaps.ts';
import type * as recovery from '../../agent/mirror/store/recovery.ts';
import type * as ring from '../../agent/mirror/store/ring.ts';
import { PLANTS, trusting } from './plants.ts';
import { runSeed } from './run-seed.ts';
import { PLAIN } from './stories.ts';
import { SWITCHES } from './switches.ts';

vi.mock('../../agent/mirror/core/takeover.ts', async (original) => {
  const own = await original<typeof takeover>();
  return {
    ...own,
    doubts: (...args: Parameters<typeof own.doubts>) => (SWITCHES.hasNoDoubts ? [] : own.doubts(...args)),
  };
});
vi.mock('../../agent/mirror/core/generation.ts', async (original) => {
  const own = await original<typeof generation>();
  return {
    ...own,
    kinship: (...args: Parameters<typeof own.kinship>) =>
      SWITCHES.mergesGenerations ? { kin: 'same' } : own.kinship(...args),
  };
});
vi.mock('../../agent/mirror/source/saved-bitmaps.ts', async (original) => {
  const own = await original<typeof bitmaps>();
  return {
    ...own,
    takeBitmaps: (...args: Parameters<typeof own.takeBitmaps>) =>
      SWITCHES.trustsBitmaps ? trusting(own.takeBitmaps, args) : own.takeBitmaps(...args),
  };
});
vi.mock('../../agent/mirror/store/recovery.ts', async (original) => {
  const own = await original<typeof recovery>();
  return {
    ...own,
    recoverRing: (...args: Parameters<typeof own.recoverRing>) => {
      const found = own.recoverRing(...args);
      return found.ok && SWITCHES.forgetsTime ? { ...found, end: { ...found.end, time: 0n } } : found;
    },
  };
});

vi.mock('../../agent/mirror/store/ring.ts', async (original) => {
  const own = await original<typeof ring>();
  return {
    ...own,
    bytesInAnyOrder: (...args: Parameters<typeof own.bytesInAnyOrder>) =>
      SWITCHES.fitsAlways ? 0 : own.bytesInAnyOrder(...args),
  };
});

const SEEDS_MAX = 200;

test.each(Object.entries(PLANTS))(
  'planted: %s',
  async (name, { plant, settings, seed: known }) => {
    for (const seed of [known, ...Array.from({ length: SEEDS_MAX }, (_, i) => i + 1)]) {
      const [found] = (await runSeed(seed, plant, { ...PLAIN, ...settings })).violations;
      if (!found) continue;
      process.stdout.write(`planted: ${name}: seed ${seed}, ${found.rule}: ${found.text}\n`);
      return;
    }
    expect(`not found in ${SEEDS_MAX} seeds`).toBe('found');
  },
  300_000,
);
