import { expect, test } from 'vitest';
import { expectFlow, longestSilenceMs, paths, scenario } from './scenario.ts';

test('cut: both paths go to storage and come back after the hold, nothing is lost or out of order', () => {
  scenario((sim) => {
    expect(paths(sim)).toEqual(['network', 'network']);
    sim.cut();
    sim.run(400);
    expect(paths(sim)).toEqual(['storage', 'storage']);
    expectFlow(sim);
    sim.heal();
    sim.run(sim.settings.stableForMs - 100);
    expect(paths(sim)).toEqual(['returning', 'returning']);
    sim.run(300);
    expect(paths(sim)).toEqual(['network', 'network']);
    expectFlow(sim, 2500);
  });
});

test('cut: a stream of data is silent for less than 250 ms, heartbeats for no longer than without a cut', () => {
  scenario((sim) => {
    Object.assign(sim.workload.everyMs, { heartbeat: 10, data: 10 });
    sim.run(500);
    const cutMs = sim.nowMs;
    sim.cut();
    sim.run(3000);
    for (const node of [0, 1] as const) {
      expect(longestSilenceMs(sim, node, 'data', cutMs)).toBeLessThan(250);
      expect(longestSilenceMs(sim, node, 'heartbeat', cutMs)).toBeLessThan(100);
    }
  });
});

test('one-way cut: both sides change, for the one that hears is told that it is not heard', () => {
  for (const from of [0, 1] as const) {
    scenario((sim) => {
      sim.cut(from);
      sim.run(500);
      expect(paths(sim)).toEqual(['storage', 'storage']);
      sim.run(5000);
      expect(paths(sim)).toEqual(['storage', 'storage']);
      expectFlow(sim);
      sim.heal();
      sim.run(1500);
      expect(paths(sim)).toEqual(['network', 'network']);
    });
  }
});

test('flap: the hold grows, traffic stays on storage between flaps, and returns when the network is calm', () => {
  scenario((sim) => {
    const returns: number[] = [];
    for (let i = 0; i < 4; i++) {
      sim.cut();
      sim.run(400);
      expect(paths(sim)).toEqual(['storage', 'storage']);
      sim.heal();
      const healedMs = sim.nowMs;
      while (sim.path(0) !== 'network' && sim.nowMs - healedMs < 10_000) sim.run(50);
      returns.push(sim.nowMs - healedMs);
    }
    expect(returns.map((ms) => Math.round(ms / 1000))).toEqual([1, 2, 4, 4]);
    sim.run(500);
    expectFlow(sim, 2100);
  });
});

test('flap faster than the hold: not one return, and nothing is lost', () => {
  scenario((sim) => {
    for (let i = 0; i < 12; i++) {
      sim.cut();
      sim.run(300);
      sim.heal();
      sim.run(600);
      expect(paths(sim)).not.toContain('network');
    }
    expectFlow(sim, 2100);
  });
});

test('loss of a tenth of all datagrams: what is lost is asked for again, in both directions', () => {
  scenario((sim) => {
    for (const from of [0, 1] as const) sim.net(from, { lossPerMille: 100 });
    sim.run(5000);
    sim.heal();
    sim.run(2100);
  });
});

test('reordering and duplicates: every frame once and in order', () => {
  scenario((sim) => {
    for (const from of [0, 1] as const) sim.net(from, { delayMs: 1, jitterMs: 15, duplicatesPerMille: 300 });
    sim.run(5000);
  });
});

test('replayed, altered and invented datagrams: none is delivered, and the paths do not change', () => {
  scenario((sim) => {
    for (let i = 0; i < 20; i++) {
      for (const node of [0, 1] as const) {
        sim.replay(node, 50);
        sim.network.garbage(node, 50);
      }
      sim.run(100);
      expect(paths(sim)).toEqual(['network', 'network']);
    }
    expectFlow(sim, 2100);
  });
});

test('no primary network at all (mode none): storage is the way from the start', () => {
  scenario(
    (sim) => {
      expect(paths(sim)).toEqual(['storage', 'storage']);
      expectFlow(sim, 3000);
      sim.crash(0);
      sim.run(500);
      sim.start(0);
      sim.run(4000);
      expect(paths(sim)).toEqual(['storage', 'storage']);
      expectFlow(sim, 3000);
    },
    { mode: 'none' },
  );
});
