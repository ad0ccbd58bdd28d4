/** Takeovers of a simulated target, told command by command. */
import { expect, test } from 'vitest';
import { isCopy } from './operator.ts';
import { Simulation } from './simulation.ts';
import { DESERTED } from './stories.ts';

test('[MI14] a takeover is asked for once more while the log device takes its time: one is done, and the other is refused', async () => {
  const sim = new Simulation(1, { ...DESERTED, hasLies: false });
  const [target] = sim.targets;
  if (!target) throw new Error('no target');
  sim.begin();
  expect(await sim.run(60_000, () => isCopy(target))).toBe(true);
  sim.log.delayMs = 200;
  const said: (string | null)[] = [];
  for (const force of [true, false])
    void target.command('mirror-takeover', { force }).then((answer) => said.push(answer));
  expect(await sim.run(60_000, () => said.length === 2)).toBe(true);
  expect(said).toEqual([expect.stringContaining('a takeover is under way here'), null]);
  expect([target.source?.succession.standing, sim.oracle.violations]).toEqual(['source', []]);
  expect([sim.oracle.counts['takeovers by force'], sim.oracle.counts['takeovers in order']]).toEqual([1, undefined]);
});
