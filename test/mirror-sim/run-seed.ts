/**
 * One seed: sizes, load and faults are drawn from it; while faults come nothing may be wrong (safety), when they are over all
 * must come to rest within a bound (liveness), with clients that go on writing for a while.
 */
import { heal, letFaultsHappen } from './faults.ts';
import { Reconciliation } from './operator.ts';
import type { Violation } from './oracle.ts';
import type { Site } from './site.ts';
import type { SimSettings } from './settings.ts';
import { Simulation } from './simulation.ts';

/** A link that was lost waits for up to 1 s, one that was refused for 3. */
const IN_SYNC_MS = 60_000;
const BUSY_MS = 40;
const REST_MS = 20_000;

export interface SeedResult {
  readonly seed: number;
  readonly violations: readonly Violation[];
  readonly digest: string;
  readonly simulatedMs: number;
  readonly counts: Readonly<Record<string, number>>;
  /** The last events. */
  readonly trace: readonly string[];
}

/** Makes a run another one: a planted bug. What it answers takes it back. */
export type Plant = (sim: Simulation) => (() => void) | void;

export async function runSeed(
  seed: number,
  plant: Plant = () => {},
  change: Partial<SimSettings> = {},
): Promise<SeedResult> {
  const sim = new Simulation(seed, change);
  const { world, oracle } = sim;
  const takeBack = plant(sim);
  try {
    sim.begin();
    // Long ones see what takes several things one after the other: an overflow, a restart, a return.
    const ms = world.prng.chance(1, 4) ? world.prng.between(1500, 5000) : world.prng.between(250, 1000);
    const faultsMs = Math.max(sim.faultsMsMin, ms);
    if (!sim.isCalm) letFaultsHappen(sim, faultsMs);
    await sim.run(faultsMs);
    if (oracle.violations.length === 0) await comesToRest(sim);
  } finally {
    takeBack?.();
  }
  if (oracle.violations.length > 0) sim.trace.push(JSON.stringify(sim.state));
  return {
    seed,
    violations: oracle.violations,
    digest: world.digest,
    simulatedMs: world.nowMs,
    counts: oracle.counts,
    trace: sim.trace,
  };
}

/** [I14] */
async function comesToRest(sim: Simulation): Promise<void> {
  const { oracle, sites } = sim;
  heal(sim);
  const reconciliation = new Reconciliation(sim);
  for (const { asSource } of sites) asSource.pace = 6;
  const sessions = () => reconciliation.winner?.source?.monitor.group.sessions ?? [];
  const inSync = (): boolean =>
    sites.every((site) => site.commands === 0 && (site.target !== null || site === reconciliation.winner)) &&
    sessions().length === sites.length - 1 &&
    sessions().every(({ link }) => link.state === 'in-sync');
  const isSync = await sim.run(IN_SYNC_MS, inSync);
  if (oracle.violations.length > 0) return undefined;
  if (!isSync) {
    const states = sessions().map(({ link }) => `${link.name} ${link.state}`);
    return oracle.violate('I14', `not in sync ${IN_SYNC_MS} ms after all faults: ${states.join(', ') || 'no source'}`);
  }
  reconciliation.end();
  const winner = reconciliation.winner as Site;
  const others = sites.filter((site) => site !== winner);
  await mendUnsound(sim, winner, others);
  winner.asSource.pace = 1;
  await sim.run(BUSY_MS);
  winner.asSource.pace = Infinity;
  const { history } = winner.asSource;
  const isAtRest = (): boolean => {
    const status = winner.source?.monitor.status;
    const isIdle = winner.asSource.clients.every((client) => client.isIdle);
    const isStored = status !== undefined && status.stored === status.head && isIdle;
    // One that is being compared in place says the mark that it is compared with before it is whole.
    return isStored && inSync() && others.every(({ target }) => target?.status().cut === history?.mark);
  };
  if (!(await sim.run(REST_MS, isAtRest)) && oracle.violations.length === 0) {
    const cuts = others.map(({ name, target }) => `${name} ${target?.status().cut}`);
    return oracle.violate(
      'I14',
      `no rest ${REST_MS} ms after the last write: mark ${history?.mark}, cuts ${cuts.join(', ')}`,
    );
  }
  if (oracle.violations.length > 0 || !history) return undefined;
  const end = history.at(history.mark);
  // What its own storage has made of the volumes of the source is what all have now.
  if (winner.isUnsound) end.content.forEach((content, i) => content.set(winner.content[i] ?? content));
  for (const site of sites) history.compare('I18', `${site.name} at the end`, site.content, end);
  return undefined;
}

/** [I13] Whose storage has lied is compared: what differs is named, and all of it mended by a resync. */
async function mendUnsound(sim: Simulation, winner: Site, others: readonly Site[]): Promise<void> {
  const { oracle } = sim;
  for (const site of others) {
    const session = winner.source?.monitor.group.sessions.find(({ link }) => link.name === site.name);
    if (oracle.violations.length > 0 || !session || (!site.isUnsound && !winner.isUnsound)) continue;
    for (const { asSource } of sim.sites) asSource.pace = Infinity;
    const isQuiet = (): boolean =>
      session.link.applied === winner.asSource.history?.mark && session.link.state === 'in-sync';
    await sim.run(REST_MS, isQuiet);
    const isDone = (): boolean => session.verified?.state === 'done';
    session.verify();
    await sim.run(IN_SYNC_MS, isDone);
    const differing = site.content.some((content, i) => Buffer.compare(content, winner.content[i] ?? content) !== 0);
    const found = session.verified?.differingBytes ?? 0;
    if (!isDone()) oracle.violate('I14', `the scrub of ${site.name} does not end`);
    else if (differing !== found > 0) {
      oracle.violate(
        'I13',
        `the scrub of ${site.name} names ${found} bytes, and it ${differing ? 'differs' : 'is equal'}`,
      );
    }
    if (differing) oracle.count('scrubs that found something');
    session.compareAll(false);
    const before = session.begun;
    const isSync = (): boolean => session.begun > before && session.link.state === 'in-sync';
    if (!(await sim.run(IN_SYNC_MS, isSync)) && oracle.violations.length === 0) {
      oracle.violate('I14', `the resync of ${site.name} does not end`);
    }
    // What a send volume has made of itself is at the copies too.
    site.isUnsound = winner.isUnsound;
    site.asTarget.forget();
  }
}
