/**
 * One run of the swarm: what the seed makes of settings, load and faults, then the quiet end and its demands. Even seeds
 * have two nodes, odd ones three to five; of those every second has separate volumes.
 */
import type { Violation } from './checkers/account.ts';
import { letFaultsHappen } from './faults.ts';
import { at, others, type NodeIndex } from './pairs.ts';
import type { SimSettings } from './settings.ts';
import { Simulation } from './simulation.ts';
import type { Sent } from './workload.ts';

/** Faults are over so long: the longest hold that flapping earns, and what judging the storage takes. */
const QUIET_MS = 9000;
const CUT_MS = 1000;
/** What is sent arrives within this on either way, when that is well. */
const FLOW_MS = 1000;
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
  // The more nodes, the less each of them sends: what they send together is what a run costs.
  const every = sim.each.length / 2;
  Object.assign(sim.workload.everyMs, {
    heartbeat: prng.between(20, 80) * every,
    data: prng.between(20, 120) * every,
    bulk: prng.chance(1, 3) ? prng.between(100, 400) * every : 0,
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

export function settingsOf(seed: number): Partial<SimSettings> {
  const nodes = seed % 2 === 0 ? 2 : 3 + (Math.floor(seed / 2) % 3);
  const sizes = nodes === 2 ? [256 * 1024, 1024 * 1024, 4 * 1024 * 1024] : [256 * 1024, 4 * 1024 * 1024];
  const datagrams = [600, 1472, 8972];
  return {
    nodes,
    volumes: nodes > 2 && Math.floor(seed / 6) % 2 === 1 ? 'separate' : 'shared',
    slotBytes: at(sizes, Math.floor(nodes === 2 ? seed : seed / 12) % sizes.length),
    datagramBytes: datagrams[Math.floor(seed / 3) % 3] ?? 1472,
    // Small ones fill while a way is out: a packet for all is then dropped for one peer and not for the others.
    retainBytes:
      nodes === 2 ? (seed % 4 === 0 ? 256 * 1024 : 1024 * 1024) : at([64, 1024], Math.floor(seed / 24) % 2) * 1024,
  };
}

/**
 * Liveness: without faults both ways are used again. First the network is; then it is cut, of every pair or of some of
 * them, and where it is cut storage is the way at once, where it is not nothing changes.
 */
function demandBest(sim: Simulation): void {
  const demand = (holds: boolean, text: string): void => {
    if (!holds) sim.account.violation(sim.nowMs, 'liveness', text);
  };
  const everyPair = (act: (from: NodeIndex, to: NodeIndex) => void): void => {
    for (const from of sim.each) for (const to of others(sim.each.length, from)) act(from, to);
  };
  const demandPaths = (what: string, expected: (from: NodeIndex, to: NodeIndex) => string): void =>
    everyPair((from, to) => {
      const path = sim.path(from, to);
      demand(path === expected(from, to), `node ${from} to ${to}: path is ${path} ${what}`);
    });
  demandPaths('after all', () => 'network');
  demandFlow(sim, demand);
  const isCut = cutSome(sim);
  sim.run(CUT_MS);
  demandPaths('after a cut', (from, to) => (isCut(from, to) ? 'storage' : 'network'));
  demandFlow(sim, demand);
}

/** Cuts everything, or what every third seed's cluster loses by a partial partition. */
function cutSome(sim: Simulation): (a: NodeIndex, b: NodeIndex) => boolean {
  const kind = sim.each.length === 2 ? 0 : sim.world.seed % 3;
  if (kind === 0) {
    sim.cut();
    return () => true;
  }
  if (kind === 1) {
    sim.cutPair(0, 1);
    return (a, b) => a + b === 1;
  }
  sim.net(2, { up: false }, 0);
  return (a, b) => a + b === 2 && a !== b;
}

/** Each node sends a frame of each kind to each peer, and one to all: they arrive. */
function demandFlow(sim: Simulation, demand: (holds: boolean, text: string) => void): void {
  const sent: Sent[] = [];
  for (const node of sim.nodes) {
    for (const type of ['heartbeat', 'data'] as const) {
      for (const to of others(sim.each.length, node.index)) sent.push(sim.workload.send(node, type, 100, to));
      sent.push(sim.workload.send(node, type, 100, '239.1.2.3'));
    }
  }
  sim.run(FLOW_MS);
  for (const { type, from, copies } of sent) {
    for (const { to, deliveredMs } of copies) demand(deliveredMs >= 0, `no ${type} of node ${from} arrives at ${to}`);
  }
}
