/** Handovers of a simulated source, told command by command. */
import { expect, test } from 'vitest';
import { isCopy } from './operator.ts';
import { Simulation } from './simulation.ts';
import type { Site } from './site.ts';
import { DESERTED } from './stories.ts';

const HANG_MS = 60_000;

/** A source, and a target that is in sync. */
async function pair(): Promise<{ sim: Simulation; source: Site; target: Site; isInSync: () => boolean }> {
  const sim = new Simulation(1, { ...DESERTED, hasLies: false, hasLog: false, acknowledge: 'local' });
  const { source } = sim;
  const [target] = sim.targets;
  if (!target) throw new Error('no target');
  sim.begin();
  const isInSync = (): boolean => source.source?.monitor.group.sessions[0]?.link.state === 'in-sync';
  expect(await sim.run(HANG_MS, () => isCopy(target) && isInSync())).toBe(true);
  return { sim, source, target, isInSync };
}

test('[MI14] a target does not get there in time: the source goes on, and what is written then is shown there', async () => {
  const { sim, source, target, isInSync } = await pair();
  let said: string | null = null;
  void source.command('mirror-handover', {}).then((answer) => (said = answer));
  sim.network.change(target.name, { up: [false, false] });
  await sim.run(HANG_MS, () => said !== null);
  expect(said).toContain('did not get there in time');
  sim.network.change(target.name, { up: [true, true] });
  const written = (source.asSource.history?.mark ?? 0) + 100;
  await sim.run(HANG_MS, () => isInSync() && (target.target?.status().cut ?? 0) > written);
  expect(sim.oracle.violations).toEqual([]);
  expect(target.target?.status().cut).toBeGreaterThan(written);
});

test('[MI14] a handover is asked for once more while it takes its time: one is done, and the other is refused', async () => {
  const { sim, source, target } = await pair();
  sim.network.change(target.name, { delayMs: 20 });
  const said: (string | null)[] = [];
  void source.command('mirror-handover', {}).then((answer) => said.push(answer));
  await sim.run(30);
  void source.command('mirror-handover', {}).then((answer) => said.push(answer));
  await sim.run(HANG_MS, () => said.length === 2);
  expect(said).toEqual([expect.stringContaining('a handover is under way here'), null]);
  expect([source.source?.succession.standing, sim.oracle.violations]).toEqual(['released', []]);
  await sim.run(100);
  // Nothing was written behind the mark that it was given up at.
  expect(source.source?.succession.status().beyond).toBe(0);
});
