/** What befalls a simulated mirror: kinds and rates are drawn for each seed, then each comes and goes for a while. */
import { encodeSuper, readSuper } from '../../agent/mirror/store/superblock.ts';
import { LINK_VERSION } from '../../agent/mirror/wire/layout.ts';
import { EIO, type SimDisk } from './disk.ts';
import type { Simulation } from './simulation.ts';
import { actSomewhere } from './operator.ts';
import type { Site } from './site.ts';

interface Fault {
  begin(sim: Simulation, target: Site, ms: number): void;
  end(sim: Simulation, target: Site): void;
  readonly msMax: number;
  /** Left out: in any run. */
  readonly needs?: (sim: Simulation) => boolean;
}

/** The next one that is refused. */
const OTHER_VERSION = LINK_VERSION + 0x1_0000;
/** Back and forth, and ten years ahead. */
const CLOCK_STEPS_MS = [-3_600_000, -500, 500, 3_600_000, 315_360_000_000];

const nothing = (): void => {};

/** What a fault does behind its end may come when all are over: then it does not come, for from then on nothing befalls anybody. */
function later(sim: Simulation, ms: number, action: () => void): void {
  sim.world.after(ms, () => {
    if (!sim.isHealed) action();
  });
}

/** Any disk of any machine. */
function anyDisk(sim: Simulation, target: Site): SimDisk {
  const { prng } = sim.world;
  return prng.pick([...(prng.chance(1, 2) ? sim.source.disks : target.disks)]);
}

const disks = (change: (sim: Simulation, ms: number) => Partial<SimDisk['faults']>, msMax: number): Fault => ({
  begin: (sim, target, ms) => {
    const disk = anyDisk(sim, target);
    const faults = change(sim, ms);
    Object.assign(disk.faults, faults);
    if (disk === target.journal) target.mayMiss = true;
    sim.world.after(ms, () => disk.heal());
  },
  end: nothing,
  msMax,
});

const someTimes = (sim: Simulation): number => sim.world.prng.pick([1000, 300, 50]);

const FAULTS: Readonly<Record<string, Fault>> = {
  reset: { begin: (sim, { name }) => sim.network.reset(name), end: nothing, msMax: 100 },
  'one connection reset': {
    begin: (sim, { name }) => sim.network.resetOne(name),
    end: (sim, { name }) => sim.network.resetOne(name),
    msMax: 100,
  },
  'one connection silent': {
    begin: (sim, { name }, ms) => sim.network.silenceOne(name, ms),
    end: nothing,
    msMax: 1500,
  },
  cut: {
    begin: (sim, { name }) => sim.network.change(name, { up: [false, false] }),
    end: (sim, { name }) => sim.network.change(name, { up: [true, true] }),
    msMax: 1500,
  },
  'one-way cut': {
    begin: (sim, { name }) =>
      sim.network.change(name, { up: sim.world.prng.chance(1, 2) ? [false, true] : [true, false] }),
    end: (sim, { name }) => sim.network.change(name, { up: [true, true] }),
    msMax: 1500,
  },
  flap: {
    begin: (sim, target, ms) => flap(sim, target, sim.world.nowMs + ms),
    end: (sim, { name }) => sim.network.change(name, { up: [true, true] }),
    msMax: 1200,
  },
  delay: {
    begin: (sim, { name }) =>
      sim.network.change(name, { delayMs: sim.world.within(1, 150), jitterMs: sim.world.within(0, 100) }),
    end: (sim, { name }) => sim.network.change(name, { delayMs: 0.2, jitterMs: 0.1 }),
    msMax: 1500,
  },
  throttle: {
    begin: (sim, { name }) => sim.network.change(name, { bytesPerMs: sim.world.prng.between(10, 400) }),
    end: (sim, { name }) => sim.network.change(name, { bytesPerMs: 100_000 }),
    msMax: 1500,
  },
  disorder: {
    begin: (sim, { name }) => sim.network.change(name, { reorderPerMille: sim.world.prng.between(50, 600) }),
    end: (sim, { name }) => sim.network.change(name, { reorderPerMille: 0 }),
    msMax: 2500,
  },
  duplicates: {
    begin: (sim, { name }) => sim.network.change(name, { duplicatePerMille: sim.world.prng.between(50, 500) }),
    end: (sim, { name }) => sim.network.change(name, { duplicatePerMille: 0 }),
    msMax: 1500,
  },
  'old frames': {
    begin: (sim, { name }) => sim.network.replay(name, sim.world.prng.between(1, 20)),
    end: (sim, { name }) => sim.network.replay(name, sim.world.prng.between(1, 20)),
    msMax: 500,
  },
  'turned bits': {
    begin: (sim, target) => {
      [target.asTarget.mayBeDamaged, target.mayMiss] = [true, true];
      sim.network.change(target.name, { flipPerMille: sim.world.prng.between(1, 60) });
    },
    end: (sim, { name }) => sim.network.change(name, { flipPerMille: 0 }),
    msMax: 1000,
  },
  'source stopped in order': { begin: (sim) => sim.source.stop(), end: nothing, msMax: 100 },
  'source killed': { begin: (sim) => sim.source.crash(false), end: (sim) => sim.source.boot(), msMax: 800 },
  'source without power': { begin: (sim) => sim.source.crash(true), end: (sim) => sim.source.boot(), msMax: 1500 },
  'source loses power in a call': {
    begin: (sim, target) => {
      for (const disk of sim.source.disks) disk.cutAfter = sim.world.prng.between(1, 30);
      void target;
    },
    end: (sim) => {
      for (const disk of sim.source.disks) disk.cutAfter = 0;
      sim.source.boot();
    },
    msMax: 800,
  },
  'target killed': { begin: (_, target) => target.crash(false), end: (_, target) => target.boot(), msMax: 800 },
  'target without power': { begin: (_, target) => target.crash(true), end: (_, target) => target.boot(), msMax: 1500 },
  'target loses power in a call': {
    begin: (sim, target) => {
      for (const disk of target.disks) disk.cutAfter = sim.world.prng.between(1, 30);
    },
    end: (_, target) => {
      for (const disk of target.disks) disk.cutAfter = 0;
      target.boot();
    },
    msMax: 800,
  },
  'all without power': {
    begin: (sim) => {
      sim.source.crash(true);
      for (const target of sim.targets) target.crash(true);
    },
    end: (sim) => {
      for (const target of sim.targets) target.boot();
      sim.source.boot();
    },
    msMax: 800,
  },
  'source paused': {
    begin: (sim) => sim.source.machine?.freeze(),
    end: (sim) => sim.source.machine?.thaw(),
    msMax: 1500,
  },
  'target paused': {
    begin: (_, target) => target.machine?.freeze(),
    end: (_, target) => target.machine?.thaw(),
    msMax: 1500,
  },
  'write errors': disks((sim) => ({ writeErrno: EIO, perMille: someTimes(sim) }), 1200),
  'read errors': disks((sim) => ({ readErrno: EIO, perMille: someTimes(sim) }), 1000),
  'failing flush': disks((sim) => ({ flushErrno: EIO, perMille: someTimes(sim) }), 1500),
  'full disk': disks((sim) => ({ writeErrno: 28, perMille: someTimes(sim) }), 1200),
  'target slow for ever': {
    begin: (sim, target) => {
      for (const disk of target.disks) disk.faults.slowMs = sim.world.within(5, 60);
    },
    // Until all faults end.
    end: nothing,
    msMax: 10,
  },
  'slow disk': disks((sim) => ({ slowMs: sim.world.within(1, 80) }), 1500),
  'hung disk': disks((sim, ms) => ({ hangsUntilMs: sim.world.nowMs + ms }), 1500),
  'an operator acts': {
    begin: (sim) => actSomewhere(sim, sim.world.prng.pick(sim.sites)),
    end: nothing,
    msMax: 500,
    needs: ({ settings }) => settings.hasOperators,
  },
  'source gone, and an operator acts': {
    begin: (sim, target) => {
      sim.network.change(target.name, { up: [false, false] });
      if (sim.world.prng.chance(1, 2)) sim.source.crash(sim.world.prng.chance(1, 2));
      later(sim, 100, () => actSomewhere(sim, target));
    },
    end: (sim, target) => {
      sim.network.change(target.name, { up: [true, true] });
      sim.source.boot();
    },
    msMax: 1200,
    needs: ({ settings }) => settings.hasOperators,
  },
  'log device away': {
    begin: (sim) => {
      for (const { name } of sim.sites) if (sim.world.prng.chance(1, 2)) sim.log.awayFrom.add(name);
    },
    end: (sim) => sim.log.heal(),
    msMax: 1000,
    needs: ({ settings }) => settings.hasLog,
  },
  'log device slow': {
    begin: (sim) => (sim.log.delayMs = sim.world.within(1, 200)),
    end: (sim) => sim.log.heal(),
    msMax: 1000,
    needs: ({ settings }) => settings.hasLog,
  },
  'log device erased': {
    begin: (sim) => {
      sim.log.content.fill(0);
      // A claim that stood there stands nowhere: who took over in order may be gone on without.
      sim.oracle.forgetClaims();
    },
    end: nothing,
    msMax: 10,
    needs: ({ settings }) => settings.hasLog,
  },
  'another version': {
    begin: (sim, target) => speaks(sim.world.prng.chance(1, 2) ? sim.source : target, OTHER_VERSION),
    end: (sim) => sim.sites.forEach((site) => speaks(site, LINK_VERSION)),
    msMax: 1500,
  },
  'volume resized': {
    begin: (sim) => {
      const site = sim.world.prng.pick(sim.sites);
      site.crash(true);
      sim.world.prng.pick(site.volumes).grown = sim.world.prng.pick([-4096, -512, 512, 65_536]);
      site.boot();
    },
    end: (sim) => sim.sites.forEach(giveBack),
    msMax: 1200,
  },
  'source overflows, falls and returns': {
    begin: (sim, target, ms) => {
      sim.network.change(target.name, { up: [false, false] });
      later(sim, 0.7 * ms, () => sim.source.crash(sim.world.prng.chance(1, 2)));
      later(sim, 0.8 * ms, () => sim.source.boot());
    },
    end: (sim, { name }) => sim.network.change(name, { up: [true, true] }),
    msMax: 2000,
  },
  'older superblock damaged': {
    begin: (sim) => {
      const site = sim.world.prng.pick(sim.sites);
      // Nothing of it is on its way to the medium.
      site.crash(true);
      damageOlderCopy(site);
      site.boot();
    },
    end: nothing,
    msMax: 10,
  },
  'target put back to an older state': {
    begin: (sim, target) => {
      target.crash(true);
      const putBack = target.snapshot();
      target.boot();
      later(sim, sim.world.within(50, 600), () => {
        target.crash(true);
        target.mayLack = true;
        target.asTarget.forget();
        putBack();
        target.boot();
      });
    },
    end: nothing,
    msMax: 10,
    needs: ({ settings }) => settings.hasLies,
  },
  'receive volume lies': {
    begin: (sim, target) => {
      [target.isUnsound, target.mayLack] = [true, true];
      target.volumes.forEach((disk) => lie(sim, disk));
    },
    end: (_, target) => {
      for (const disk of target.volumes) disk.heal();
    },
    msMax: 800,
    needs: ({ settings }) => settings.hasLies,
  },
  // Its checkpoints and comparisons have what it shows: so from here on all copies are what the send volume makes them.
  'send volume lies': {
    begin: (sim) => {
      for (const site of sim.sites) [site.isUnsound, site.mayMiss] = [true, true];
      sim.source.volumes.forEach((disk) => lie(sim, disk));
    },
    end: (sim) => {
      for (const disk of sim.source.volumes) disk.heal();
    },
    msMax: 800,
    needs: ({ settings }) => settings.hasLies,
  },
  /*
   * A source's journal never lies about flush here. Its flush is what an answer promises: what it said to have and a loss of power
   * then takes was answered, and a target that has it is cut back to the journal's end (MI3), for such a tail looks like
   * one that nobody was answered. No scrub finds that, for source and targets agree, and nothing else has the writes.
   */
  'arrival journal lies': {
    begin: (sim, target) => {
      [target.isUnsound, target.mayLack, target.mayMiss] = [true, true, true];
      target.journal.faults.liesPerMille = 1000;
      later(sim, sim.world.within(50, 700), () => {
        target.crash(true);
        target.asTarget.forget();
        target.boot();
      });
    },
    end: (_, target) => target.journal.heal(),
    msMax: 800,
    needs: ({ settings }) => settings.hasLies,
  },
  'arrival journal made anew': {
    begin: (_, target) => {
      target.crash(true);
      target.renewJournal();
      target.boot();
    },
    end: nothing,
    msMax: 10,
    needs: ({ settings }) => settings.hasLies,
  },
  'wall clock': {
    begin: (sim) => (sim.world.prng.pick(sim.sites).wallMs += sim.world.prng.pick(CLOCK_STEPS_MS)),
    end: nothing,
    msMax: 10,
  },
  // Also one that stands still: all times are equal.
  'clock drift': {
    begin: (sim) => (sim.world.prng.pick(sim.sites).wallRate = sim.world.prng.pick([0, 0.5, 0.99, 1.01, 3])),
    end: nothing,
    msMax: 10,
  },
};

/** A volume shows what nobody wrote, and says that it has what it has not. */
function lie({ world: { prng } }: Simulation, disk: SimDisk): void {
  if (prng.chance(1, 4)) disk.rot();
  if (prng.chance(1, 3)) disk.faults.lostPerMille = prng.pick([20, 300]);
  if (prng.chance(1, 3)) disk.faults.strayPerMille = prng.pick([20, 300]);
  if (prng.chance(1, 3)) disk.faults.liesPerMille = 1000;
}

/** Another program is put in its place. */
function speaks(site: Site, version: number): void {
  if (site.linkVersion === version) return;
  site.crash(false);
  site.linkVersion = version;
  site.boot();
}

/** Its volumes are as large again as they were made. */
function giveBack(site: Site): void {
  if (!site.isResized) return;
  site.crash(true);
  for (const disk of site.volumes) disk.grown = 0;
  site.boot();
}

/** Of the two copies the one that does not count any more. */
function damageOlderCopy({ journal }: Site): void {
  const read = readSuper(journal.medium);
  if (typeof read === 'number' || !read.ok) return;
  const bytes = encodeSuper(read.superblock).length;
  journal.content.fill(0x5a, (1 - read.copy) * bytes, (2 - read.copy) * bytes);
}

function flap(sim: Simulation, target: Site, untilMs: number): void {
  const { world, network } = sim;
  if (world.nowMs >= untilMs) return;
  const isUp = network.faults(target.name).up[0];
  network.change(target.name, { up: [!isUp, !isUp] });
  world.after(world.within(10, 300), () => flap(sim, target, untilMs));
}

/** Begins and ends faults until `untilMs`, then sees to it that all are over. */
export function letFaultsHappen(sim: Simulation, untilMs: number): void {
  const { world } = sim;
  const { prng } = world;
  const names = Object.keys(FAULTS).filter((name) => FAULTS[name]?.needs?.(sim) ?? true);
  const oneIn = prng.pick([2, 4, 8, 16]);
  const kinds = names.filter(() => prng.chance(1, oneIn));
  if (kinds.length === 0) kinds.push(prng.pick(names));
  const pauseMs = prng.between(40, 500);
  world.note(`faults: ${kinds.join(', ')}; every ${pauseMs} ms`);
  const next = (): void => {
    if (world.nowMs >= untilMs) return;
    const name = prng.pick(kinds);
    const fault = FAULTS[name] as Fault;
    const target = prng.pick(sim.targets);
    const ms = Math.min(world.within(1, fault.msMax), untilMs - world.nowMs);
    world.note(`fault: ${name}, ${target.name}, ${ms.toFixed(0)} ms`);
    sim.oracle.count(`fault ${name}`);
    fault.begin(sim, target, ms);
    world.after(ms, () => fault.end(sim, target));
    world.after(world.within(0.2, 1.8) * pauseMs, next);
  };
  world.after(world.within(0, 300), next);
}

export function heal(sim: Simulation): void {
  sim.world.note('all faults end');
  sim.isHealed = true;
  sim.network.heal();
  sim.log.heal();
  for (const node of sim.sites) {
    for (const disk of node.disks) disk.heal();
    node.machine?.thaw();
    speaks(node, LINK_VERSION);
    giveBack(node);
    node.boot();
  }
}
