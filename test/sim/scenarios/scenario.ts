/** A scenario: a cluster that is well, then what befalls it, then no violation of any rule. */
import { expect } from 'vitest';
import { Simulation } from '../simulation.ts';
import type { SimSettings } from '../settings.ts';

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
    .filter((sent) => sent.from === from && sent.type === type && sent.deliveredMs >= sinceMs)
    .map((sent) => sent.deliveredMs)
    .sort((a, b) => a - b);
  let longest = 0;
  let lastMs = sinceMs;
  for (const atMs of [...times, sim.nowMs]) {
    longest = Math.max(longest, atMs - lastMs);
    lastMs = atMs;
  }
  return longest;
}
