/** What a group tells its targets when they get on: a journal in memory, and a session that notes what it is told. */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { LagClock } from '../../../../agent/mirror/core/lag-clock.ts';
import { TargetLink } from '../../../../agent/mirror/core/target-link.ts';
import type { Machine } from '../../../../agent/mirror/machine.ts';
import { type GroupOptions, SourceGroup } from '../../../../agent/mirror/source/group.ts';
import type { SourceJournal } from '../../../../agent/mirror/source/journal.ts';
import { SessionCuts } from '../../../../agent/mirror/source/session-cuts.ts';
import type { TargetSession } from '../../../../agent/mirror/source/target-session.ts';
import { CUT_DIGEST_BYTES, type CutBlocks } from '../../../../agent/mirror/threads/cut-image.ts';
import type { Image } from '../../../../agent/mirror/threads/volume-loop.ts';
import { ENTRY_KIND } from '../../../../agent/mirror/wire/entry.ts';

const BLOCK = 4096;
const CYCLE_MS = 10;

/** All that is appended is durable up to a bound, and on the volumes, at once. */
class Journal {
  durableUntil = Infinity;
  readonly superblock = { volumes: [{ name: 'v', bytes: 1 << 30 }] };
  readonly ringBytes = 1 << 20;
  readonly unkeptBytes = 1 << 20;
  refusedForMs = 0;
  readonly flushed = 0;
  readonly hasFailed = false;
  readonly isAway = false;
  readonly written = new LagClock(0);
  end = { mark: 0, cycle: 0, chain: 0n, position: 0 };
  cycle = 0;

  get head(): number {
    return this.end.position;
  }

  get durable(): number {
    return Math.min(this.end.position, this.durableUntil);
  }

  append(): { readonly mark: number; readonly position: number; readonly end: number } {
    const { mark, position, chain } = this.end;
    this.end = { mark: mark + 1, cycle: this.cycle, chain: chain + 1n, position: position + 128 };
    return { mark: mark + 1, position, end: position + 128 };
  }

  cut(cut: CutBlocks, done: (image: Image) => void): void {
    done({ id: 1, errno: 0, position: 0, mark: 0, bytes: new Uint8Array(cut.blocks.length * CUT_DIGEST_BYTES) });
  }

  free(): void {}
}

type Told = { readonly commit: number } | { readonly roll: number } | { readonly list: number; readonly base: number };

/** In sync from the start. */
class Session {
  readonly link = new TargetLink('t', 0, 0);
  readonly cuts = new SessionCuts(true);
  begun = 1;
  isMet = true;
  readonly behindBytes = 0;
  readonly roomBytes = 1 << 20;
  readonly cycleBytesMax = 1 << 18;
  readonly heldUntil = 0;
  readonly paceBytes = Infinity;
  readonly freed = 0;
  readonly kept = 0;
  isShortOfRoom = false;
  inSyncTold = 0;
  told: Told[] = [];

  constructor() {
    this.begin(0);
    this.cuts.begin(0, this.roomBytes);
    this.cuts.list = (cut: number, base: number) => void this.told.push({ list: cut, base });
  }

  begin(from: number): void {
    this.begun = this.link.nextSession();
    this.link.met({ how: 'replay', from });
  }

  commit(cycle: number): void {
    this.told.push({ commit: cycle });
  }

  tellInSync(): void {
    this.inSyncTold++;
  }

  roll(mark: number): void {
    this.told.push({ roll: mark });
  }

  start(): void {}
  note(): void {}
  appended(): void {}
  ringIsFilling(): void {}
}

class World {
  readonly journal = new Journal();
  readonly session = new Session();
  readonly group: SourceGroup;
  nowMs = 0;

  constructor(options: Partial<GroupOptions> = {}) {
    const machine = {
      clock: { monotonicMs: () => this.nowMs },
      timers: { every: () => () => {}, soon: () => {}, after: () => () => {} },
    };
    this.group = new SourceGroup(
      this.journal as unknown as SourceJournal,
      {
        acknowledge: 'local',
        cycles: { cycleMs: CYCLE_MS, bytes: 1 << 20 },
        checkpoint: { by: 'references', everyCycles: 0, ms: 0, onFlush: false },
        overflow: { afterMs: 1000, policy: 'degrade' },
        ...options,
      },
      machine as unknown as Machine,
    );
    this.group.add(this.session as unknown as TargetSession);
    this.group.progress();
    this.arrives();
  }

  write(block: number): void {
    const put = this.journal.append();
    const range = { volume: 0, offset: block * BLOCK, length: BLOCK };
    this.group.changed(ENTRY_KIND.write, range, put);
    this.group.admitted(put, range, false, () => {});
  }

  /** The open cycle ends by its time. */
  seal(): void {
    this.group.progress();
    this.nowMs += CYCLE_MS;
    this.group.progress();
  }

  /** The target has all of it, and says so. */
  arrives(): void {
    const { mark, cycle } = this.journal.end;
    this.session.link.stored(mark, mark);
    this.session.link.sealedUpTo(cycle);
    this.session.told = [];
    this.group.progress();
  }

  shows(mark: number): void {
    this.session.link.appliedUpTo(mark);
    this.session.cuts.onApplied(mark);
  }

  async cut(): Promise<number> {
    const { mark } = await this.group.cut();
    this.arrives();
    return mark;
  }
}

test('[MI8] a target that was brought beyond the cut before, for want of room, redoes the next one, and then gets lists again', async () => {
  const world = new World();
  const { session } = world;
  world.write(1);
  world.shows(await world.cut());
  world.write(2);
  session.isShortOfRoom = true;
  world.seal();
  const between = world.journal.end.mark;
  world.arrives();
  expect(session.told).toContainEqual({ roll: between });
  // Entries up to there are on its volumes: what refers to them leads nowhere.
  world.shows(between);
  session.isShortOfRoom = false;
  world.write(3);
  const next = await world.cut();
  expect(session.told.filter((told) => !('commit' in told))).toEqual([{ roll: next }]);
  world.shows(next);
  world.write(4);
  const last = await world.cut();
  expect(session.told.filter((told) => !('commit' in told))).toEqual([{ list: last, base: next }]);
  expect(session.inSyncTold).toBe(1);
});

test('[CY4] what a target lacks that returns while no cycle is begun any more is committed as one', () => {
  const world = new World();
  const { session, group, journal } = world;
  const before = journal.end.mark;
  session.link.lost();
  const ends = [1, 2].map((block) => {
    world.write(block);
    world.seal();
    return journal.end;
  });
  group.freeze();
  session.begin(before);
  group.progress();
  const [first, last] = ends;
  for (const end of ends) {
    session.link.stored(end.mark, end.mark);
    session.link.sealedUpTo(end.cycle);
    group.progress();
    if (end === first) expect(session.told).toEqual([]);
  }
  expect(session.told).toContainEqual({ commit: last?.cycle });
});

test('cycles are ended again when it was for nothing that none was begun any more', async () => {
  const { group, journal } = new World();
  group.freeze();
  await expect(group.cut()).rejects.toThrow('no cycle is begun here any more');
  group.thaw();
  expect(await group.cut()).toEqual({ mark: journal.end.mark, cycle: journal.end.cycle });
});

describe('why clients wait', () => {
  test('[MI2] for the log device, which does not say yet that the target is outdated, once there is somebody who waits', async () => {
    let isSaid: () => void = () => {};
    const marks = {
      isOutdated: () => false,
      setOutdated: async () => new Promise<void>((resolve) => (isSaid = resolve)),
      setInSync: async () => {},
    };
    const world = new World({ acknowledge: 'sync', marks });
    const { group, session } = world;
    session.link.lost();
    expect(group.held).toEqual([]);
    world.write(1);
    group.progress();
    expect([group.waiting, group.held]).toEqual([
      1,
      ['nobody is answered before the log device says that t is outdated'],
    ]);
    isSaid();
    await nextTurn();
    expect([group.waiting, group.held]).toEqual([0, []]);
    // Whoever waits for the journal waits for no target.
    world.journal.durableUntil = world.journal.end.position;
    world.write(2);
    group.progress();
    expect([group.waiting, group.held]).toEqual([1, []]);
  });

  test('for a target that is away, where the policy is strict', () => {
    const { group, session } = new World({ overflow: { afterMs: 1000, policy: 'strict' } });
    expect(group.held).toEqual([]);
    session.link.lost();
    expect(group.held).toEqual(['nobody is answered before t is in sync: overflow.policy is strict']);
  });

  test('[MI14] for a target that has not heard what the settings promise now', () => {
    const { group, session } = new World();
    session.isMet = false;
    expect(group.held).toEqual([]);
    group.holdUntilMet(() => {});
    expect(group.held).toEqual(['nobody is answered before t has heard that the settings promise less']);
  });

  test('for room in the journal', () => {
    const { group, journal } = new World();
    expect(group.held).toEqual([]);
    journal.refusedForMs = 1;
    expect(group.held).toEqual(['the journal is full: writes wait for room']);
  });
});
