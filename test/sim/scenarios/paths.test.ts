import { expect, test } from 'vitest';
import { Simulation } from '../simulation.ts';

test('network cut: traffic goes on through storage', () => {
  const sim = new Simulation(1, {}, process.env['SIM_TRACE'] ? (l) => console.log(l) : null);
  sim.begin();
  sim.run(2000);
  expect([sim.path(0), sim.path(1)]).toEqual(['network', 'network']);
  sim.cut();
  sim.run(1000);
  expect([sim.path(0), sim.path(1)]).toEqual(['storage', 'storage']);
  sim.run(2000);
  sim.heal();
  sim.run(4000);
  expect([sim.path(0), sim.path(1)]).toEqual(['network', 'network']);

  expect(sim.finish()).toEqual([]);
});
