/** [CY8] [MI15] A source's journal whose disks fail and hang: real block devices, real page cache. */
import { mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import type { Lab } from '../../agent/demo/lab.ts';
import { tool } from '../../agent/demo/shell.ts';
import { formatJournal } from '../../agent/mirror/source/format-journal.ts';
import { recoverRing } from '../../agent/mirror/store/recovery.ts';
import { readSuper } from '../../agent/mirror/store/superblock.ts';
import { FileDevice } from '../../agent/mirror/threads/file-device.ts';
import { ENTRY_KIND } from '../../agent/mirror/wire/entry.ts';
import { EIO, FaultDisk } from '../support/fault-disk.ts';
import { Prng } from '../../agent/base/prng.ts';
import { JournalBed } from '../support/source-journal.ts';

const MIB = 1 << 20;
const SIZE = { ringBytes: 16 * MIB, windowBytes: MIB };
const BOUND_MS = 60_000;

const turn = async (ms = 20) => new Promise((resolve) => setTimeout(resolve, ms));

interface Scene {
  readonly bed: JournalBed;
  readonly disk: FaultDisk;
  readonly random: Prng;
}
let close: (() => Promise<void>) | null = null;
afterEach(async () => {
  await close?.();
  close = null;
});

/** A bed whose volume, or whose journal, lies on the disk with faults. */
async function scene(what: 'volume' | 'journal', options = {}): Promise<Scene> {
  const folder = mkdtempSync(join(tmpdir(), 'stillbeat-faults-'));
  const file = join(folder, what);
  if (what === 'volume') {
    writeFileSync(file, '');
    truncateSync(file, 4 * MIB);
  } else {
    const generation = new Uint8Array(16).fill(7);
    formatJournal(file, { ...SIZE, group: 'group', generation, volumes: [{ name: 'v0', bytes: 4 * MIB }] });
  }
  const disk = await FaultDisk.over({ directory: folder } as Lab, file);
  const bed = JournalBed.make({
    size: SIZE,
    ...(what === 'volume' ? { volumePaths: [disk.path] } : { journalPath: disk.path }),
  });
  await bed.open(options);
  close = async () => {
    await disk.heal();
    await bed.journal.close();
    await disk.close();
    bed.remove();
    rmSync(folder, { recursive: true });
  };
  return { bed, disk, random: new Prng(1) };
}

/** All of it on the flushed volume, and on the medium. */
async function expectWhole({ bed, disk }: Scene, medium?: string): Promise<void> {
  await bed.untilStatus('it is on the flushed volume', ({ head, flushed }) => flushed >= head, BOUND_MS);
  expect(bed.journal.status).toMatchObject({ volumeErrno: 0, journalErrno: 0, isAway: false });
  bed.expectContent(() => readFileSync(medium ?? disk.file));
}

describe('a send volume', () => {
  test('that fails: the journal goes on for more than its window, and when it is well again it gets all of it', async () => {
    const it = await scene('volume');
    const { bed, disk, random } = it;
    for (let i = 0; i < 30; i++) await bed.appendAny(random);
    await disk.fault('none', EIO);
    const { head } = bed.journal.status;
    let end = head;
    while (end < head + 4 * MIB) {
      ({ end } = await bed.appendAny(random));
      expect(await bed.durable(end)).toBe(0);
    }
    await bed.untilStatus('it is known to fail', ({ volumeErrno, isAway }) => volumeErrno === EIO && isAway, BOUND_MS);
    await disk.heal();
    await expectWhole(it);
  });

  test('[MI6] that fails until the ring is full: who appends waits, and what the volume lacks is not overwritten', async () => {
    const it = await scene('volume');
    const { bed, disk, random } = it;
    for (let i = 0; i < 30; i++) await bed.appendAny(random);
    await bed.untilStatus('the ring is behind it', ({ flushed, head }) => flushed >= head, BOUND_MS);
    const { flushed } = bed.journal.status;
    await disk.fault('none', EIO);
    let last = bed.appendAny(random);
    const isStuck = async () => Promise.race([last.then(() => false), turn(1500).then(() => true)]);
    while (!(await isStuck())) {
      expect(bed.journal.head).toBeLessThan(flushed + SIZE.ringBytes);
      last = bed.appendAny(random);
    }
    expect(bed.journal.head).toBeGreaterThan(flushed + SIZE.ringBytes / 2);
    await disk.heal();
    await last;
    await expectWhole(it);
  });

  test('that hangs: the same', async () => {
    const it = await scene('volume', { awayAfterMs: 300 });
    const { bed, disk, random } = it;
    for (let i = 0; i < 30; i++) await bed.appendAny(random);
    await disk.fault('none', 'hang');
    // It hangs in the next flush, or in a write to what that flush is writing.
    for (const endMs = performance.now() + BOUND_MS; !bed.journal.isAway && performance.now() < endMs; await turn()) {
      await bed.appendAny(random);
    }
    const { head } = bed.journal.status;
    let end = head;
    while (end < head + 4 * MIB) {
      ({ end } = await bed.appendAny(random));
      expect(await bed.durable(end)).toBe(0);
    }
    expect(bed.journal.status.isAway).toBe(true);
    await disk.heal();
    await expectWhole(it);
  });
});

describe('a journal on a block device', () => {
  test('has on its medium what it says is durable, and is not made twice', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'stillbeat-medium-'));
    const file = join(folder, 'medium');
    writeFileSync(file, '');
    truncateSync(file, 17 * MIB);
    const device = (await tool(['losetup', '--find', '--show', file])).trim();
    try {
      const facts = { ...SIZE, group: 'group', generation: new Uint8Array(16).fill(3) };
      const volumes = [{ name: 'v0', bytes: 4 * MIB }];
      expect(() => formatJournal(device, { ...facts, volumes, ringBytes: 17 * MIB })).toThrow('fewer than');
      formatJournal(device, { ...facts, volumes });
      expect(() => formatJournal(device, { ...facts, volumes })).toThrow('holds something');
      const bed = JournalBed.make({ journalPath: device });
      const random = new Prng(5);
      await bed.open();
      for (let i = 0; i < 20; i++) {
        const { mark, end } = await bed.appendAny(random);
        expect(await bed.durable(end)).toBe(0);
        expect(lastMark(file)).toBe(mark);
      }
      await bed.journal.close();
      bed.remove();
    } finally {
      await tool(['losetup', '--detach', device]);
      rmSync(folder, { recursive: true });
    }
  });
});

/** The last mark that a start would find on the medium. */
function lastMark(file: string): number {
  const medium = FileDevice.open(file);
  if (typeof medium === 'number') throw new Error(`errno ${-medium}`);
  const read = readSuper(medium);
  if (typeof read === 'number' || !read.ok) throw new Error('no superblock');
  const recovery = recoverRing(medium, read.superblock, () => {});
  medium.close();
  if (!recovery.ok) throw new Error(recovery.fault);
  return recovery.end.mark;
}

describe('a journal', () => {
  test('that fails for a moment answers late, and nothing is lost', async () => {
    const it = await scene('journal');
    const { bed, disk, random } = it;
    await disk.fault('none', EIO);
    const { end } = await bed.appendAny(random);
    const answer = bed.durable(end);
    await bed.untilStatus('it is known to fail', ({ journalErrno }) => journalErrno === EIO, BOUND_MS);
    expect(bed.journal.status.stored).toBeLessThan(end);
    await disk.heal();
    expect(await answer).toBe(0);
    await expectWhole(it, bed.volumes[0]);
  });

  test.each([EIO, 'hang'] as const)(
    'that fails for long (%s) fails who waits, and takes again when it is well',
    async (fault) => {
      const it = await scene('journal', { failAfterMs: 500 });
      const { bed, disk, random } = it;
      expect(await bed.durable((await bed.appendAny(random)).end)).toBe(0);
      await disk.fault('none', fault);
      expect(await bed.durable((await bed.appendAny(random)).end)).toBe(EIO);
      expect(bed.journal.append(ENTRY_KIND.zero, 0, 0, 512)).toBeNull();
      await disk.heal();
      await bed.untilStatus('it is well again', () => !bed.journal.hasFailed, BOUND_MS);
      expect(await bed.durable((await bed.appendAny(random)).end)).toBe(0);
      await expectWhole(it, bed.volumes[0]);
    },
  );
});
