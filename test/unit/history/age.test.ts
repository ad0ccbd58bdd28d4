/** [HI4] [HI6] Retention by time goes by time that has passed: a clock that is set folds nothing away. */
import { utimesSync } from 'node:fs';
import { afterEach, expect, test } from 'vitest';
import { Prng } from '../../../agent/base/prng.ts';
import { controlPath, segmentsIn } from '../../../agent/history/store/files.ts';
import type { Recording } from '../../../agent/history/store/recording.ts';
import {
  feed,
  fillBase,
  newWorld,
  randomWrites,
  removeWorlds,
  type RecordedWorld,
} from '../../support/recorded-writes.ts';

const SIZES = [65_536];
const HOUR_MS = 3_600_000;
const DAY = { hours: 24, bytes: 0 };
afterEach(removeWorlds);

/** 20 marks, written just now. */
async function made(): Promise<{ readonly world: RecordedWorld; readonly recording: Recording }> {
  const world = newWorld(SIZES);
  world.nowMs = Date.now();
  const recording = await world.open(DAY);
  fillBase(recording, [new Uint8Array(65_536)]);
  await write(recording, 1, 20);
  return { world, recording };
}

async function write(recording: Recording, from: number, count: number): Promise<void> {
  feed(recording, new Prng(from), randomWrites(new Prng(7), count, SIZES, from));
  await recording.settled();
}

/** Time passes, and the recorder looks: the base's mark is then. */
async function passed(world: RecordedWorld, recording: Recording, hours: number): Promise<number> {
  world.nowMs += hours * HOUR_MS;
  recording.look();
  await recording.settled();
  expect(recording.fault).toBeNull();
  return recording.base.mark;
}

function set(world: RecordedWorld, hours: number): void {
  world.nowMs += hours * HOUR_MS;
  world.setMs += hours * HOUR_MS;
}

/** As files are that are written now. */
function touch({ folder, nowMs }: RecordedWorld, segment: number): void {
  utimesSync(controlPath(folder, segment), nowMs / 1000, nowMs / 1000);
}

test('[HI4] [HI6] a clock that is set forward folds nothing: 24 h are kept of what has passed since', async () => {
  const { world, recording } = await made();
  set(world, 25);
  for (const mark of [21, 22, 23]) {
    await write(recording, mark, 1);
    expect(await passed(world, recording, 0.001)).toBe(0);
  }
  expect(world.said).toEqual([
    `recording ${world.folder}: the clock was set forward by 25.0 h: that is no age, what is kept for 24 h stays so long`,
  ]);
  // Another segment, which is not folded with it.
  expect(await passed(world, recording, 2)).toBe(0);
  await write(recording, 24, 1);
  expect(await passed(world, recording, 20)).toBe(0);
  expect(await passed(world, recording, 2.1)).toBe(23);
  expect(await passed(world, recording, 3)).toBe(24);
  expect(world.said).toHaveLength(1);
});

test('[HI4] [HI6] a clock that is set back folds nothing before its time, and nothing later', async () => {
  const { world, recording } = await made();
  set(world, -100);
  expect(await passed(world, recording, 2)).toBe(0);
  await write(recording, 21, 1);
  // Written by a clock that was set back, it looks old.
  touch(world, segmentsIn(world.folder, 'control').at(-1) ?? 0);
  expect(await passed(world, recording, 21.9)).toBe(0);
  expect(await passed(world, recording, 1.6)).toBe(20);
  expect(await passed(world, recording, 0.4)).toBe(20);
  expect(await passed(world, recording, 0.2)).toBe(21);
  expect(world.said).toEqual([]);
});

test('[HI4] [HI6] a start: how long it was stopped counts when the clock has stood for a while, and not before', async () => {
  const { world } = await made();
  await world.close();
  world.nowMs += 30 * HOUR_MS;
  let recording = await world.open(DAY);
  const held = `recording ${world.folder}: nothing was written for 30.0 h by the clock: that counts as age when the clock has stood for 1.5 h`;
  expect(world.said).toEqual([held]);
  expect(await passed(world, recording, 1.4)).toBe(0);
  // The clock was wrong, and is set right: now it has to stand.
  set(world, -29);
  expect(await passed(world, recording, 1.4)).toBe(0);
  expect(await passed(world, recording, 3)).toBe(0);
  await world.close();
  set(world, 29);
  recording = await world.open(DAY);
  expect(world.said).toHaveLength(2);
  expect(await passed(world, recording, 1.6)).toBe(20);
  await write(recording, 21, 1);
  await world.close();
  world.nowMs += 3 * HOUR_MS;
  recording = await world.open({ hours: 1, bytes: 0 });
  expect(await passed(world, recording, 0.1)).toBe(20);
  expect(await passed(world, recording, 0.1)).toBe(21);
});

test('[HI4] [HI6] a start by a clock that is still ahead, or that is behind: what was found out of it is no age', async () => {
  const { world, recording } = await made();
  const [fromUs, untilUs] = [world.nowMs * 1000, (world.nowMs + 25 * HOUR_MS) * 1000];
  await recording.prune(0, Infinity);
  set(world, 25);
  // The monitor's clock was not set, so the session that begins then tells.
  recording.noteClock({ mark: 20, aheadUs: -25 * HOUR_MS * 1000, unclear: { upTo: 20, fromUs, untilUs } });
  await write(recording, 21, 1);
  touch(world, 2);
  let again = await world.open(DAY);
  for (const hours of [0.1, 2, 2, 19]) expect(await passed(world, again, hours)).toBe(0);
  // Of a clock that has lost what it was all is young.
  set(world, -10_000);
  again = await world.open(DAY);
  expect(await passed(world, again, 2)).toBe(0);
  expect(await passed(world, again, 21)).toBe(0);
  expect(await passed(world, again, 3)).toBe(21);
});
