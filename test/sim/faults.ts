/**
 * Faults by chance: each seed picks some kinds, and then one after the other or several at once they begin and end. At
 * the end of a run all are over, what was stopped goes on, and the cluster has to come back to its best.
 */
import { GOOD_NETWORK } from './network.ts';
import { PAIR_FAULTS, type Fault } from './pair-faults.ts';
import { at, others, type NodeIndex } from './pairs.ts';
import type { Simulation } from './simulation.ts';

const EIO = 5;
const nothing = (): void => {};

const healNetwork = (sim: Simulation, node: NodeIndex): void => {
  sim.net(node, GOOD_NETWORK);
  sim.socketFull(node, 0);
};

/** Drawn for every cluster: they befall a node, or all. */
const FAULTS: Readonly<Record<string, Fault>> = {
  cut: {
    begin: (sim) => sim.cut(),
    end: (sim) => sim.heal(),
    msMax: 4000,
  },
  'one-way cut': { begin: (sim, node) => sim.cut(node), end: healNetwork, msMax: 4000 },
  flap: {
    begin: (sim, _node, ms) => flap(sim, sim.nowMs + ms),
    end: (sim) => sim.heal(),
    msMax: 3000,
  },
  loss: {
    begin: (sim, node) => sim.net(node, { lossPerMille: sim.world.prng.between(5, 250) }),
    end: healNetwork,
    msMax: 4000,
  },
  reorder: {
    begin: (sim, node) => sim.net(node, { delayMs: sim.world.within(0.1, 15), jitterMs: sim.world.within(1, 10) }),
    end: healNetwork,
    msMax: 4000,
  },
  delay: {
    begin: (sim, node) => sim.net(node, { delayMs: sim.world.within(20, 400), jitterMs: sim.world.within(0, 100) }),
    end: healNetwork,
    msMax: 3000,
  },
  'socket full': {
    begin: (sim, node) => sim.socketFull(node, sim.world.prng.between(5, 250)),
    end: healNetwork,
    msMax: 4000,
  },
  duplicates: {
    begin: (sim, node) => sim.net(node, { duplicatesPerMille: sim.world.prng.between(50, 500) }),
    end: healNetwork,
    msMax: 4000,
  },
  replay: {
    begin: (sim, node) => sim.replay(node, sim.world.prng.between(1, 100)),
    end: (sim, node) => sim.replay(node, sim.world.prng.between(1, 100)),
    msMax: 3000,
  },
  garbage: {
    begin: (sim, node) => sim.network.garbage(node, sim.world.prng.between(1, 50)),
    end: nothing,
    msMax: 500,
  },
  'slow writes': {
    begin: (sim, node) => sim.disk(node, { slowWriteMs: sim.world.within(5, 300) }),
    end: (sim, node) => sim.disk(node, { slowWriteMs: 0 }),
    msMax: 4000,
  },
  'slow reads': {
    begin: (sim, node) => sim.disk(node, { slowReadMs: sim.world.within(5, 200) }),
    end: (sim, node) => sim.disk(node, { slowReadMs: 0 }),
    msMax: 4000,
  },
  'hung writes': { begin: (sim, node, ms) => sim.hang(node, ms, 'writes'), end: nothing, msMax: 6000 },
  'hung reads': { begin: (sim, node, ms) => sim.hang(node, ms, 'reads'), end: nothing, msMax: 6000 },
  'hung storage': {
    begin: (sim, _node, ms) => {
      for (const each of sim.each) sim.hang(each, ms);
    },
    end: nothing,
    msMax: 6000,
  },
  'write errors': {
    begin: (sim, node) => sim.disk(node, { writeErrno: EIO }),
    end: (sim, node) => sim.disk(node, { writeErrno: 0 }),
    msMax: 4000,
  },
  'read errors': {
    begin: (sim, node) => sim.disk(node, { readErrno: EIO }),
    end: (sim, node) => sim.disk(node, { readErrno: 0 }),
    msMax: 4000,
  },
  'stale reads': {
    begin: (sim, node) => sim.showPast(node),
    end: (sim, node) => sim.disk(node, { past: null }),
    msMax: 700,
  },
  misdirected: { begin: (sim, node) => sim.misdirect(node), end: nothing, msMax: 1000 },
  crash: { begin: (sim, node) => sim.crash(node), end: (sim, node) => sim.start(node), msMax: 1500 },
  reboot: { begin: (sim, node) => sim.crash(node, true), end: (sim, node) => sim.start(node), msMax: 4000 },
  freeze: { begin: (sim, node) => sim.freeze(node), end: (sim, node) => sim.thaw(node), msMax: 5000 },
  'restart before a volume that shows the past': {
    begin: (sim, node) => restartBefore(sim, node, () => others(sim.each.length, node).forEach((i) => sim.showPast(i))),
    end: (sim, node) => others(sim.each.length, node).forEach((i) => sim.disk(i, { past: null })),
    msMax: 1500,
  },
  'restart before somebody who repeats everything': {
    begin: (sim, node, ms) => {
      const untilMs = sim.nowMs + ms;
      restartBefore(sim, node, () => {
        sim.cut();
        repeat(sim, node, untilMs);
      });
    },
    end: (sim) => sim.heal(),
    msMax: 2000,
  },
  operator: {
    begin: (sim, node) => sim.override(node, sim.world.prng.chance(1, 2) ? 'storage' : 'network'),
    end: (sim, node) => sim.override(node, 'auto'),
    msMax: 3000,
  },
};

function restartBefore(sim: Simulation, node: NodeIndex, then: () => void): void {
  sim.crash(node);
  then();
  sim.world.after(sim.world.within(20, 300), () => sim.start(node));
}

function repeat(sim: Simulation, node: NodeIndex, untilMs: number): void {
  if (sim.nowMs >= untilMs) return;
  sim.replay(node, 20);
  sim.world.after(30, () => repeat(sim, node, untilMs));
}

function flap(sim: Simulation, untilMs: number): void {
  if (sim.nowMs >= untilMs) return;
  const isUp = sim.network.way(0, 1).up;
  if (isUp) sim.cut();
  else sim.heal();
  sim.world.after(sim.world.within(20, 400), () => flap(sim, untilMs));
}

/** Begins and ends faults until `untilMs`, then sees to it that all are over. */
export function letFaultsHappen(sim: Simulation, untilMs: number): void {
  const { prng } = sim.world;
  const faults = sim.each.length === 2 ? FAULTS : { ...FAULTS, ...PAIR_FAULTS };
  const names = Object.keys(faults);
  // Some runs mix nearly everything, others have one or two faults and demand the more of the rest.
  const oneIn = [2, 4, 8, 16][prng.below(4)] ?? 4;
  const kinds = names.filter(() => prng.chance(1, oneIn));
  if (kinds.length === 0) kinds.push(names[prng.below(names.length)] ?? 'cut');
  const pauseMs = prng.between(100, 2500);
  sim.world.note(`faults: ${kinds.join(', ')}; every ${pauseMs} ms`);
  const next = (): void => {
    if (sim.nowMs >= untilMs) return;
    const name = kinds[prng.below(kinds.length)] as string;
    const fault = faults[name] as Fault;
    const [node, peer] = drawPair(sim);
    const ms = Math.min(sim.world.within(10, fault.msMax), untilMs - sim.nowMs);
    sim.world.note(`fault: ${name}, node ${node} (and ${peer}), ${ms.toFixed(0)} ms`);
    fault.begin(sim, node, ms, peer);
    sim.world.after(ms, () => fault.end(sim, node, peer));
    sim.world.after(sim.world.within(0.2, 1.8) * pauseMs, next);
  };
  next();
  sim.world.at(untilMs, () => endFaults(sim));
}

function drawPair(sim: Simulation): [NodeIndex, NodeIndex] {
  const { prng } = sim.world;
  const count = sim.each.length;
  if (count === 2) return prng.chance(1, 2) ? [0, 1] : [1, 0];
  const node = prng.below(count);
  const peers = others(count, node);
  return [node, at(peers, prng.below(peers.length))];
}

export function endFaults(sim: Simulation): void {
  sim.world.note('all faults end');
  sim.heal();
  sim.healDisks();
  for (const node of sim.each) {
    sim.thaw(node);
    sim.start(node);
    sim.override(node, 'auto');
  }
}
