/** One run of the swarm: what the seed makes of settings, load and faults, then the quiet end and its demands. */
import type { Violation } from './checkers/account.ts';
import { letFaultsHappen } from './faults.ts';
import { Simulation } from './simulation.ts';

/** Faults are over so long: the longest hold that flapping earns, and what judging the storage takes. */
const QUIET_MS = 9000;
const CUT_MS = 1000;
const SETTLE_MS = 2100;

export interface SeedResult {
  readonly violations: readonly Violation[];
  readonly digest: string;
  readonly simulatedMs: number;
  readonly counts: Readonly<Record<string, number>>;
}

export function runSeed(seed: number, print: ((line: string) => void) | null = null): SeedResult {
  const sim = new Simulation(seed, settingsOf(seed), print);
  const { prng } = sim.world;
  Object.assign(sim.workload.everyMs, {
    heartbeat: prng.between(20, 80),
    data: prng.between(20, 120),
    bulk: prng.chance(1, 3) ? prng.between(100, 400) : 0,
  });
  sim.begin(prng.chance(1, 4) ? 0 : 3500);
  letFaultsHappen(sim, sim.nowMs + prng.between(4000, 12_000));
  sim.run(12_000);
  sim.run(QUIET_MS);
  demandBest(sim);
  sim.run(SETTLE_MS);
  const violations = sim.finish();
  return { violations, digest: sim.world.digest, simulatedMs: sim.nowMs, counts: sim.account.counts };
}

function settingsOf(seed: number) {
  const sizes = [256 * 1024, 1024 * 1024, 4 * 1024 * 1024];
  const datagrams = [600, 1472, 8972];
  return {
    slotBytes: sizes[seed % 3] ?? 1024 * 1024,
    datagramBytes: datagrams[Math.floor(seed / 3) % 3] ?? 1472,
    retainBytes: seed % 4 === 0 ? 256 * 1024 : 1024 * 1024,
  };
}

/** Liveness: without faults both ways are used again. First the network is; then it is cut, and storage is at once. */
function demandBest(sim: Simulation): void {
  const demand = (holds: boolean, text: string): void => {
    if (!holds) sim.account.violation(sim.nowMs, 'liveness', text);
  };
  for (const node of [0, 1] as const) demand(sim.path(node) === 'network', `node ${node}: path is ${sim.path(node)}`);
  const sinceMs = sim.nowMs - 1000;
  demandFlow(sim, sinceMs, demand);
  sim.cut();
  sim.run(CUT_MS);
  for (const node of [0, 1] as const) {
    demand(sim.path(node) === 'storage', `node ${node}: path is ${sim.path(node)} after a cut`);
  }
  const cutMs = sim.nowMs;
  sim.run(1000);
  demandFlow(sim, cutMs, demand);
}

function demandFlow(sim: Simulation, sinceMs: number, demand: (holds: boolean, text: string) => void): void {
  for (const node of [0, 1] as const) {
    for (const type of ['heartbeat', 'data']) {
      const count = sim.deliveredSince(node, type, sinceMs);
      demand(count > 0, `no ${type} of node ${node} arrives from ${sinceMs.toFixed(0)} on`);
    }
  }
}
