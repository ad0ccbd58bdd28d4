/** Each planted bug is found; by which seed is printed. */
import { expect, test, vi } from 'vitest';
import type * as generation from '../../agent/mirror/core/generation.ts';
import type * as takeover from '../../agent/mirror/core/takeover.ts';
import type * as bitmaps from '../../agent/mirror/source/saved-bitmaps.ts';
import type * as recovery from '../../agent/mirror/store/recovery.ts';
import type * as ring from '../../agent/mirror/store/ring.ts';
import { breaking, PLANTS, SEVERAL, SMALL, trusting } from './plants.ts';
import { runSeed } from './run-seed.ts';
import {
  BACKLOG,
  backlog,
  badFlushes,
  breaks,
  BREAKS,
  clockJumps,
  DESERTED,
  desertedBy,
  disorder,
  falls,
  FALLS,
  forget,
  stopAndFall,
  SWINGS,
  swings,
  takenTwice,
} from './stories.ts';
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

/** A bug is to be found by itself, not by what operators and bad storage make of it. */
const PLAIN = { hasOperators: false, hasLies: false, hasLog: false };

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

test.each([
  ['links go and come while all overflows', swings, SWINGS, 5],
  ['what has overflowed is stopped, and falls', stopAndFall, SWINGS, 5],
  ['the source falls again and again', falls, FALLS, 5],
  ['a clock jumps', clockJumps, {}, 5],
  ['flushes fail', badFlushes, {}, 5],
  ['a target is left alone', desertedBy(false), DESERTED, 41],
  ['a target is left alone, and taken over', desertedBy(true), DESERTED, 32],
  ['one of two is left alone, and taken over', desertedBy(true), { ...DESERTED, targets: 2, hasLog: false }, 39],
])('without a bug: %s', { timeout: 300_000 }, async (_, story, settings, seeds) => {
  for (let seed = 1; seed <= seeds; seed++) {
    const { violations } = await runSeed(seed, story, { ...PLAIN, ...settings });
    expect([seed, violations]).toEqual([seed, []]);
  }
});

test.each([
  ['links break', breaks, BREAKS],
  ['transfers come in any order', disorder, { checkpoint: null, hotPercent: 90, thinkMs: 6, clients: 4 }],
  ['the source loses its last marks again and again', forget, { overflow: { afterMs: 60_000, policy: 'degrade' } }],
  ["more is written than the target's ring holds, and the source starts anew", backlog, BACKLOG],
  ['connections break, one after the other', breaking, SEVERAL],
  ['several connections bring much to a small journal', () => {}, { ...SEVERAL, ...SMALL }],
] as const)('without a bug: %s', { timeout: 300_000 }, async (_, plant, settings) => {
  for (let seed = 1; seed <= 10; seed++) {
    const { violations, counts } = await runSeed(seed, plant, { ...PLAIN, ...settings });
    expect([seed, violations]).toEqual([seed, []]);
    // No part of it is a reason to compare a whole copy.
    expect([seed, counts['scans of a copy'] ?? 0]).toEqual([seed, 0]);
  }
});

test('[MI13] a copy of writes that were given up is made anew when an operator says so, also where the source was made', async () => {
  for (let seed = 1; seed <= 3; seed++) {
    const { violations, counts } = await runSeed(seed, takenTwice, {
      ...PLAIN,
      ...DESERTED,
      targets: 2,
      hasLog: false,
    });
    expect([seed, violations, counts['journals made anew']]).toEqual([seed, [], 1]);
  }
}, 300_000);
