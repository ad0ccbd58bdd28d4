/**
 * Stories that a run is told: who goes and comes, and when, with the sizes and the load at which that matters. In a calm one
 * nothing else befalls anybody.
 */
import { EIO } from './disk.ts';
import { isCopy } from './operator.ts';
import type { Plant } from './run-seed.ts';
import type { SimSettings } from './settings.ts';
import type { Simulation } from './simulation.ts';

/** A bug is to be found by itself, not by what operators and bad storage make of it. */
export const PLAIN: Partial<SimSettings> = { hasOperators: false, hasLies: false, hasLog: false };

/** Transfers come in any order, as over several slow connections. */
export function disorder(sim: Simulation): void {
  for (const { name } of sim.targets) sim.network.change(name, { reorderPerMille: 600, bytesPerMs: 60, jitterMs: 5 });
}

/**
 * The source loses its power again and again while its disk is slow: targets have marks that it has not, and others get them
 * afterwards, among frames of former sessions.
 */
export function forget(sim: Simulation): void {
  const { world, source, network, targets } = sim;
  sim.faultsMsMin = 1500;
  let times = 3;
  source.sourceOpened = () => {
    if (times-- <= 0) return;
    source.journal.faults.slowMs = 60;
    for (let i = 0; i < 6; i++) {
      world.after(world.within(3, 300), () => targets.forEach(({ name }) => network.replay(name, 12)));
    }
    world.after(world.within(100, 400), () => {
      source.crash(true);
      source.journal.heal();
      world.after(20, () => source.boot());
    });
  };
}

/** More than a target's ring holds is written while it is away, and the source that meets it again has just started. */
export function backlog(sim: Simulation): void {
  const { world, source, network, targets } = sim;
  const up = (isUp: boolean): void => {
    for (const { name } of targets) network.change(name, { up: [isUp, isUp] });
  };
  world.after(150, () => up(false));
  world.after(1200, () => source.crash(false));
  world.after(1210, () => up(true));
  world.after(1250, () => source.boot());
}

/**
 * The links go and come: each time for so long that the ring is full of what the targets lack. They are slow, so a target shows a
 * cut long after much else was written all over its volumes; just before a link goes, and while it is away, one place is written.
 */
export function swings(sim: Simulation): void {
  const { world, network, targets } = sim;
  [sim.faultsMsMin, sim.isCalm] = [3500, true];
  const up = (isUp: boolean): void => {
    for (const { name } of targets) network.change(name, { up: [isUp, isUp], bytesPerMs: 200 });
  };
  const swing = (): void => {
    if (sim.isHealed) return;
    writesTo(sim, 'all places');
    up(true);
    world.after(world.within(200, 500), () => writesTo(sim, 'one place'));
    world.after(world.within(500, 700), () => {
      if (!sim.isHealed) up(false);
    });
    world.after(world.within(1100, 1400), swing);
  };
  world.after(400, swing);
}

/** What is written all over the volumes is in every chunk of a bitmap. */
const writesTo = (sim: Simulation, where: 'one place' | 'all places'): void =>
  void Object.assign(sim.settings, { hotPercent: where === 'one place' ? 100 : 0 });
export const SWINGS: Partial<SimSettings> = {
  targets: 1,
  sourceRing: { ringBytes: 1 << 16, windowBytes: 1 << 15 },
  // An image of all of it must fit into half of a window, and each pass of a comparison may bring all of it once more.
  targetRing: { ringBytes: 1 << 22, windowBytes: 1 << 20 },
  overflow: { afterMs: 50, policy: 'degrade' },
  inquiry: { intervalMs: 50, misses: 3 },
  // Several chunks of a bitmap.
  volumeBytes: [393_216],
  acknowledge: 'local',
  hotPercent: 0,
  payloadMax: 2000,
  thinkMs: 6,
  clients: 4,
};

export const FALLS: Partial<SimSettings> = { ...SWINGS, payloadMax: 14_000 };

/** What has overflowed is stopped in order, started, overflows again, and loses its power. */
export function stopAndFall(sim: Simulation): void {
  const { world, network, source, targets } = sim;
  [sim.faultsMsMin, sim.isCalm] = [3200, true];
  const up = (isUp: boolean): void => {
    for (const { name } of targets) network.change(name, { up: [isUp, isUp] });
  };
  // What is noted before the stop is one chunk, what comes later are others.
  writesTo(sim, 'one place');
  world.after(1000, () => up(false));
  world.after(1600, () => source.stop());
  world.after(2100, () => writesTo(sim, 'all places'));
  world.after(2800, () => source.crash(true));
  world.after(2810, () => {
    writesTo(sim, 'one place');
    source.boot();
  });
  world.after(3000, () => up(true));
}

/** The links break now and then, and nothing else does. */
export function breaks(sim: Simulation): void {
  const { world, network, targets } = sim;
  [sim.faultsMsMin, sim.isCalm] = [2500, true];
  const next = (): void => {
    if (sim.isHealed) return;
    for (const { name } of targets) network.reset(name);
    world.after(world.within(400, 800), next);
  };
  world.after(900, next);
}

/** Connections that are not the first of their session break, one after the other. */
export function breaking({ world, network, targets }: Simulation): void {
  const next = (): void => {
    for (const { name } of targets) network.resetOne(name);
    if (world.nowMs < 1000) world.after(world.within(20, 120), next);
  };
  world.after(100, next);
}

/** The source loses its power, and some of what it did not flush, again and again. */
export function falls(sim: Simulation): void {
  const { world, source } = sim;
  sim.faultsMsMin = 1500;
  let times = 4;
  source.sourceOpened = () => {
    if (times-- <= 0) return;
    world.after(world.within(100, 400), () => {
      source.crash(true);
      world.after(20, () => source.boot());
    });
  };
}

/** Flushes of the receive volumes fail, and drop what they should have written. */
export function badFlushes(sim: Simulation): void {
  const { world, targets } = sim;
  [sim.faultsMsMin, sim.isCalm] = [1500, true];
  const next = (): void => {
    if (sim.isHealed) return;
    const disk = world.prng.pick(world.prng.pick(targets).volumes);
    Object.assign(disk.faults, { flushErrno: EIO, perMille: 500 });
    world.after(100, () => disk.heal());
    world.after(200, next);
  };
  world.after(500, next);
}

/** The source's wall clock is set back and forth all the time. */
export function clockJumps(sim: Simulation): void {
  const { world, source } = sim;
  sim.faultsMsMin = 1500;
  const jump = (): void => {
    if (sim.isHealed) return;
    source.wallMs += world.prng.pick([-5000, -50, -20, 20, 50]);
    world.after(world.within(5, 60), jump);
  };
  jump();
}

/** The source loses its targets, and an operator at one of them tries to take over until it is done. */
export const desertedBy =
  (isForced: boolean): Plant =>
  (sim) => {
    const { world, network, log, targets } = sim;
    const [target] = targets;
    if (!target) return;
    sim.faultsMsMin = 1500;
    const tries = (): void => {
      if (!target.target || sim.isHealed) return;
      void target.command('mirror-takeover', { force: isForced && isCopy(target) });
      world.after(world.within(40, 200), tries);
    };
    world.after(world.within(300, 700), () => {
      log.delayMs = world.within(1, 200);
      for (const { name } of [sim.source, ...targets]) network.change(name, { up: [false, false] });
      world.after(world.within(100, 600), tries);
    });
  };

/**
 * One target takes over, and the source follows it; the other one, which knew nothing of that, takes over too. When the first is
 * given up, what was the source is a copy of writes that nobody wants any more.
 */
export function takenTwice(sim: Simulation): void {
  const { world, network, source, targets } = sim;
  const [first, second] = targets;
  if (!first || !second) return;
  [sim.faultsMsMin, sim.isCalm] = [6000, true];
  const once = (isSo: () => boolean, action: () => void): void =>
    world.after(50, () => {
      if (isSo()) action();
      else if (!sim.isHealed) once(isSo, action);
    });
  once(
    () => isCopy(first) && isCopy(second),
    () => {
      network.change(second.name, { up: [false, false] });
      void first.command('mirror-takeover', { force: true });
      once(
        () => source.source?.succession.standing === 'overtaken',
        () => void source.command('mirror-failback', { discard: true }),
      );
      // As soon as it is a target, the second one could have it first.
      const follows = (): boolean =>
        first.source?.monitor.group.sessions.some(
          ({ link }) => link.name === source.name && link.state === 'in-sync',
        ) === true;
      once(
        () => isCopy(source) && follows(),
        () => void second.command('mirror-takeover', { force: true }),
      );
    },
  );
}

export const DESERTED: Partial<SimSettings> = {
  targets: 1,
  inquiry: { intervalMs: 50, misses: 3 },
  overflow: { afterMs: 50, policy: 'degrade' },
  acknowledge: 'sync',
  hasLog: true,
  hasOperators: true,
  // Each may become what the other is.
  sourceRing: { ringBytes: 1 << 19, windowBytes: 1 << 18 },
  targetRing: { ringBytes: 1 << 19, windowBytes: 1 << 18 },
  thinkMs: 6,
  clients: 4,
};

export const BREAKS: Partial<SimSettings> = {
  targets: 1,
  // None comes while a link is away, so the next one goes on from where the target is.
  checkpoint: { by: 'references', everyCycles: 0, ms: 600, onFlush: false },
  sourceRing: { ringBytes: 1 << 20, windowBytes: 1 << 17 },
  targetRing: { ringBytes: 1 << 21, windowBytes: 1 << 20 },
  acknowledge: 'local',
  thinkMs: 6,
  clients: 4,
};

export const BACKLOG: Partial<SimSettings> = {
  targets: 1,
  sourceRing: { ringBytes: 1 << 20, windowBytes: 1 << 16 },
  targetRing: { ringBytes: 1 << 18, windowBytes: 1 << 18 },
  overflow: { afterMs: 60_000, policy: 'degrade' },
  volumeBytes: [98_304, 49_152],
  acknowledge: 'local',
  payloadMax: 14_000,
  thinkMs: 6,
  clients: 4,
};

/** Much for several connections to carry. */
export const SEVERAL: Partial<SimSettings> = {
  connections: [4, 4, 4],
  bytesPerSecond: 0,
  acknowledge: 'local',
  overflow: { afterMs: 60_000, policy: 'degrade' },
  checkpoint: null,
  thinkMs: 3,
  clients: 4,
  payloadMax: 14_000,
};

/** A target whose ring is filled soon. */
export const SMALL: Partial<SimSettings> = {
  targets: 1,
  sourceRing: { ringBytes: 1 << 19, windowBytes: 1 << 16 },
  targetRing: { ringBytes: 1 << 18, windowBytes: 1 << 18 },
  volumeBytes: [98_304, 49_152],
};
