/** A scenario: a cluster that is well, then what befalls it, then no violation of any rule. */
import { expect } from 'vitest';
import { others } from '../pairs.ts';
import { Simulation } from '../simulation.ts';
import { nodeName, type SimSettings } from '../settings.ts';
import { TO_ALL } from '../workload.ts';

/** Small differences of timing decide in such things: each scenario runs under several seeds. */
const SEEDS = [1, 2];

export function scenario(play: (sim: Simulation) => void, settings: Partial<SimSettings> = {}): void {
  for (const seed of SEEDS) {
    const sim = new Simulation(seed, settings);
    sim.begin(4000);
    play(sim);
    expect(sim.finish(), `seed ${seed}`).toEqual([]);
  }
}

export const paths = (sim: Simulation): string[] => [sim.path(0), sim.path(1)];

/** The way of each node to each other one, as `a-b network`; those on `usual` are left out. */
export function pathsBut(sim: Simulation, usual = 'network'): string[] {
  return sim.each.flatMap((node) =>
    others(sim.each.length, node).flatMap((peer) => {
      const path = sim.path(node, peer);
      return path === usual ? [] : [`${nodeName(node)}-${nodeName(peer)} ${path}`];
    }),
  );
}

/** Each node sends a frame of each kind to each other and one to all; expects all of them within the coming `ms`. */
export function expectAllPairs(sim: Simulation, ms = 1000): void {
  const sent = sim.nodes.flatMap((node) =>
    (['heartbeat', 'data'] as const).flatMap((type) => [
      ...others(sim.each.length, node.index).map((to) => sim.workload.send(node, type, 100, to)),
      ...TO_ALL.map((to) => sim.workload.send(node, type, 100, to)),
    ]),
  );
  sim.run(ms);
  const missing = sent.flatMap(({ type, from, copies }) =>
    copies.filter(({ deliveredMs }) => deliveredMs < 0).map(({ to }) => `${type} ${from} to ${to}`),
  );
  expect(missing).toEqual([]);
}

/** Expects frames of every kind, both ways, within the coming `ms`. */
export function expectFlow(sim: Simulation, ms = 1000): void {
  const sinceMs = sim.nowMs;
  sim.run(ms);
  for (const node of [0, 1] as const) {
    for (const type of ['heartbeat', 'data']) {
      expect(sim.deliveredSince(node, type, sinceMs), `${type} of node ${node}`).toBeGreaterThan(0);
    }
  }
}

/** How long, at most, no frame of this type came out since `sinceMs`. */
export function longestSilenceMs(sim: Simulation, from: 0 | 1, type: string, sinceMs: number): number {
  const times = [...sim.account.sent.values()]
    .filter((sent) => sent.from === from && sent.type === type)
    .flatMap(({ copies }) => copies.map(({ deliveredMs }) => deliveredMs))
    .filter((deliveredMs) => deliveredMs >= sinceMs)
    .sort((a, b) => a - b);
  let longest = 0;
  let lastMs = sinceMs;
  for (const atMs of [...times, sim.nowMs]) {
    longest = Math.max(longest, atMs - lastMs);
    lastMs = atMs;
  }
  return longest;
}
