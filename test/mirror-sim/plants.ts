/**
 * Bugs that mirrors have had, planted one at a time into what a run is wired with: each must be found. The product knows
 * nothing of them.
 */
import { BlockMap } from '../../agent/mirror/core/block-map.ts';
import { Cover } from '../../agent/mirror/core/cover.ts';
import { Receiver } from '../../agent/mirror/core/receiver.ts';
import { decodeBegin } from '../../agent/mirror/link/greeting.ts';
import { Outflow } from '../../agent/mirror/source/outflow.ts';
import { Copy } from '../../agent/mirror/target/copy.ts';
import type { VolumeDevice } from '../../agent/mirror/threads/volume-loop.ts';
import { decodeFrame, encodeFrame, FRAME, FRAME_KIND, type FrameKind } from '../../agent/mirror/wire/frame.ts';
import { crc32 } from '../../agent/base/crc32.ts';
import type { Plant } from './run-seed.ts';
import type { SimSettings } from './settings.ts';
import type { Simulation } from './simulation.ts';
import { SWITCHES } from './switches.ts';

export interface Planted {
  readonly plant: Plant;
  /** What a run needs for the bug to matter. */
  readonly settings?: Partial<SimSettings>;
  /** The first that found it. Where other code draws otherwise it may be another, which the search prints. */
  readonly seed: number;
}

/** Puts another method in place of a class's own, until it is taken back. */
function patched<T extends object, K extends keyof T>(prototype: T, name: K, make: (own: T[K]) => T[K]): () => void {
  const own = prototype[name];
  prototype[name] = make(own);
  return () => (prototype[name] = own);
}

function frameOf(kind: FrameKind, session: number, id: number, body: Uint8Array = new Uint8Array(0)): Uint8Array {
  const frame = new Uint8Array(FRAME.bytes + body.length);
  encodeFrame({ kind, count: 0, bodyBytes: body.length, session, id, bodyCrc: crc32(body) }, frame, 0);
  frame.set(body, FRAME.bytes);
  return frame;
}

const headOf = (frame: Uint8Array) => {
  const decoded = decodeFrame(frame, 0);
  if (!decoded.ok) throw new Error(decoded.fault);
  return decoded.frame;
};

/** A failed flush is called again, and its second answer is believed. */
const retrying = (device: VolumeDevice): VolumeDevice => ({
  bytes: device.bytes,
  read: (offset, into) => device.read(offset, into),
  write: (offset, from) => device.write(offset, from),
  zero: (offset, length, mayPunch) => device.zero(offset, length, mayPunch),
  flush: () => (device.flush() < 0 ? device.flush() : 0),
  close: () => device.close(),
});

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

/** Connections that are not the first of their session break, one after the other. */
export function breaking({ world, network, targets }: Simulation): void {
  const next = (): void => {
    for (const { name } of targets) network.resetOne(name);
    if (world.nowMs < 1000) world.after(world.within(20, 120), next);
  };
  world.after(100, next);
}

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

/** The source loses its targets, and an operator at one of them tries to take over until it is done. */
const desertedBy =
  (isForced: boolean): Plant =>
  (sim) => {
    const { world, network, log, targets } = sim;
    const [target] = targets;
    if (!target) return;
    sim.faultsMsMin = 1500;
    const tries = (): void => {
      if (!target.target || sim.isHealed) return;
      void target.command('mirror-takeover', { force: isForced });
      world.after(world.within(40, 200), tries);
    };
    world.after(world.within(300, 700), () => {
      log.delayMs = world.within(1, 200);
      for (const { name } of [sim.source, ...targets]) network.change(name, { up: [false, false] });
      world.after(world.within(100, 600), tries);
    });
  };
export const DESERTED: Partial<SimSettings> = {
  targets: 1,
  inquiry: { intervalMs: 50, misses: 3 },
  overflow: { afterMs: 50, policy: 'degrade' },
  acknowledge: 'sync',
  hasLog: true,
  hasOperators: true,
  thinkMs: 6,
  clients: 4,
};

/** Does several things, and takes them back. */
const all =
  (...plants: readonly Plant[]): Plant =>
  (sim) => {
    const takeBack = plants.map((plant) => plant(sim));
    return () => takeBack.forEach((back) => back?.());
  };

const turned =
  (name: keyof typeof SWITCHES): Plant =>
  () => {
    SWITCHES[name] = true;
    return () => (SWITCHES[name] = false);
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

export const PLANTS: Readonly<Record<string, Planted>> = {
  'entries are freed after the first target has them': {
    settings: { targets: 2 },
    seed: 3,
    plant: (sim) => {
      sim.source.sourceOpened = ({ monitor: { journal, group } }) => {
        const free = journal.free.bind(journal);
        journal.free = () => free(Math.max(...group.sessions.map(({ freed }) => freed).filter(Number.isFinite), 0));
      };
    },
  },
  'a target drops what it holds when the link goes': {
    settings: { acknowledge: 'sync' },
    seed: 5,
    plant: () =>
      patched(
        Receiver.prototype,
        'lost',
        (lost) =>
          function (this: Receiver) {
            this.begin(this.session + 1, this.committed);
            lost.call(this);
          },
      ),
  },
  'a cycle is applied before its seal is there': {
    seed: 1,
    plant: () =>
      patched(
        Receiver.prototype,
        'placed',
        (placed) =>
          function (this: Receiver, arrival) {
            placed.call(this, { ...arrival, isSeal: true });
          },
      ),
  },
  'a cycle is applied at its seal, not at COMMIT': {
    settings: { checkpoint: null },
    seed: 7,
    plant: (sim) => {
      sim.tap = (link, isToTarget, frame, by) => {
        const { kind, session, id } = headOf(frame);
        if (!isToTarget && kind === FRAME_KIND.sealed) {
          sim.network.inject(link, frameOf(FRAME_KIND.commit, session, id));
          sim.network.inject(link, frameOf(FRAME_KIND.roll, session, sim.site(by).asSource.history?.lastMark(id) ?? 0));
        }
        return frame;
      };
    },
  },
  'entries are applied as they arrived, not by mark': {
    settings: {
      checkpoint: null,
      hotPercent: 90,
      thinkMs: 3,
      clients: 4,
      targets: 1,
      acknowledge: 'local',
      cycles: { cycleMs: 200, bytes: 65_536 },
    },
    seed: 67,
    plant: (sim) => {
      disorder(sim);
      return patched(
        Receiver.prototype,
        'toApply',
        (toApply) =>
          function (this: Receiver, cut) {
            return toApply.call(this, cut).sort((a, b) => a.position - b.position);
          },
      );
    },
  },
  'frames of an old session are taken': {
    settings: { checkpoint: null, clients: 4, thinkMs: 6 },
    seed: 2,
    plant: (sim) => {
      forget(sim);
      sim.network.replayed = (frame, newest) => {
        const copy = frame.slice();
        const head = decodeFrame(frame, 0);
        // What the wire has damaged is of no use to anybody.
        if (!head.ok) return copy;
        encodeFrame({ ...head.frame, session: newest }, copy, 0);
        return copy;
      };
    },
  },
  'what a lost connection held is not sent again': {
    settings: SEVERAL,
    seed: 5,
    plant: all(breaking, () => patched(Outflow.prototype, 'leave', () => () => {})),
  },
  'what goes in any order may have no room': {
    settings: { ...SEVERAL, ...SMALL },
    seed: 35,
    plant: turned('fitsAlways'),
  },
  'a failed flush is called again': {
    seed: 65,
    plant: (sim) => {
      for (const node of sim.sites) node.device = retrying;
    },
  },
  'a comparison that broke off counts as complete': {
    seed: 21,
    plant: () =>
      patched(
        Copy.prototype,
        'lost',
        (lost) =>
          function (this: Copy) {
            lost.call(this);
            this.wholeAt(this.receiver.cut.mark);
          },
      ),
  },
  'a handshake declares the copy whole by rule': {
    seed: 1,
    plant: (sim) => {
      sim.tap = (link, isToTarget, frame) => {
        const { kind, session } = headOf(frame);
        if (isToTarget && kind === FRAME_KIND.begin) {
          const { how, from } = decodeBegin(frame.subarray(FRAME.bytes));
          const whole = frameOf(FRAME_KIND.resynced, session, from.mark);
          if (how !== 'replay') sim.world.after(0, () => sim.network.inject(link, whole));
        }
        return frame;
      };
    },
  },
  'volumes are compared by a weak digest': {
    seed: 1,
    plant: (sim) => {
      for (const node of sim.sites) node.digests = (digests) => digests.fill(0);
    },
  },
  'a partly written block goes as a reference': {
    settings: { checkpoint: { by: 'references', everyCycles: 1, ms: 20, onFlush: false } },
    seed: 1,
    plant: () =>
      patched(
        BlockMap.prototype,
        'write',
        (write) =>
          function (this: BlockMap, volume, offset, length, mark) {
            const first = offset - (offset % 4096);
            const last = Math.ceil((offset + length) / 4096) * 4096;
            write.call(this, volume, first, last - first, mark);
          },
      ),
  },
  'clients are answered before the outdated mark is durable': {
    settings: DESERTED,
    seed: 43,
    plant: all(desertedBy(false), () =>
      patched(
        Cover.prototype,
        'look',
        (look) =>
          function (this: Cover, ...facts) {
            const action = look.apply(this, facts);
            if (action?.do === 'mark') this.marked();
            return action;
          },
      ),
    ),
  },
  'an outdated target takes over without force': {
    settings: DESERTED,
    seed: 2,
    plant: all(desertedBy(false), turned('hasNoDoubts')),
  },
  'generations are merged': {
    settings: { ...DESERTED, targets: 2, hasLog: false },
    seed: 1,
    plant: all(desertedBy(true), turned('mergesGenerations')),
  },
};
