/** The two copies of a superblock: which one counts, and that nobody goes by the older one for want of the newer. */
import { beforeEach, expect, test } from 'vitest';
import { allocateJournal, JOURNAL_WORD, JournalMemory } from '../../../../agent/mirror/store/journal-memory.ts';
import { encodeSuper, JOURNAL_SUPER, readSuper, SuperWriter } from '../../../../agent/mirror/store/superblock.ts';
import { JournalLoop } from '../../../../agent/mirror/threads/journal-loop.ts';
import { JOURNAL_RING_OFFSET } from '../../../../agent/mirror/wire/layout.ts';
import { CrashDisk } from '../../../support/crash-disk.ts';
import { freshSuper, GENERATION, SIZE } from './journal-world.ts';

const EIO = 5;

/** Of which one copy cannot be read. */
class HalfDisk extends CrashDisk {
  unreadable: number | null = null;

  override read(offset: number, into: Uint8Array): number {
    const isIn = this.unreadable !== null && Math.floor(offset / JOURNAL_SUPER.bytes) === this.unreadable;
    return isIn ? -EIO : super.read(offset, into);
  }
}

let disk: HalfDisk;

/** The newer one is copy 1. */
beforeEach(() => {
  disk = new HalfDisk(JOURNAL_RING_OFFSET + SIZE.ringBytes);
  const writer = new SuperWriter(1);
  for (const sequence of [6, 7]) expect(writer.write(disk, encodeSuper(freshSuper({ sequence })))).toBe(0);
});

const sequenceOf = (of = disk): number => {
  const read = readSuper(of);
  return typeof read === 'object' && read.ok ? read.superblock.sequence : -1;
};

test('the newer one counts; the older one where that is torn', () => {
  expect(sequenceOf()).toBe(7);
  disk.content.fill(0, JOURNAL_SUPER.bytes + 100, JOURNAL_SUPER.bytes + 612);
  expect(sequenceOf()).toBe(6);
});

test.each([0, 1])('nobody goes by the other one when copy %i cannot be read: it may be the newer', (copy) => {
  disk.unreadable = copy;
  expect(readSuper(disk)).toBe(-EIO);
  expect(readSuper(disk, true)).toMatchObject({ ok: true, copy: 1 - copy });
});

/** The journal thread on this disk. */
function loopOn(): { readonly memory: JournalMemory; step(): number; put(sequence: number): void } {
  const memory = new JournalMemory(allocateJournal(SIZE));
  let nowMs = 0;
  const parts = { open: () => disk, nowMs: () => nowMs, tell: () => {}, more: () => {} };
  const loop = new JournalLoop(memory, 0, GENERATION, parts);
  const put = (sequence: number): void => {
    memory.superblock.set(encodeSuper(freshSuper({ sequence })));
    Atomics.add(memory.words, JOURNAL_WORD.superWanted, 1);
  };
  const step = (): number => {
    nowMs += 2000;
    loop.step();
    return memory.get(JOURNAL_WORD.journalErrno);
  };
  return { memory, step, put };
}

test('a thread that cannot read the newer one at its start writes over neither', () => {
  disk.unreadable = 1;
  const loop = loopOn();
  loop.put(8);
  expect(loop.step()).toBe(EIO);
  disk.unreadable = null;
  expect(sequenceOf()).toBe(7);
});

/** A write fails, and with it a copy becomes unreadable: which ones the next one writes to. */
function writtenAfterFailure(unreadable: number): number[] {
  const loop = loopOn();
  expect(loop.step()).toBe(0);
  disk.writeFault = () => -EIO;
  loop.put(8);
  expect(loop.step()).toBe(EIO);
  disk.unreadable = unreadable;
  const written: number[] = [];
  disk.writeFault = (offset) => {
    written.push(offset / JOURNAL_SUPER.bytes);
    return null;
  };
  expect(loop.step()).toBe(0);
  return written;
}

test('a write that failed and made its copy unreadable is done again there, and nowhere else', () => {
  // The older one; the newer one is what counts until it is written.
  expect(writtenAfterFailure(0)).toEqual([0]);
  disk.unreadable = null;
  expect(sequenceOf()).toBe(8);
});

test('of a thread that opens its journal anew the newer one outlives the next write, also where it could not be read then', () => {
  expect(writtenAfterFailure(1)).toEqual([0]);
});
