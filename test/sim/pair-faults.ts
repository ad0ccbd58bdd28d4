/** Faults drawn only where there are more than two nodes: they befall one pair or one node, and no other is to notice. */
import { others, type NodeIndex } from './pairs.ts';
import type { Simulation } from './simulation.ts';

export interface Fault {
  /** `peer`: another node, for what befalls a pair. */
  readonly begin: (sim: Simulation, node: NodeIndex, ms: number, peer: NodeIndex) => void;
  readonly end: (sim: Simulation, node: NodeIndex, peer: NodeIndex) => void;
  readonly msMax: number;
}

const EIO = 5;
const nothing = (): void => {};

export const PAIR_FAULTS: Readonly<Record<string, Fault>> = {
  'pair cut': {
    begin: (sim, node, _ms, peer) => sim.cutPair(node, peer),
    end: (sim, node, peer) => sim.healPair(node, peer),
    msMax: 5000,
  },
  'one-way cut of a pair': {
    begin: (sim, node, _ms, peer) => sim.net(node, { up: false }, peer),
    end: (sim, node, peer) => sim.healPair(node, peer),
    msMax: 5000,
  },
  'pair flaps': {
    begin: (sim, node, ms, peer) => flapPair(sim, node, peer, sim.nowMs + ms),
    end: (sim, node, peer) => sim.healPair(node, peer),
    msMax: 4000,
  },
  'loss of a pair': {
    begin: (sim, node, _ms, peer) => sim.net(node, { lossPerMille: sim.world.prng.between(5, 400) }, peer),
    end: (sim, node, peer) => sim.healPair(node, peer),
    msMax: 4000,
  },
  'delay of a pair': {
    begin: (sim, node, _ms, peer) => sim.net(node, { delayMs: sim.world.within(20, 400), jitterMs: 10 }, peer),
    end: (sim, node, peer) => sim.healPair(node, peer),
    msMax: 4000,
  },
  'silently isolated': {
    begin: (sim, node) => sim.isolate(node),
    end: (sim, node) => others(sim.each.length, node).forEach((peer) => sim.healPair(node, peer)),
    msMax: 5000,
  },
  'carrier lost': {
    begin: (sim, node) => sim.carrier(node, false),
    end: (sim, node) => sim.carrier(node, true),
    msMax: 4000,
  },
  'hung reads of a peer': {
    begin: (sim, node, ms, peer) => sim.hang(node, ms, 'reads', peer),
    end: nothing,
    msMax: 5000,
  },
  'read errors of a peer': {
    begin: (sim, node, _ms, peer) => sim.disk(node, { readErrno: EIO }, peer),
    end: (sim, node, peer) => sim.disk(node, { readErrno: 0 }, peer),
    msMax: 4000,
  },
  'operator on one pair': {
    begin: (sim, node, _ms, peer) => sim.override(node, 'storage', peer),
    end: (sim, node, peer) => sim.override(node, 'auto', peer),
    msMax: 3000,
  },
  'wall clock': {
    begin: (sim, node) => sim.stepWall(node, sim.world.within(-1, 1) * 7_200_000),
    end: (sim, node) => sim.stepWall(node, sim.world.within(-1, 1) * 7_200_000),
    msMax: 3000,
  },
};

function flapPair(sim: Simulation, a: NodeIndex, b: NodeIndex, untilMs: number): void {
  if (sim.nowMs >= untilMs) return;
  if (sim.network.way(a, b).up) sim.cutPair(a, b);
  else sim.healPair(a, b);
  sim.world.after(sim.world.within(20, 400), () => flapPair(sim, a, b, untilMs));
}
