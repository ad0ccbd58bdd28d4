import { expect, test } from 'vitest';
import { expectFlow, longestSilenceMs, paths, scenario } from './scenario.ts';

test('dead peer: the survivor finds it isolated, and hears it again when it is back', () => {
  scenario((sim) => {
    sim.crash(1);
    sim.run(4000);
    expect(sim.path(0)).toBe('isolated');
    const deadMs = sim.nowMs;
    sim.run(2000);
    expect(sim.deliveredSince(1, 'heartbeat', deadMs)).toBe(0);
    sim.start(1);
    sim.run(3000);
    expect(paths(sim)).toEqual(['network', 'network']);
    expectFlow(sim, 8000);
  });
});

test('dead peer with the network cut: found again through storage alone', () => {
  scenario((sim) => {
    sim.cut();
    sim.run(1000);
    for (let i = 0; i < 5; i++) {
      sim.crash(i % 2 === 0 ? 0 : 1, i === 3);
      sim.run(300);
      sim.start(0);
      sim.start(1);
      sim.run(2000);
      expect(paths(sim)).toEqual(['storage', 'storage']);
    }
    expectFlow(sim, 9000);
  });
});

test('late peer: the ring went round many times without it, and from its start on nothing waits', () => {
  scenario((sim) => {
    sim.cut();
    sim.crash(1);
    Object.assign(sim.workload.everyMs, { heartbeat: 5 });
    sim.run(10_000);
    sim.start(1);
    sim.run(1000);
    const knownMs = sim.nowMs;
    sim.run(1000);
    expect(paths(sim)).toEqual(['storage', 'storage']);
    expect(longestSilenceMs(sim, 0, 'heartbeat', knownMs)).toBeLessThan(200);
  });
});

test('fifty crashes in the middle of writes: nothing altered or twice, order marks go on', () => {
  scenario((sim) => {
    sim.cut();
    Object.assign(sim.workload.everyMs, { heartbeat: 5, data: 5 });
    for (let i = 0; i < 50; i++) {
      const node = sim.world.prng.chance(1, 2) ? 0 : 1;
      sim.run(sim.world.within(1, 150));
      sim.crash(node);
      sim.run(sim.world.within(1, 50));
      sim.start(node);
    }
    sim.run(3000);
    expect(paths(sim)).toEqual(['storage', 'storage']);
  });
});

test('frozen peer: it looks dead while it is stopped, and nothing old of it comes out when it goes on', () => {
  for (const ms of [300, 1900, 2100, 8000]) {
    scenario((sim) => {
      sim.freeze(1);
      sim.run(ms / 2);
      const stoppedMs = sim.nowMs;
      sim.run(ms / 2);
      expect(sim.deliveredSince(1, 'heartbeat', stoppedMs)).toBe(0);
      expect(sim.deliveredSince(1, 'data', stoppedMs)).toBe(0);
      if (ms > 4000) expect(sim.path(0)).toBe('isolated');
      sim.thaw(1);
      sim.run(3000);
      expect(paths(sim)).toEqual(['network', 'network']);
      expectFlow(sim, 2100);
    });
  }
});

test('[AGE1] stopped for less than maxAgeMs: what waited in the interface is as old as that when it comes out', () => {
  scenario((sim) => {
    sim.cut();
    sim.run(1000);
    sim.freeze(1);
    sim.run(1900);
    sim.hang(0, 800, 'reads');
    sim.thaw(1);
    sim.run(3000);
    expect(paths(sim)).toEqual(['storage', 'storage']);
    expectFlow(sim, 5000);
  });
});

test('frozen peer on storage: the same', () => {
  scenario((sim) => {
    sim.cut();
    sim.run(1000);
    sim.freeze(1);
    sim.run(5000);
    expect(sim.path(0)).toBe('isolated');
    sim.thaw(1);
    sim.run(1500);
    expect(paths(sim)).toEqual(['storage', 'storage']);
    expectFlow(sim, 8000);
  });
});

test('both ways lost: isolated within their bounds, and each way is taken as it comes back', () => {
  scenario((sim) => {
    sim.cut();
    for (const node of [0, 1] as const) sim.disk(node, { writeErrno: 5, readErrno: 5 });
    sim.run(1000);
    expect(paths(sim)).toEqual(['isolated', 'isolated']);
    sim.healDisks();
    sim.run(1000);
    expect(paths(sim)).toEqual(['storage', 'storage']);
    for (const node of [0, 1] as const) sim.disk(node, { writeErrno: 5, readErrno: 5 });
    sim.run(4000);
    sim.heal();
    sim.run(300);
    expect(paths(sim)).toEqual(['network', 'network']);
    sim.healDisks();
    expectFlow(sim, 2100);
  });
});

test('operator: an override holds against what the judge would say, and auto gives it back', () => {
  scenario((sim) => {
    sim.override(0, 'storage');
    sim.run(500);
    expect(paths(sim)).toEqual(['storage', 'network']);
    expectFlow(sim);
    sim.cut();
    sim.run(500);
    sim.override(0, 'network');
    sim.run(500);
    expect(paths(sim)).toEqual(['network', 'storage']);
    sim.override(0, 'auto');
    sim.run(500);
    expect(paths(sim)).toEqual(['storage', 'storage']);
    sim.heal();
    sim.run(5000);
    expect(paths(sim)).toEqual(['network', 'network']);
    expectFlow(sim, 2100);
  });
});
