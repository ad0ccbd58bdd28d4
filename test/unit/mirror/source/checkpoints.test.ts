/** When cuts are made, and who gets a list and who redoes: a journal that reads nothing, and sessions that note what they are told. */
import { expect, test } from 'vitest';
import { Checkpoints, type CutBlock } from '../../../../agent/mirror/source/checkpoints.ts';
import type { SourceJournal } from '../../../../agent/mirror/source/journal.ts';
import { SessionCuts } from '../../../../agent/mirror/source/session-cuts.ts';
import type { TargetSession } from '../../../../agent/mirror/source/target-session.ts';
import { CUT_DIGEST_BYTES, type CutBlocks } from '../../../../agent/mirror/threads/cut-image.ts';
import type { Image } from '../../../../agent/mirror/threads/volume-loop.ts';
import { ENTRY_KIND } from '../../../../agent/mirror/wire/entry.ts';

const BLOCK = 4096;

class World {
  reads: { readonly cut: CutBlocks; readonly done: (image: Image) => void }[] = [];
  readonly journal = {
    isAway: false,
    superblock: { volumes: [{ name: 'v', bytes: 1 << 30 }] },
    cut: (cut: CutBlocks, done: (image: Image) => void) => void this.reads.push({ cut, done }),
  };
  readonly checkpoints: Checkpoints;
  mark = 0;
  cycle = 0;

  constructor(options: Partial<ConstructorParameters<typeof Checkpoints>[1]> = {}) {
    const usual = { by: 'references', everyCycles: 0, ms: 0, onFlush: false } as const;
    this.checkpoints = new Checkpoints(this.journal as unknown as SourceJournal, { ...usual, ...options }, () => {});
  }

  write(block: number, blocks = 1): number {
    this.mark++;
    const range = { volume: 0, offset: block * BLOCK, length: blocks * BLOCK };
    this.checkpoints.entry(ENTRY_KIND.write, range, this.mark);
    return this.mark;
  }

  cut(nowMs = 0): { readonly cycle: number; readonly mark: number } {
    this.mark++;
    this.cycle++;
    this.checkpoints.cut(this.mark, this.cycle, nowMs);
    return { cycle: this.cycle, mark: this.mark };
  }

  /** The volume thread has read what is asked for. */
  read(errno = 0): void {
    for (const { cut, done } of this.reads.splice(0)) {
      const data = cut.isData.reduce((sum, one) => sum + one, 0);
      const bytes = new Uint8Array(cut.blocks.length * CUT_DIGEST_BYTES + data * BLOCK);
      done({ id: 1, errno, position: 0, mark: 0, bytes });
    }
  }
}

class Session {
  readonly link = { session: 1, applied: 0, isWaitedFor: true };
  readonly cuts = new SessionCuts(true);
  behindBytes = 0;
  roomBytes = 1000;
  told: (number | { readonly cut: number; readonly base: number; readonly blocks: readonly CutBlock[] })[] = [];

  constructor() {
    this.cuts.begin(0, 1000);
    this.cuts.list = (cut, base, blocks) => void this.told.push({ cut, base, blocks });
  }

  roll(mark: number): void {
    this.told.push(mark);
  }

  appended(): void {}

  get it(): TargetSession {
    return this as unknown as TargetSession;
  }
}

/** A first cut that is redone, and shown. */
function begun(options: ConstructorParameters<typeof World>[0] = {}): { world: World; session: Session } {
  const world = new World(options);
  const session = new Session();
  world.write(0);
  const first = world.cut();
  world.checkpoints.bring(session.it, first);
  session.link.applied = first.mark;
  world.checkpoints.applied(session.it, first.mark);
  return { world, session };
}

const blocksOf = (session: Session): [number, number][] => {
  const list = session.told.at(-1);
  return typeof list === 'object' ? list.blocks.map(({ block, how }) => [block, how]) : [];
};

test('[MI8] the first cut is redone, the next one is a list when it has been read', () => {
  const { world, session } = begun();
  expect(session.told).toEqual([2]);
  world.write(7, 2);
  world.write(8);
  const next = world.cut();
  world.checkpoints.bring(session.it, next);
  expect(session.told).toEqual([2]);
  world.read();
  world.checkpoints.bring(session.it, next);
  expect(session.told.at(-1)).toMatchObject({ cut: next.mark, base: 2 });
  expect(blocksOf(session)).toEqual([
    [7, 1],
    [8, 1],
  ]);
  world.checkpoints.bring(session.it, next);
  expect(session.told).toHaveLength(2);
});

test.each<[string, (world: World, session: Session) => void]>([
  ['a new session', (_, session) => (session.link.session = 2)],
  ['entries that an earlier session brought', (_, session) => session.cuts.begin(3, 1000)],
  ['a send volume that is away', (world) => (world.journal.isAway = true)],
  ['blocks that cannot be read', (world) => world.read(5)],
  ['a cut that is not shown yet', (_, session) => (session.link.applied = 1)],
])('[MI8] redone: %s', (_, happens) => {
  const { world, session } = begun();
  world.write(1);
  const next = world.cut();
  happens(world, session);
  world.read();
  if (world.journal.isAway) {
    // What is read late is of no use.
    const { mark } = world.cut();
    world.checkpoints.bring(session.it, { cycle: next.cycle + 1, mark });
    expect(session.told.at(-1)).toBe(mark);
    return;
  }
  world.checkpoints.bring(session.it, next);
  expect(session.told.at(-1)).toBe(next.mark);
});

test('[MI16] redone: more blocks than the list holds', () => {
  const { world, session } = begun();
  world.write(0, 70_000);
  const next = world.cut();
  expect(world.reads).toEqual([]);
  world.checkpoints.bring(session.it, next);
  expect(session.told.at(-1)).toBe(next.mark);
});

test('[I11] what could not be brought comes with the next cut, at once, from the same base, as data', () => {
  const { world, session } = begun();
  world.write(1);
  world.write(2);
  const failed = world.cut();
  world.read();
  world.checkpoints.bring(session.it, failed);
  expect(world.checkpoints.isDue(0, world.mark, [session.it])).toBe(false);
  world.checkpoints.wanted(session.it, failed.mark, [{ volume: 0, block: 2 }]);
  expect(world.checkpoints.isDue(0, world.mark, [session.it])).toBe(true);
  world.write(9);
  const next = world.cut();
  // One cut for it, however long it takes.
  expect(world.checkpoints.isDue(0, world.mark, [session.it])).toBe(false);
  world.read();
  world.checkpoints.bring(session.it, next);
  expect(session.told.at(-1)).toMatchObject({ cut: next.mark, base: 2 });
  expect(blocksOf(session)).toEqual([
    [1, 1],
    [2, 3],
    [9, 1],
  ]);
  expect(world.checkpoints.totals(session.it)).toMatchObject({ cuts: 2, wanted: 1 });
});

test('a late wish, of another cut or session, changes nothing', () => {
  const { world, session } = begun();
  world.checkpoints.wanted(session.it, 1, [{ volume: 0, block: 2 }]);
  session.link.session = 2;
  world.checkpoints.wanted(session.it, 2, [{ volume: 0, block: 2 }]);
  expect(world.checkpoints.isDue(0, world.mark, [session.it])).toBe(false);
});

test('[MI7] due by the clock, by cycles, by a flush, by a journal that is half full; never twice at one time, never for nothing', () => {
  const due = ({ world, session }: ReturnType<typeof begun>, nowMs = 0): boolean =>
    world.checkpoints.isDue(nowMs, world.mark, [session.it]);
  const timed = begun({ ms: 100 });
  expect(due(timed, 1000)).toBe(false);
  timed.world.write(1);
  expect([due(timed, 99), due(timed, 100)]).toEqual([false, true]);
  timed.world.cut(100);
  timed.world.write(1);
  expect(due(timed, 1000)).toBe(false);
  const counted = begun({ everyCycles: 2 });
  counted.world.write(1);
  counted.world.checkpoints.cycleClosed();
  expect(due(counted)).toBe(false);
  counted.world.checkpoints.cycleClosed();
  expect(due(counted)).toBe(true);
  const flushed = begun({ onFlush: true });
  flushed.world.write(1);
  flushed.world.checkpoints.flushed();
  expect(due(flushed)).toBe(true);
  const command = begun();
  command.world.write(1);
  command.world.checkpoints.flushed();
  expect(due(command, 1e9)).toBe(false);
  command.session.cuts.room(499);
  expect(due(command)).toBe(true);
});

test('[MI16] a target without room for what it lacks is brought to what is committed, cut or not', () => {
  const { world, session } = begun();
  session.behindBytes = 2000;
  world.checkpoints.bring(session.it, { cycle: 1, mark: 2 });
  expect(session.told).toEqual([2]);
  world.checkpoints.bring(session.it, { cycle: 1, mark: 5 });
  expect(session.told).toEqual([2, 5]);
});
