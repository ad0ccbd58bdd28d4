/** [HI9] Until when all that was written is known: what is written, when, and what is made of it. */
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { afterEach, expect, test } from 'vitest';
import { Prng } from '../../../agent/base/prng.ts';
import { findMark, gapText, type Found } from '../../../agent/history/core/spans.ts';
import { Intake } from '../../../agent/history/recorder/intake.ts';
import { KnownUntil, knownPath, readKnown } from '../../../agent/history/store/known.ts';
import { loadRecording } from '../../../agent/history/store/load.ts';
import { encodeTake, type Take } from '../../../agent/history/wire/greeting.ts';
import { encodeKnown } from '../../../agent/mirror/link/greeting.ts';
import type { Peer } from '../../../agent/mirror/target/session.ts';
import { FRAME_KIND, type FrameKind } from '../../../agent/mirror/wire/frame.ts';
import { until } from '../../support/until.ts';
import {
  controlOf,
  dataOf,
  fillBase,
  GENERATION,
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

/** A monitor's session with a recorder, both by the clock of the world. */
class Session {
  readonly world: RecordedWorld;
  readonly #intake: Intake;
  readonly #peer: Peer = { address: 'here', send: () => {}, stop: () => {}, pause: () => {}, resume: () => {} };

  private constructor(world: RecordedWorld, intake: Intake) {
    this.world = world;
    this.#intake = intake;
  }

  static async begin(world: RecordedWorld, how: Take['how'], mark: number): Promise<Session> {
    const volumes = [{ name: 'v0', bytes: SIZES[0] ?? 0 }];
    const point = { mark: 0, chain: 0n };
    const hello = {
      monitor: 'm',
      volumes,
      generation: GENERATION,
      ancestry: [],
      tail: point,
      durable: point,
      session: 1,
      carries: 'control' as const,
      dataFolder: null,
    };
    const { folder, nowMs: startMs } = world;
    const intake = await Intake.open({
      folder,
      logFolder: null,
      monitor: 'm',
      hello,
      retention: { hours: 0, bytes: 0 },
      log: (line) => world.said.push(line),
      nowMs: () => world.nowMs,
      steadyMs: () => world.nowMs - world.setMs,
    });
    const session = new Session(world, intake);
    expect(await intake.greet(session.#peer, hello)).toBeNull();
    session.say(FRAME_KIND.take, encodeTake({ how, from: { mark, chain: BigInt(mark) * 7n }, clockMs: startMs }));
    await intake.recording.settled();
    return session;
  }

  say(kind: FrameKind, body: Uint8Array, id = 0): void {
    this.#intake.frame(this.#peer, { kind, count: 1, bodyBytes: body.length, session: 1, id, bodyCrc: 0 }, body);
  }

  async write(from: number, count: number): Promise<void> {
    for (const write of randomWrites(new Prng(3), count, SIZES, from)) {
      const timeNs = BigInt(this.world.nowMs) * 1_000_000n;
      this.say(FRAME_KIND.control, controlOf({ ...write, timeNs }));
      const data = dataOf(write);
      if (data) this.say(FRAME_KIND.data, data);
    }
    const { recording } = this.#intake;
    await until('it is kept', () => recording.prefix.mark === from + count - 1);
  }

  async whole(mark: number): Promise<void> {
    this.say(FRAME_KIND.whole, encodeKnown(this.world.nowMs), mark);
    await this.#intake.recording.settled();
  }

  known(mark: number): void {
    this.say(FRAME_KIND.known, encodeKnown(this.world.nowMs), mark);
  }

  async end(): Promise<void> {
    await this.#intake.close();
  }
}

test('[HI9] a gap begins at the time until which all was known: what was idle before it is answered', async () => {
  const world = newWorld(SIZES);
  const startMs = world.nowMs;
  let session = await Session.begin(world, 'base', 0);
  await session.whole(0);
  world.nowMs = startMs + 1000;
  await session.write(1, 12);
  world.nowMs = startMs + 100_000;
  session.known(12);
  await session.end();
  const idle = [2000, 99_000, 100_000];
  const marks = () => idle.map((ms) => found(world, ms)).map((one) => (one.ok ? one.mark : one.why));
  expect(marks()).toEqual([12, 12, 12]);
  // It was let go of: 13 to 43 are missing, and the next session breaks before the volumes are whole, and so does another one.
  for (const begins of [200_000, 210_000]) {
    world.nowMs = startMs + begins;
    session = await Session.begin(world, 'changed', 43);
    await session.end();
    expect(marks()).toEqual([12, 12, 12]);
  }
  session = await Session.begin(world, 'changed', 43);
  await session.write(44, 3);
  await session.whole(46);
  world.nowMs = startMs + 300_000;
  session.known(46);
  await session.write(47, 1);
  await session.end();
  const loaded = loadRecording(world.folder);
  expect(loaded.extent.spans).toMatchObject([
    { from: 0, to: 12, toUs: START_US + 100_000_000 },
    { from: 46, to: 47 },
  ]);
  expect(marks()).toEqual([12, 12, 12]);
  expect(found(world, 100_001)).toMatchObject({
    ok: false,
    why: expect.stringContaining('lies in a gap: marks 13 to'),
  });
  expect(found(world, 250_000)).toMatchObject({ ok: true, mark: 46 });
  // So it is when the base has come up to there.
  const recording = await world.open();
  await recording.prune(0, recording.storedBytes - 1);
  expect(recording.base.mark).toBe(12);
  expect(marks()).toEqual([12, 12, 12]);
});
