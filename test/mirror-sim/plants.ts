/**
 * Bugs that mirrors have had, planted one at a time into what a run is wired with: each must be found. The product knows
 * nothing of them.
 */
import { BlockMap } from '../../agent/mirror/core/block-map.ts';
import { Cover } from '../../agent/mirror/core/cover.ts';
import { OutOfSync } from '../../agent/mirror/core/out-of-sync.ts';
import { Receiver } from '../../agent/mirror/core/receiver.ts';
import { decodeBegin } from '../../agent/mirror/link/greeting.ts';
import type { Simulation } from './simulation.ts';
import type { Files } from '../../agent/mirror/machine.ts';
import { Checkpoints } from '../../agent/mirror/source/checkpoints.ts';
import { Outflow } from '../../agent/mirror/source/outflow.ts';
import type { takeBitmaps } from '../../agent/mirror/source/saved-bitmaps.ts';
import type { TargetSession } from '../../agent/mirror/source/target-session.ts';
import { JOURNAL_WORD, JournalMemory } from '../../agent/mirror/store/journal-memory.ts';
import { JOURNAL_STATE } from '../../agent/mirror/store/superblock.ts';
import { Copy } from '../../agent/mirror/target/copy.ts';
import type { VolumeDevice } from '../../agent/mirror/threads/volume-loop.ts';
import { decodeFrame, encodeFrame, FRAME, FRAME_KIND, type FrameKind } from '../../agent/mirror/wire/frame.ts';
import { crc32 } from '../../agent/base/crc32.ts';
import type { Plant } from './run-seed.ts';
import type { SimSettings } from './settings.ts';
import {
  badFlushes,
  breaks,
  BREAKS,
  clockJumps,
  DESERTED,
  desertedBy,
  disorder,
  falls,
  FALLS,
  forget,
  stopAndFall,
  SWINGS,
  swings,
} from './stories.ts';
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

/** A session as who does not see that it is another one than before: it seems to have sent all that there is. */
const ageless = (session: TargetSession): TargetSession =>
  seen(session, { link: seen(session.link, { session: 1 }), cuts: seen(session.cuts, { from: 0 }) });

/** The same object, but for these properties. */
function seen<T extends object>(of: T, change: Partial<T>): T {
  return new Proxy(of, {
    get: (_, key) => {
      if (key in change) return change[key as keyof T];
      const value: unknown = Reflect.get(of, key, of);
      return typeof value === 'function' ? (value.bind(of) as unknown) : value;
    },
  });
}

/** What a start makes of bitmaps if it believes whatever was ever saved, and leaves it where it is. */
export function trusting(
  take: typeof takeBitmaps,
  [files, journal, superblock, end]: Parameters<typeof takeBitmaps>,
): ReturnType<typeof takeBitmaps> {
  let kept = null as Buffer | null;
  const peeked = take(
    {
      take: (path) => {
        const bytes = files.take(path);
        if (bytes) (files as Files).put(path, bytes);
        kept = bytes && Buffer.from(bytes);
        return bytes;
      },
    },
    journal,
    superblock,
    end,
  );
  if (!kept) return peeked;
  const bytes = kept;
  const head = JSON.parse(bytes.subarray(16, 16 + bytes.readUInt32LE(8)).toString()) as { mark: number; chain: string };
  const then = { mark: head.mark, chain: BigInt(`0x${head.chain}`) };
  return take({ take: () => bytes }, journal, { ...superblock, state: JOURNAL_STATE.clean }, then);
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

/** Stamps are the wall clock's, which jumps, and the receive volumes get entries in the order of these. */
const byTimeOfDay: Plant = (sim) => {
  clockJumps(sim);
  const times = new Map<number, number>();
  sim.source.sourceOpened = ({ monitor: { journal } }) => {
    const append = journal.append.bind(journal);
    journal.append = (...args) => {
      const put = append(...args);
      if (put) times.set(put.mark, sim.source.wallMs + sim.world.nowMs);
      return put;
    };
  };
  const timeOf = (mark: number): number => times.get(mark) ?? 0;
  return patched(
    Receiver.prototype,
    'toApply',
    (toApply) =>
      function (this: Receiver, cut) {
        return toApply.call(this, cut).sort((a, b) => timeOf(a.mark) - timeOf(b.mark));
      },
  );
};

export const PLANTS: Readonly<Record<string, Planted>> = {
  'entries are freed after the first target has them': {
    settings: { targets: 2 },
    seed: 1,
    plant: (sim) => {
      sim.source.sourceOpened = ({ monitor: { journal, group } }) => {
        const free = journal.free.bind(journal);
        journal.free = () => free(Math.max(...group.sessions.map(({ freed }) => freed).filter(Number.isFinite), 0));
      };
    },
  },
  'a target drops what it holds when the link goes': {
    settings: { acknowledge: 'sync' },
    seed: 6,
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
    seed: 26,
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
    seed: 27,
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
    seed: 2,
    plant: all(breaking, () => patched(Outflow.prototype, 'leave', () => () => {})),
  },
  'what goes in any order may have no room': {
    settings: { ...SEVERAL, ...SMALL },
    seed: 25,
    plant: turned('fitsAlways'),
  },
  'a failed flush is called again': {
    seed: 1,
    plant: (sim) => {
      badFlushes(sim);
      for (const node of sim.sites) node.device = retrying;
    },
  },
  'a comparison that broke off counts as complete': {
    seed: 1,
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
    seed: 1,
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
    seed: 4,
    plant: all(desertedBy(false), turned('hasNoDoubts')),
  },
  'generations are merged': {
    settings: { ...DESERTED, targets: 2, hasLog: false },
    seed: 1,
    plant: all(desertedBy(true), turned('mergesGenerations')),
  },
  'the newer bitmap is forgotten when a resync is acknowledged': {
    settings: SWINGS,
    seed: 35,
    plant: all(swings, () =>
      patched(
        OutOfSync.prototype,
        'shows',
        (shows) =>
          function (this: OutOfSync, mark, newest) {
            shows.call(this, mark, mark);
            shows.call(this, mark, newest);
          },
      ),
    ),
  },
  'references lead into transfers of a session that is over': {
    settings: BREAKS,
    seed: 10,
    plant: all(breaks, () => {
      const known = new Map<TargetSession, TargetSession>();
      const of = (session: TargetSession): TargetSession => {
        const made = known.get(session) ?? ageless(session);
        known.set(session, made);
        return made;
      };
      return patched(
        Checkpoints.prototype,
        'bring',
        (bring) =>
          function (this: Checkpoints, session, committed) {
            bring.call(this, of(session), committed);
          },
      );
    }),
  },
  'a saved bitmap is believed after a stop that was not in order': {
    settings: SWINGS,
    seed: 2,
    plant: all(stopAndFall, turned('trustsBitmaps')),
  },
  'the journal lets go of what is on no flushed send volume': {
    settings: FALLS,
    seed: 1,
    plant: all(falls, () =>
      patched(
        JournalMemory.prototype,
        'publish',
        (publish) =>
          function (this: JournalMemory, word, position) {
            publish.call(this, word, position);
            if (word === JOURNAL_WORD.stored) publish.call(this, JOURNAL_WORD.flushed, position);
          },
      ),
    ),
  },
  'entries are applied by the time of day, not by mark': {
    settings: { checkpoint: null, hotPercent: 90, thinkMs: 3, clients: 4, cycles: { cycleMs: 200, bytes: 65_536 } },
    seed: 1,
    plant: byTimeOfDay,
  },
  'a start forgets how late it was': {
    seed: 1,
    plant: all(falls, clockJumps, turned('forgetsTime')),
  },
};
