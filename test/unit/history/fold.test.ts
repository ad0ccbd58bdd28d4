/** What is folded into a base, and what a base stands on that was taken while writes came. */
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, readdirSync, rmSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { afterEach, expect, test } from 'vitest';
import { Prng } from '../../../agent/base/prng.ts';
import { findMark } from '../../../agent/history/core/spans.ts';
import { controlPath, dataPath, segmentsIn } from '../../../agent/history/store/files.ts';
import { knownPath } from '../../../agent/history/store/known.ts';
import { loadRecording } from '../../../agent/history/store/load.ts';
import type { Recording } from '../../../agent/history/store/recording.ts';
import { RECORD_KIND } from '../../../agent/history/wire/record.ts';
import {
  dataOf,
  feed,
  fillBase,
  randomWrites,
  newWorld,
  type RecordedWorld,
  removeWorlds,
  replayed,
} from '../../support/recorded-writes.ts';

const SIZES = [65_536];
afterEach(removeWorlds);

const made = (): RecordedWorld => newWorld(SIZES);

function content(random: Prng): Uint8Array[] {
  return SIZES.map((bytes) => {
    const volume = new Uint8Array(bytes);
    random.fill(volume);
    return volume;
  });
}

const isSame = (found: readonly Uint8Array[], wanted: readonly Uint8Array[]): boolean =>
  found.every((volume, i) => Buffer.compare(volume, wanted[i] ?? new Uint8Array(0)) === 0);

/** In a segment that nothing else is written to. */
async function inSegment(recording: Recording, words: () => void): Promise<void> {
  words();
  await recording.settled();
  await recording.prune(0, Infinity);
}

/** The volumes are taken at mark 0 while 60 writes come, over three segments; whole behind the last. */
async function filledWhileWritten(world: RecordedWorld, random: Prng) {
  const recording = await world.open();
  const [base, writes] = [content(random), randomWrites(random, 60, SIZES)];
  recording.fill(0);
  await inSegment(recording, () => {
    base.forEach((payload, volume) => {
      const place = { kind: RECORD_KIND.image, mark: 1, timeNs: 0n, volume, offset: 0, length: payload.length };
      recording.data(dataOf({ ...place, payload }) ?? new Uint8Array(0));
    });
  });
  for (const from of [0, 20, 40])
    await inSegment(recording, () => feed(recording, random, writes.slice(from, from + 20)));
  await inSegment(recording, () => recording.whole(60));
  return { recording, base, writes };
}

test('[HI4] a base that was taken while writes came is brought to no mark before all of these are at hand', async () => {
  const random = new Prng(35);
  const world = made();
  const { recording, base, writes } = await filledWhileWritten(world, random);
  expect([recording.base.mark, recording.base.over]).toEqual([60, 0]);
  expect(isSame(world.at(60), replayed(base, writes, 60))).toBe(true);
  await recording.prune(0, recording.storedBytes - 1);
  expect(isSame(world.at(60), replayed(base, writes, 60))).toBe(true);
  expect(recording.base).toMatchObject({ mark: 60, over: 60, state: 'whole' });
});

test('[HI1] a base that was taken while writes came is none when one of these is lost: the volumes are taken anew', async () => {
  const random = new Prng(36);
  const world = made();
  const { base } = await filledWhileWritten(world, random);
  await world.close();
  const [, second = 0] = segmentsIn(world.folder, 'control');
  rmSync(controlPath(world.folder, second));
  const { table, extent, times } = loadRecording(world.folder);
  expect(extent.spans).toEqual([]);
  expect(findMark(table, extent, times, { mark: 60 }, Infinity)).toMatchObject({ ok: false });
  const again = await world.open();
  expect(again.isWhole).toBe(false);
  fillBase(again, base);
  await again.settled();
  expect([again.isWhole, isSame(world.at(0), base)]).toEqual([true, true]);
});

test('[OS5] where it ends is known with its chain after a restart, though no entry of that mark is in it', async () => {
  const random = new Prng(37);
  const world = made();
  let recording = await world.open();
  const reopened = async (): Promise<object> => {
    recording = await world.open();
    return recording.standing;
  };
  recording.fill(5);
  recording.startAt(5, 35n);
  recording.clock({ mark: 5, chain: 35n }, 0n);
  recording.whole(5);
  await recording.settled();
  expect(await reopened()).toEqual({ mark: 5, chain: 35n });
  // The word goes with its segment.
  await recording.prune(0, 0);
  expect(await reopened()).toEqual({ mark: 5, chain: 35n });
  for (const end of [10, 15]) {
    feed(recording, random, randomWrites(random, 5, SIZES, end - 4));
    await recording.settled();
    await recording.prune(0, 0);
    expect(recording.base.mark).toBe(end);
    expect(await reopened()).toEqual({ mark: end, chain: BigInt(end) * 7n });
    // Once more, when there was nothing to fold.
    await recording.prune(0, 0);
    expect(await reopened()).toEqual({ mark: end, chain: BigInt(end) * 7n });
  }
  recording.startAt(30, 210n);
  recording.clock({ mark: 30, chain: 210n }, 0n);
  recording.whole(30);
  await recording.settled();
  expect(await reopened()).toEqual({ mark: 30, chain: 210n });
});

test('[HI6] how far the monitor’s clock is ahead outlives the segment that says so', async () => {
  const random = new Prng(34);
  const world = made();
  world.nowMs -= 7_200_000;
  const recording = await world.open();
  fillBase(recording, content(random));
  const writes = randomWrites(random, 60, SIZES);
  const session = (from: { readonly mark: number; readonly chain: bigint }, hours: number): void => {
    recording.noteClock({ mark: from.mark, aheadUs: hours * 3.6e9 });
    recording.clock(from, BigInt(hours) * 3_600_000_000_000n);
  };
  const hoursAhead = (mark: number): number => {
    const { table, times } = loadRecording(world.folder);
    return (Number((writes[mark - 1]?.timeNs ?? 0n) / 1000n) - (times[table.placeOf(mark)] ?? 0)) / 3.6e9;
  };
  await inSegment(recording, () => {
    session({ mark: 0, chain: 0n }, 2);
    feed(recording, random, writes.slice(0, 20));
  });
  await inSegment(recording, () => feed(recording, random, writes.slice(20, 40)));
  expect(hoursAhead(40)).toBe(2);
  await recording.prune(0, recording.storedBytes - 1);
  expect([recording.base.mark, hoursAhead(40)]).toEqual([20, 2]);
  await recording.prune(0, 0);
  // A session that brings nothing, in a segment of its own.
  await inSegment(recording, () => session({ mark: 40, chain: 280n }, 1));
  await inSegment(recording, () => feed(recording, random, writes.slice(40)));
  await recording.prune(0, recording.storedBytes - 1);
  expect([recording.base.mark, hoursAhead(60)]).toEqual([40, 1]);
});

/** 60 writes over three segments, and a base that none of them is in. */
async function threeSegments(world: RecordedWorld, random: Prng) {
  const recording = await world.open();
  const [base, writes] = [content(random), randomWrites(random, 60, SIZES)];
  fillBase(recording, base);
  await recording.settled();
  for (const from of [0, 20, 40]) {
    feed(recording, random, writes.slice(from, from + 20));
    await recording.settled();
    await recording.prune(0, Infinity);
  }
  expect(loadRecording(world.folder).extent.spans).toMatchObject([{ from: 0, to: 60 }]);
  return { recording, base, writes };
}

test('[HI4] what is folded away between a listing and the opening of its files is in the base', async () => {
  const random = new Prng(38);
  const world = made();
  const { recording, base, writes } = await threeSegments(world, random);
  const loaded = loadRecording(world.folder);
  const [first = 0] = segmentsIn(world.folder, 'control');
  await recording.prune(0, recording.storedBytes - 1);
  expect(recording.base).toMatchObject({ mark: 20, over: 20 });
  for (const mark of [20, 41, 60])
    expect(isSame(world.at(mark, loaded), replayed(base, writes, mark)), `${mark}`).toBe(true);
  expect(() => world.at(19, loaded)).toThrow(/mark 19 was folded meanwhile: the earliest that is kept is 20/);
  const { extent, segments } = loadRecording(world.folder);
  // They are in the listing, and cannot be opened.
  for (const path of [controlPath(world.folder, first), dataPath(world.folder, first)]) symlinkSync('nowhere', path);
  expect(loadRecording(world.folder)).toMatchObject({ extent, segments, damage: [] });
  expect(isSame(world.at(60), replayed(base, writes, 60))).toBe(true);
});

test('[HI4] a fold that ends while the recording is read: it is read again, and nothing is a gap', async () => {
  const random = new Prng(39);
  const world = made();
  const { recording, base, writes } = await threeSegments(world, random);
  const folded = made();
  cpSync(world.folder, folded.folder, { recursive: true });
  await recording.prune(0, recording.storedBytes - 1);
  await world.close();
  const [before, behind] = [folded.folder, world.folder];
  const known = knownPath(before);
  rmSync(known, { force: true });
  // Read behind the head and before the segments: who reads waits there for who writes.
  execFileSync('mkfifo', [known]);
  const here = readdirSync(behind);
  const gone = readdirSync(before).filter((name) => /control|data/.test(name) && !here.includes(name));
  expect(gone).toHaveLength(2);
  const worker = new Worker(
    `const { closeSync, copyFileSync, openSync, renameSync, rmSync } = require('node:fs');
    const { known, bases, head, gone } = require('node:worker_threads').workerData;
    const fd = openSync(known, 'w');
    for (const base of bases) copyFileSync(...base);
    copyFileSync(head[0], head[1] + '.new');
    renameSync(head[1] + '.new', head[1]);
    for (const path of [...gone, known]) rmSync(path);
    closeSync(fd);`,
    {
      eval: true,
      workerData: {
        known,
        bases: ['base-0', 'base-0.sums'].map((name) => [join(behind, name), join(before, name)]),
        head: [join(behind, 'head'), join(before, 'head')],
        gone: gone.map((name) => join(before, name)),
      },
    },
  );
  const ended = once(worker, 'exit');
  const loaded = loadRecording(before);
  expect(await ended).toEqual([0]);
  expect(loaded.extent).toMatchObject({ spans: [{ from: 20, to: 60 }], gaps: [] });
  expect(isSame(folded.at(60, loaded), replayed(base, writes, 60))).toBe(true);
});
