import { expect, test } from 'vitest';
import { expectFlow, paths, scenario } from './scenario.ts';

const EIO = 5;

test('restart while the peer cannot read: of the former incarnation nothing is delivered afterwards', () => {
  scenario((sim) => {
    sim.disk(0, { readErrno: EIO });
    sim.run(500);
    sim.crash(1);
    sim.run(300);
    sim.start(1);
    sim.run(300);
    sim.disk(0, { readErrno: 0 });
    sim.run(3000);
    expect(paths(sim)).toEqual(['network', 'network']);
    expectFlow(sim, 6000);
  });
});

test('restart before a volume that shows the past: the former incarnation is not accepted again', () => {
  scenario((sim) => {
    sim.crash(0);
    sim.showPast(1);
    sim.run(200);
    sim.start(0);
    sim.run(1000);
    const accepted = sim.nodes[1]?.agent?.switchThread.linkTo(0).accepted;
    expect(accepted).toEqual(sim.nodes[0]?.agent?.context.incarnation);
    sim.healDisks();
    expectFlow(sim, 6000);
  });
});

test('restart before somebody who repeats everything while the network is cut: the same', () => {
  scenario((sim) => {
    sim.crash(0);
    sim.run(200);
    sim.start(0);
    sim.run(1000);
    sim.cut();
    for (let i = 0; i < 40; i++) {
      for (const node of [0, 1] as const) sim.replay(node, 20);
      sim.run(50);
    }
    const accepted = sim.nodes[1]?.agent?.switchThread.linkTo(0).accepted;
    expect(accepted).toEqual(sim.nodes[0]?.agent?.context.incarnation);
    sim.heal();
    expectFlow(sim, 6000);
  });
});

test('restart under load, by turns: each packet once, none of the successor forgotten', () => {
  scenario((sim) => {
    Object.assign(sim.workload.everyMs, { heartbeat: 20, data: 4 });
    for (let i = 0; i < 8; i++) {
      const node = i % 2 === 0 ? 0 : 1;
      sim.run(600);
      sim.crash(node);
      sim.run(100 + 50 * i);
      sim.start(node);
      sim.run(200);
    }
    sim.run(6000);
    expect(paths(sim)).toEqual(['network', 'network']);
    expectFlow(sim, 2100);
  });
});

test('restart under load with storage as the only way: the same', () => {
  scenario((sim) => {
    Object.assign(sim.workload.everyMs, { heartbeat: 20, data: 10 });
    sim.cut();
    for (let i = 0; i < 6; i++) {
      sim.run(1500);
      const node = i % 2 === 0 ? 0 : 1;
      sim.crash(node, i % 3 === 0);
      sim.run(150);
      sim.start(node);
      sim.run(500);
    }
    sim.run(6000);
    expect(paths(sim)).toEqual(['storage', 'storage']);
  });
});
