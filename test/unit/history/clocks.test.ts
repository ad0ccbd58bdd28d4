/** [HI6] What is noted of clocks, what it makes of times, and that damage makes nothing else of them. */
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { afterEach, expect, test } from 'vitest';
import { Prng } from '../../../agent/base/prng.ts';
import { clockNote, wasSet, type ClockFound, type ClockNote } from '../../../agent/history/core/clock.ts';
import { findMark, timeText } from '../../../agent/history/core/spans.ts';
import { controlPath, readHead, segmentsIn, writeHead } from '../../../agent/history/store/files.ts';
import { KnownUntil } from '../../../agent/history/store/known.ts';
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
const HOUR_US = 3_600_000_000;
const SIZES = [65_536];
afterEach(removeWorlds);

const AT_NOON: ClockFound = {
  mark: 9,
  aheadUs: 0,
  newest: 12,
  stampAheadUs: 0,
  nowUs: 1_000_000_000,
  known: { mark: 7, timeUs: 900_000_000 },
};
const noted = (former: readonly ClockNote[], found: Partial<ClockFound>): ClockNote | null =>
  clockNote(former, { ...AT_NOON, ...found });

test('a clock that is as it was is no news; one that was set is, with the marks and times that nobody can tell', () => {
  const former = { mark: 0, aheadUs: HOUR_US };
  expect(noted([], { aheadUs: HOUR_US })).toEqual({ mark: 9, aheadUs: HOUR_US });
  expect([
    noted([former], { aheadUs: HOUR_US + 900_000 }),
    noted([{ ...former, aheadUs: 0 }], { aheadUs: 900_000 }),
  ]).toEqual([null, null]);
  const unclear = { upTo: 12, fromUs: 900_000_000, untilUs: 1_000_000_000 };
  expect(noted([former], { aheadUs: 2 * HOUR_US })).toEqual({ mark: 7, aheadUs: 2 * HOUR_US, unclear });
  // It was set back: its stamps stand still until its clock is there again.
  const back = noted([former], { aheadUs: 0, stampAheadUs: HOUR_US });
  expect(back?.unclear).toEqual({ ...unclear, untilUs: 1_000_000_000 + HOUR_US + 10_000 });
  // Another session meanwhile finds nothing new.
  expect(back && noted([former, back], { nowUs: 1_001_000_000, stampAheadUs: HOUR_US - 1_000_000 })).toBeNull();
  // Ours was set back: what is known lies in the future.
  expect(noted([former], { aheadUs: 2 * HOUR_US, nowUs: 800_000_000 })?.unclear).toEqual({
    upTo: 12,
    fromUs: 800_000_000,
    untilUs: 900_000_000,
  });
  expect([wasSet(5000, 5400), wasSet(5000, 4400), wasSet(5000, 5600)]).toEqual([false, true, true]);
});

/** 20 marks of the first second, by a clock that is an hour ahead; known until the fifth. */
async function made(): Promise<RecordedWorld> {
  const world = newWorld(SIZES);
  const recording = await world.open();
  fillBase(recording, [new Uint8Array(65_536)]);
  await recording.settled();
  recording.noteClock({ mark: 0, aheadUs: HOUR_US });
  recording.clock({ mark: 0, chain: 0n }, BigInt(HOUR_US) * 1000n);
  await recording.settled();
  for (const write of randomWrites(new Prng(3), 20, SIZES)) {
    recording.control(controlOf({ ...write, timeNs: write.timeNs + BigInt(HOUR_US) * 1000n }));
    const data = dataOf(write);
    if (data) recording.data(data);
    await recording.settled();
  }
  const known = new KnownUntil(world.folder, (line) => world.said.push(line));
  known.come(20, START_US + 5_000_000);
  known.reached(20);
  await known.settled();
  return world;
}

/** The marks of all times, and of those that are refused why. */
function answers({ folder }: RecordedWorld): (number | string)[] {
  const { table, extent, times } = loadRecording(folder);
  return Array.from({ length: 50 }, (_, i) => {
    const found = findMark(table, extent, times, { timeUs: START_US + i * 100_000 }, START_US + 10 * HOUR_US);
    return found.ok ? found.mark : found.why;
  });
}

test('[HI6] [OS5] a bit that flips in control, and control that is gone: times are answered as before, or are refused', async () => {
  const world = await made();
  const whole = answers(world);
  expect(whole.at(-1)).toBe(20);
  await world.close();
  const [segment = 0] = segmentsIn(world.folder, 'control');
  const path = controlPath(world.folder, segment);
  const control = readFileSync(path);
  const head = readHead(world.folder);
  const { clocks, ...earlier } = head;
  expect(clocks).toEqual([{ mark: 0, aheadUs: HOUR_US }]);
  for (let byte = 16; byte < control.length; byte += 64) {
    const damaged = Buffer.from(control);
    damaged[byte] = (damaged[byte] ?? 0) ^ 1;
    writeFileSync(path, damaged);
    writeHead(world.folder, head);
    answers(world).forEach((answer, i) => {
      if (typeof answer === 'number') expect(answer, `byte ${byte}, ${i}`).toBe(whole[i]);
    });
    // Of an earlier program: any of what is lost may have been such a word.
    writeHead(world.folder, earlier);
    if (loadRecording(world.folder).damage.length === 0) continue;
    expect(
      new Set(
        answers(world).map((answer) => /cannot be told: a clock was set|lies before|lies in a gap/.test(`${answer}`)),
      ),
    ).toEqual(new Set([true]));
  }
  rmSync(path);
  const { damage, extent } = loadRecording(world.folder);
  expect(damage).toEqual([`${path} is gone: what it said is missing, marks of it are gaps`]);
  expect(extent.gaps.length).toBeGreaterThan(0);
  expect(answers(world).filter((answer) => typeof answer === 'number' && answer > 0)).toEqual([]);
});

test('[HI4] [HI6] what is noted of clocks outlives folds, restarts and a recorder of before', async () => {
  const world = await made();
  const recording = await world.open();
  const unclear = { upTo: 25, fromUs: START_US + 5_000_000, untilUs: START_US + 9_000_000 };
  recording.noteClock({ mark: 20, aheadUs: 0, unclear });
  await recording.prune(Infinity, 0);
  expect(recording.base.mark).toBe(20);
  const { extent } = loadRecording(world.folder);
  expect(extent.unclear).toEqual([{ from: 20, ...unclear }]);
  const again = await world.open();
  expect(again.clocks.at(-1)).toEqual({ mark: 20, aheadUs: 0, unclear });
  await world.close();
  const { clocks: _, ...earlier } = readHead(world.folder);
  writeHead(world.folder, earlier);
  expect((await world.open()).clocks).toEqual([{ mark: 20, aheadUs: 0 }]);
  expect(timeText(unclear.fromUs)).toMatch(/Z$/);
});
