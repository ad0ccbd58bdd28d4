/** Each story, told to the program as it is: nothing is found. */
import { expect, test } from 'vitest';
import { runSeed } from './run-seed.ts';
import * as stories from './stories.ts';

/** How many seeds: with these each fault that a story has found before is met. */
test.each([
  ['links go and come while all overflows', stories.swings, stories.SWINGS, 5],
  ['what has overflowed is stopped, and falls', stories.stopAndFall, stories.SWINGS, 5],
  ['the source falls again and again', stories.falls, stories.FALLS, 5],
  ['a clock jumps', stories.clockJumps, {}, 5],
  ['flushes fail', stories.badFlushes, {}, 5],
  ['a target is left alone', stories.desertedBy(false), stories.DESERTED, 41],
  ['a target is left alone, and taken over', stories.desertedBy(true), stories.DESERTED, 32],
  [
    'one of two is left alone, and taken over',
    stories.desertedBy(true),
    { ...stories.DESERTED, targets: 2, hasLog: false },
    39,
  ],
])('without a bug: %s', { timeout: 300_000 }, async (_, story, settings, seeds) => {
  for (let seed = 1; seed <= seeds; seed++) {
    const { violations } = await runSeed(seed, story, { ...stories.PLAIN, ...settings });
    expect([seed, violations]).toEqual([seed, []]);
  }
});

test.each([
  ['links break', stories.breaks, stories.BREAKS],
  ['transfers come in any order', stories.disorder, { checkpoint: null, hotPercent: 90, thinkMs: 6, clients: 4 }],
  [
    'the source loses its last marks again and again',
    stories.forget,
    { overflow: { afterMs: 60_000, policy: 'degrade' } },
  ],
  ["more is written than the target's ring holds, and the source starts anew", stories.backlog, stories.BACKLOG],
  ['connections break, one after the other', stories.breaking, stories.SEVERAL],
  ['several connections bring much to a small journal', () => {}, { ...stories.SEVERAL, ...stories.SMALL }],
] as const)('without a bug: %s', { timeout: 300_000 }, async (_, story, settings) => {
  for (let seed = 1; seed <= 10; seed++) {
    const { violations, counts } = await runSeed(seed, story, { ...stories.PLAIN, ...settings });
    expect([seed, violations]).toEqual([seed, []]);
    // No part of it is a reason to compare a whole copy.
    expect([seed, counts['scans of a copy'] ?? 0]).toEqual([seed, 0]);
  }
});

test('[MI13] a copy of writes that were given up is made anew when an operator says so, also where the source was made', async () => {
  for (let seed = 1; seed <= 3; seed++) {
    const { violations, counts } = await runSeed(seed, stories.takenTwice, {
      ...stories.PLAIN,
      ...stories.DESERTED,
      targets: 2,
      hasLog: false,
    });
    expect([seed, violations, counts['journals made anew']]).toEqual([seed, [], 1]);
  }
}, 300_000);
