/** [HI9] Until when all that was written is known: what is written, when, and what is made of it. */
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { afterEach, expect, test } from 'vitest';
import { Prng } from '../../../agent/base/prng.ts';
import { findMark, gapText, type Found } from '../../../agent/history/core/spans.ts';
import { KnownUntil, knownPath, readKnown } from '../../../agent/history/store/known.ts';
import { loadRecording } from '../../../agent/history/store/load.ts';
import {
  controlOf,
  dataOf,
  fillBase,
  newWorld,
  randomWrites,
  removeWorlds,
  START_NS,
  type RecordedWorld,
} from '../../support/recorded-writes.ts';

const START_US = Number(START_NS / 1000n);
const SIZES = [65_536];
afterEach(removeWorlds);

/** With marks 1 to 20, written within the first second. */
async function made(): Promise<{ readonly world: RecordedWorld; readonly known: KnownUntil }> {
  const world = newWorld(SIZES);
  const recording = await world.open();
  fillBase(recording, [new Uint8Array(65_536)]);
  for (const write of randomWrites(new Prng(3), 20, SIZES)) {
    recording.control(controlOf(write));
    const data = dataOf(write);
    if (data) recording.data(data);
  }
  await recording.settled();
  return { world, known: new KnownUntil(world.folder, (line) => world.said.push(line)) };
}

function found({ folder }: RecordedWorld, afterMs: number): Found {
  const { table, extent, times } = loadRecording(folder);
  return findMark(table, extent, times, { timeUs: START_US + afterMs * 1000 }, Infinity);
}

test('a time is known when all up to the mark of its word is here, and up to there alone', async () => {
  const { world, known } = await made();
  known.begin();
  known.come(25, START_US + 9_000_000);
  known.reached(20);
  await known.settled();
  expect(found(world, 5000)).toMatchObject({ ok: false, why: expect.stringMatching(/ or #20 for the newest/) });
  known.come(20, START_US + 4_000_000);
  known.reached(25);
  await known.settled();
  expect(readKnown(world.folder)).toEqual({ mark: 25, timeUs: START_US + 9_000_000, isOpen: true });
  // What its mark says was here is here no more.
  const gaps = loadRecording(world.folder).extent.gaps.map(gapText);
  expect(gaps).toEqual([expect.stringMatching(/^marks 21 to 25, .* were never recorded/)]);
  expect(found(world, 5000)).toMatchObject({ ok: false, why: expect.stringMatching(/lies in a gap: marks 21 to 25/) });
  known.cut(20);
  known.end();
  await known.settled();
  expect(found(world, 9000)).toMatchObject({ ok: true, mark: 20 });
  expect(found(world, 9001)).toMatchObject({ ok: false, why: expect.stringMatching(/^\S+ lies behind /) });
  expect(readKnown(world.folder)?.isOpen).toBe(false);
  expect(world.said).toEqual([]);
});

test('a word that is damaged, gone, or no file is none at all: nothing is known behind what is here', async () => {
  const { world, known } = await made();
  expect(found(world, 5000)).toMatchObject({ ok: false });
  known.begin();
  known.come(20, START_US + 5_000_000);
  known.reached(20);
  await known.settled();
  expect(found(world, 5000)).toMatchObject({ ok: true, mark: 20 });
  writeFileSync(knownPath(world.folder), '00000000 {"mark":20,"timeUs":9e15,"isOpen":true}\n');
  const none = { ok: false, why: expect.stringMatching(/ lies behind .* or #20 for the newest/) };
  expect(found(world, 5000)).toMatchObject(none);
  rmSync(knownPath(world.folder));
  expect(found(world, 5000)).toMatchObject(none);
  mkdirSync(knownPath(world.folder));
  expect(found(world, 5000)).toMatchObject(none);
  const last = loadRecording(world.folder).extent.spans.at(-1)?.toUs ?? 0;
  expect(found(world, (last - START_US) / 1000)).toMatchObject({ ok: true, mark: 20 });
});

test('a word of a clock that was set back takes nothing away: what was written since came later than is known', async () => {
  const { world, known } = await made();
  known.begin();
  known.come(8, START_US + 4_000_000);
  known.reached(8);
  known.come(12, START_US + 1_000_000);
  known.reached(12);
  await known.settled();
  expect(readKnown(world.folder)).toMatchObject({ mark: 8, timeUs: START_US + 4_000_000 });
  known.end();
});
