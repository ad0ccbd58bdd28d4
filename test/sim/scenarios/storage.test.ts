import { expect, test } from 'vitest';
import { expectFlow, paths, scenario } from './scenario.ts';

const EIO = 5;

test('slow storage while the network is well: nobody notices', () => {
  scenario((sim) => {
    for (const node of [0, 1] as const) sim.disk(node, { slowWriteMs: 200, slowReadMs: 50 });
    sim.run(5000);
    expect(paths(sim)).toEqual(['network', 'network']);
    sim.healDisks();
    expectFlow(sim, 2100);
  });
});

test('slow storage as the only way: traffic goes on, slowly', () => {
  scenario((sim) => {
    sim.cut();
    for (const node of [0, 1] as const) sim.disk(node, { slowWriteMs: 100, slowReadMs: 20 });
    sim.run(2000);
    expect(paths(sim)).toEqual(['storage', 'storage']);
    expectFlow(sim, 2000);
  });
});

test('hung storage while the network is well: the path stays, and storage is used again after the hang', () => {
  scenario((sim) => {
    for (const node of [0, 1] as const) sim.hang(node, 10_000);
    sim.run(9000);
    expect(paths(sim)).toEqual(['network', 'network']);
    expectFlow(sim, 1500);
    sim.run(1500);
    sim.cut();
    sim.run(500);
    expect(paths(sim)).toEqual(['storage', 'storage']);
    expectFlow(sim, 3000);
  });
});

test('storage hung for 30 s with the network cut: the peer looks dead, and nothing old comes out afterwards', () => {
  scenario((sim) => {
    sim.cut();
    sim.run(1000);
    for (const node of [0, 1] as const) sim.hang(node, 30_000);
    sim.run(3500);
    expect(paths(sim)).toEqual(['isolated', 'isolated']);
    const deadMs = sim.nowMs;
    sim.run(26_000);
    for (const node of [0, 1] as const) expect(sim.deliveredSince(node, 'heartbeat', deadMs)).toBe(0);
    sim.run(2000);
    expect(paths(sim)).toEqual(['storage', 'storage']);
    expectFlow(sim, 3000);
  });
});

test('storage that answers errors and recovers: isolated meanwhile when it was the only way', () => {
  scenario((sim) => {
    sim.cut();
    sim.run(1000);
    sim.disk(0, { writeErrno: EIO });
    sim.run(500);
    expect(sim.path(0)).toBe('isolated');
    sim.run(2000);
    sim.disk(0, { writeErrno: 0 });
    sim.run(500);
    expect(sim.path(0)).toBe('storage');
    expectFlow(sim, 4000);
  });
});

test('storage that the peer cannot read: its path back to us tells, and the network carries on', () => {
  scenario((sim) => {
    sim.cut();
    sim.run(1000);
    sim.disk(1, { readErrno: EIO });
    sim.heal();
    sim.run(6000);
    expect(paths(sim)).toEqual(['network', 'network']);
    expectFlow(sim, 2100);
  });
});

test('writes that go astray: told as foreign or damaged, delivered never', () => {
  scenario((sim) => {
    sim.cut();
    sim.run(1000);
    for (let i = 0; i < 10; i++) {
      sim.misdirect(i % 2 === 0 ? 0 : 1);
      sim.run(700);
    }
    sim.run(3000);
    expect(paths(sim)).toEqual(['storage', 'storage']);
    expectFlow(sim, 8000);
  });
});

test('a copy that shows the past for half a second: nothing is delivered twice or out of order', () => {
  scenario((sim) => {
    sim.cut();
    sim.run(1000);
    for (let i = 0; i < 5; i++) {
      for (const node of [0, 1] as const) sim.showPast(node);
      sim.run(500);
      sim.healDisks();
      sim.run(700);
    }
    expect(paths(sim)).toEqual(['storage', 'storage']);
    expectFlow(sim, 8000);
  });
});

test('a reader that stalls while its beacons come: the writer waits at the end of a small ring', () => {
  scenario(
    (sim) => {
      sim.run(4000);
      sim.hang(1, 5000, 'reads');
      sim.run(9000);
      expectFlow(sim, 2100);
    },
    { slotBytes: 256 * 1024 },
  );
});

test('storage that hangs after it was slow, and a network that blinks: heartbeats on the network do not wait', () => {
  scenario((sim) => {
    for (const node of [0, 1] as const) sim.disk(node, { slowWriteMs: 300, slowReadMs: 300 });
    sim.run(2000);
    for (const node of [0, 1] as const) sim.hang(node, 4000);
    sim.cut();
    sim.run(150);
    sim.heal();
    sim.run(3000);
    sim.healDisks();
    sim.run(4000);
  });
});
