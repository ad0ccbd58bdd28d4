/** Starts of a simulated source that end before they are over. */
import { expect, test } from 'vitest';
import { JOURNAL_ROLE } from '../../agent/mirror/store/superblock.ts';
import { isCopy } from './operator.ts';
import { Simulation } from './simulation.ts';
import { DESERTED } from './stories.ts';

const HANG_MS = 60_000;
const STARTS = 4;

test('[I16] a start that has sealed a cycle ends before anybody is served: the next one goes on behind that seal', async () => {
  const checkpoint = { by: 'references', everyCycles: 1, ms: 20, onFlush: false } as const;
  const sim = new Simulation(1, { ...DESERTED, hasLies: false, checkpoint });
  const [target] = sim.targets;
  if (!target) throw new Error('no target');
  sim.begin();
  expect(await sim.run(HANG_MS, () => isCopy(target))).toBe(true);
  void target.command('mirror-takeover', { force: true });
  const isSource = (): boolean => target.superblock()?.role === JOURNAL_ROLE.source;
  expect(await sim.run(HANG_MS, isSource)).toBe(true);
  // What it promises is kept in a superblock before a start is over: that takes long, and meanwhile a cycle is sealed.
  target.journal.faults.slowMs = 20;
  for (let i = 0; i < STARTS; i++) {
    await sim.run(5 * i, () => target.source !== null);
    target.crash(false);
    target.boot();
  }
  await sim.run(HANG_MS, () => target.source !== null);
  expect([target.source?.succession.standing, sim.oracle.violations]).toEqual(['source', []]);
  expect(sim.oracle.counts['starts that sealed, and ended']).toBeGreaterThan(0);
});
