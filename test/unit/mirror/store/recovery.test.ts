import { describe, expect, test, vi } from 'vitest';
import { JOURNAL_WORD } from '../../../../agent/mirror/store/journal-memory.ts';
import { fileOffset } from '../../../../agent/mirror/store/ring.ts';
import { ENTRY } from '../../../../agent/mirror/wire/entry.ts';
import { Prng } from '../../../../agent/base/prng.ts';
import { JournalWorld, SIZE, type Written } from './journal-world.ts';

vi.setConfig({ testTimeout: 60_000 });

const seeds = Array.from({ length: 60 }, (_, i) => i + 1);

const summary = ({ kind, mark, position, offset, length }: Written) => ({ kind, mark, position, offset, length });

/** What must be found: all entries from the tail on up to the first that is not whole on the disk. */
function expected(world: JournalWorld): Written[] {
  const from = world.written.filter(({ position }) => position >= world.superblock.tailPosition);
  const lost = from.findIndex((entry) => !world.isIntact(entry));
  return lost < 0 ? from : from.slice(0, lost);
}

describe('recovery', () => {
  test('[I16] crash after crash: the end is found exactly, nothing durable is missing, nothing lost comes back', () => {
    const reasons = new Map<string, number>();
    for (const seed of seeds) {
      const world = new JournalWorld(new Prng(seed));
      for (let round = 0; round < 6; round++) {
        world.start();
        world.work(20 + world.random.below(120));
        const { durable } = world;
        world.disk.crash(world.random);
        const { found, recovery } = world.recover();
        if (!recovery.ok) throw new Error(`seed ${seed}: ${recovery.fault} at ${recovery.position}`);
        const wanted = expected(world);
        expect(found.map((entry) => summary({ ...entry } as unknown as Written))).toEqual(wanted.map(summary));
        expect(recovery.end.position).toBeGreaterThanOrEqual(durable);
        expect(recovery.end.mark).toBe(wanted.at(-1)?.mark ?? world.superblock.tailMark - 1);
        const { reason } = recovery.end;
        reasons.set(reason, (reasons.get(reason) ?? 0) + 1);
      }
    }
    // The other two ends need entries that lie where others lay: below.
    expect([...reasons.keys()]).toEqual(expect.arrayContaining(['torn', 'unwritten']));
  });

  test('damage is told from the end wherever anything that is left proves it', () => {
    let proven = 0;
    for (const seed of seeds) {
      const world = new JournalWorld(new Prng(seed));
      world.start();
      world.memory.set(JOURNAL_WORD.flushAlways, 1);
      world.work(150);
      world.loop.step();
      const { superblock } = world;
      const whole = expected(world);
      const victim = world.random.pick(whole);
      world.disk.rot(fileOffset(victim.position, SIZE) + world.random.below(victim.bytes.length));
      const { recovery } = world.recover();
      const claims = whole
        .filter(({ position }) => position > victim.position)
        .map((entry) => entry.position - entry.durableBack);
      const isProven = Math.max(superblock.durablePosition, ...claims) > victim.position;
      if (isProven) proven++;
      if (recovery.ok) expect({ isProven, at: recovery.end.position }).toMatchObject({ isProven: false });
      else expect(recovery).toMatchObject({ fault: 'damage', position: victim.position });
      expect(recovery.ok).toBe(!isProven);
    }
    expect(proven).toBeGreaterThan(40);
  });

  test('an entry of a lap before, put where the next one belongs, is not taken', () => {
    const world = new JournalWorld(new Prng(3));
    world.start();
    world.memory.set(JOURNAL_WORD.flushAlways, 1);
    while (world.appender.head < SIZE.ringBytes * 2.5) {
      if (world.append(4096 - ENTRY.bytes)) world.loop.step();
      else world.free();
    }
    const { recovery } = world.recover();
    expect(recovery).toMatchObject({ ok: true, end: { position: world.appender.head, reason: 'lap-old' } });
  });

  test('an entry whose predecessor a crash took is not taken behind the one that is written in its place', () => {
    const world = new JournalWorld(new Prng(6));
    world.start();
    for (let i = 0; i < 3; i++) world.append(416);
    world.loop.step();
    world.disk.rot(fileOffset(0, SIZE));
    expect(world.recover().recovery).toMatchObject({ ok: true, end: { position: 0, mark: 0, reason: 'unwritten' } });
    world.start();
    world.append(416);
    world.memory.set(JOURNAL_WORD.flushAlways, 1);
    world.loop.step();
    const { found, recovery } = world.recover();
    expect(found).toHaveLength(1);
    expect(recovery).toMatchObject({ ok: true, end: { position: 512, mark: 1, reason: 'stale' } });
  });

  test('a ring that cannot be read is neither empty nor damaged', () => {
    const world = new JournalWorld(new Prng(4));
    world.start();
    world.work(50);
    world.recover();
    const { disk } = world;
    let reads = 0;
    disk.readFault = () => (++reads > 2 ? -5 : null);
    expect(world.recover().recovery).toMatchObject({ ok: false, fault: 'unreadable', errno: -5 });
  });

  test('[MI15] what was written since the last good flush is written again after a failed one, not flushed again', () => {
    for (const seed of seeds.slice(0, 40)) {
      const world = new JournalWorld(new Prng(seed));
      world.start();
      world.memory.set(JOURNAL_WORD.flushAlways, 1);
      world.work(40);
      world.memory.set(JOURNAL_WORD.flushAlways, 1);
      const { disk, random } = world;
      let failures = 1 + random.below(3);
      disk.flushFault = () => (failures-- > 0 ? -5 : null);
      const appended = world.append();
      const before = world.durable;
      world.loop.step();
      if (appended) expect(world.durable).toBe(before);
      if (appended) expect(world.memory.get(JOURNAL_WORD.journalErrno)).toBe(5);
      const closed = disk.closed;
      for (let i = 0; i < 10; i++) {
        world.nowMs += 1000;
        world.loop.step();
      }
      if (appended) expect(closed).toBeGreaterThan(0);
      expect(world.memory.get(JOURNAL_WORD.journalErrno)).toBe(0);
      expect(world.durable).toBe(world.appender.head);
      disk.crash(random);
      const { found } = world.recover();
      expect(found.at(-1)?.mark).toBe(world.appender.mark);
    }
  });

  test('a journal that is another one when it is opened again takes nothing', () => {
    const world = new JournalWorld(new Prng(5));
    world.start();
    world.memory.set(JOURNAL_WORD.flushAlways, 1);
    world.disk.flushFault = () => -5;
    world.append();
    world.loop.step();
    world.disk.flushFault = () => null;
    world.disk.content.fill(0, 0, 8192);
    const { writes } = world.disk;
    world.nowMs += 5000;
    world.loop.step();
    expect(world.memory.get(JOURNAL_WORD.journalErrno)).toBe(116);
    expect(world.disk.writes).toBe(writes);
  });
});
