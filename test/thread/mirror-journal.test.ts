/** A source's journal with its two threads, on real files. */
import { readFileSync } from 'node:fs';
import { afterEach, describe, expect, test } from 'vitest';
import { decodeSuper, JOURNAL_STATE } from '../../agent/mirror/store/superblock.ts';
import { putDigest } from '../../agent/mirror/scan/digest.ts';
import { CUT_DIGEST_BYTES } from '../../agent/mirror/threads/cut-image.ts';
import type { Image } from '../../agent/mirror/threads/volume-loop.ts';
import { ENTRY_KIND } from '../../agent/mirror/wire/entry.ts';
import { Prng } from '../../agent/base/prng.ts';
import { JournalBed, type JournalBedOptions } from '../support/source-journal.ts';
import { until } from '../support/until.ts';

const beds: JournalBed[] = [];

function make(options: JournalBedOptions = {}): JournalBed {
  const bed = JournalBed.make(options);
  beds.push(bed);
  return bed;
}

afterEach(async () => {
  for (const bed of beds.splice(0)) {
    await bed.journal.close();
    expect(bed.fatal).toEqual([]);
    bed.remove();
  }
});

/** The better superblock of the file, as anybody would read it. */
function superOf(bed: JournalBed) {
  const file = readFileSync(bed.path);
  const copies = [0, 4096].map((at) => decodeSuper(file.subarray(at, at + 4096)));
  const good = copies.flatMap((copy) => (copy.ok ? [copy.superblock] : []));
  expect(good).toHaveLength(2);
  return good.reduce((a, b) => (b.sequence > a.sequence ? b : a));
}

describe('journal', () => {
  test('[MI1] many changes over several volumes end on each of them in the order of their marks', async () => {
    const bed = make({ volumeCount: 3 });
    const random = new Prng(1);
    await bed.open();
    let last = 0;
    let done = 0;
    for (let i = 0; i < 500; i++) {
      const { mark, end } = await bed.appendAny(random);
      expect(mark).toBe(last + 1);
      last = mark;
      bed.journal.whenDurable(end, (errno) => {
        expect(errno).toBe(0);
        done++;
      });
    }
    await bed.untilStatus('everything is on the volumes', ({ stored, head }) => stored >= head);
    // The journal's word comes to this thread by its own way.
    await until('all are told that theirs is durable', () => done === 500);
    await bed.journal.close();
    bed.expectContent();
    const superblock = superOf(bed);
    expect(superblock.state).toBe(JOURNAL_STATE.clean);
    expect(superblock.tailMark).toBe(501);
  });

  test('[MI16] a ring that is many times shorter than what goes through it: who appends waits, and nothing is lost', async () => {
    const bed = make({ size: { ringBytes: 1 << 20, windowBytes: 256 << 10 } });
    const random = new Prng(2);
    await bed.open();
    let end = 0;
    while (end < 12 << 20) ({ end } = await bed.appendAny(random));
    expect(await bed.durable(end)).toBe(0);
    await bed.journal.close();
    bed.expectContent();
  });

  test('one after another, over stops: marks, stamps and cycles go on where they were, with an empty ring too', async () => {
    const bed = make();
    const random = new Prng(3);
    let mark = 0;
    for (let round = 0; round < 4; round++) {
      await bed.open();
      bed.journal.cycle = 7;
      const put = await bed.appendAny(random);
      expect(put.mark).toBe(++mark);
      await bed.journal.close();
      bed.expectContent();
    }
    const { tailTime, tailCycle, tailPosition, durablePosition } = superOf(bed);
    expect(tailPosition).toBe(durablePosition);
    expect(tailCycle).toBe(7);
    expect(Number(tailTime / 1_000_000n)).toBeGreaterThan(Date.now() - 60_000);
    await bed.open();
  });

  test('seals have marks of their own', async () => {
    const bed = make();
    await bed.open();
    const marks = [ENTRY_KIND.zero, ENTRY_KIND.seal, ENTRY_KIND.zero].map(
      (kind) => bed.journal.append(kind, 0, 0, kind === ENTRY_KIND.seal ? 0 : 512)?.mark,
    );
    expect(marks).toEqual([1, 2, 3]);
    await bed.untilStatus('they are passed', ({ stored, head }) => stored >= head);
  });

  test('[MI7] a cut shows the volume between two entries, whatever comes behind it: digests, and bytes where wanted', async () => {
    const bed = make();
    const random = new Prng(4);
    await bed.open();
    const cuts: Promise<{ image: Image; wanted: Uint8Array }>[] = [];
    const blocks = Float64Array.from({ length: 16 }, (_, i) => i);
    const volumes = new Uint16Array(16);
    const isData = Uint8Array.from({ length: 16 }, (_, i) => i % 2);
    const volumeBytes = bed.journal.superblock.volumes.map(({ bytes }) => bytes);
    for (let i = 0; i < 100; i++) {
      await bed.appendAny(random);
      if (i % 10 !== 0) continue;
      const wanted = bed.content[0]?.slice(0, 65_536) ?? new Uint8Array();
      const cut = { volumes, blocks, isData, volumeBytes };
      cuts.push(new Promise((resolve) => bed.journal.cut(cut, (image) => resolve({ image, wanted }))));
    }
    for (const { image, wanted } of await Promise.all(cuts)) {
      expect(image.errno).toBe(0);
      const expected = new Uint8Array(16 * CUT_DIGEST_BYTES + 8 * 4096);
      for (let i = 0; i < 16; i++) {
        const block = wanted.subarray(i * 4096, (i + 1) * 4096);
        putDigest('crc32', block, expected, i * CUT_DIGEST_BYTES);
        if (i % 2 === 1) expected.set(block, 16 * CUT_DIGEST_BYTES + ((i - 1) / 2) * 4096);
      }
      expect(Buffer.compare(image.bytes, expected)).toBe(0);
    }
  });

  test('a flush only for those who wait: an entry is durable soon after it is asked for, and by itself before long', async () => {
    const bed = make();
    await bed.open({ flushAlways: false });
    const first = await bed.append(ENTRY_KIND.write, 0, 0, new Uint8Array(4096).fill(1));
    expect(await bed.durable(first.end)).toBe(0);
    const second = await bed.append(ENTRY_KIND.write, 0, 0, new Uint8Array(4096).fill(2));
    await bed.untilStatus('nobody asked', ({ durable }) => durable >= second.end);
  });

  test('two who wait out of order are answered in the order of what they wait for', async () => {
    const bed = make();
    await bed.open();
    const first = await bed.append(ENTRY_KIND.zero, 0, 0, 512);
    const second = await bed.append(ENTRY_KIND.zero, 0, 0, 512);
    const order: number[] = [];
    const wait = async (end: number) => bed.durable(end).then(() => order.push(end));
    await Promise.all([wait(second.end), wait(first.end)]);
    expect(order).toEqual([first.end, second.end]);
  });

  test('a journal is opened by one process at a time, and by its own volumes', async () => {
    const bed = make();
    await bed.open();
    const { journal } = bed;
    await expect(bed.open()).rejects.toThrow('in use by another process');
    await journal.close();
    await expect(bed.open({ volumes: [...bed.volumes, 'other'] })).rejects.toThrow('is for 1 volumes, not 2');
    await bed.open();
  });
});
