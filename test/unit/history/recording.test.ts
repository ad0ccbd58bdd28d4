/** A recording against an independent replay of the list of writes: whatever came in whatever order, wherever it was cut off. */
import {
  closeSync,
  copyFileSync,
  cpSync,
  existsSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { Prng } from '../../../agent/base/prng.ts';
import { findMark, gapText } from '../../../agent/history/core/spans.ts';
import { controlPath, dataPath, segmentsIn } from '../../../agent/history/store/files.ts';
import { loadRecording } from '../../../agent/history/store/load.ts';
import { until } from '../../support/until.ts';
import {
  controlOf,
  dataOf,
  feed,
  fillBase,
  randomWrites,
  newWorld,
  removeWorlds,
  replayed,
  START_NS,
  type RecordedWrite,
} from '../../support/recorded-writes.ts';

afterEach(removeWorlds);

function contents(random: Prng, sizes: readonly number[]): Uint8Array[] {
  return sizes.map((bytes) => {
    const content = new Uint8Array(bytes);
    random.fill(content);
    return content;
  });
}

test('[OS4] [OS5] [I5] 1,000 states at random marks are those of an independent replay, over orders, restarts and folds', async () => {
  let states = 0;
  for (let seed = 1; states < 1000; seed++) {
    const random = new Prng(seed);
    const sizes = [32 * 1024 + 512 * random.below(3), 20_000];
    const world = newWorld(sizes);
    const base = contents(random, sizes);
    const retention = { hours: 0, bytes: seed % 3 === 0 ? 512 * 1024 : 0 };
    let recording = await world.open(retention);
    fillBase(recording, base);
    const writes = randomWrites(random, 240, sizes);
    for (let from = 0; from < writes.length; from += 80) {
      feed(recording, random, writes.slice(from, from + 80), random.pick([1, 8, Infinity]));
      await recording.settled();
      if (random.chance(1, 2)) recording = await world.open(retention);
    }
    await recording.settled();
    expect(recording.prefix.mark).toBe(240);
    if (random.chance(1, 2)) await recording.prune(0, random.below(500_000));
    const { extent } = loadRecording(world.folder);
    expect(extent.gaps).toEqual([]);
    const [span] = extent.spans;
    const marks = Array.from({ length: 50 }, () => random.between(span?.from ?? 0, span?.to ?? 0));
    const loaded = loadRecording(world.folder);
    for (const mark of marks) {
      const wanted = replayed(base, writes, mark);
      world.at(mark, loaded).forEach((bytes, volume) => {
        expect(Buffer.compare(bytes, wanted[volume] ?? new Uint8Array(0)), `seed ${seed}, mark ${mark}`).toBe(0);
      });
      states++;
    }
    await world.remove();
  }
  expect(states).toBeGreaterThanOrEqual(1000);
});

test('[OS2] control without data and data without control count for nothing, and are told apart', async () => {
  const random = new Prng(5);
  const sizes = [65_536];
  const world = newWorld(sizes);
  const base = contents(random, sizes);
  const recording = await world.open();
  fillBase(recording, base);
  const writes = randomWrites(random, 60, sizes).map((write, i) => {
    const payload = new Uint8Array(512).fill(i);
    return { ...write, kind: 1, offset: i * 512, length: 512, payload };
  });
  const [early, first, second, late] = [
    writes.slice(0, 20),
    writes.slice(20, 30),
    writes.slice(30, 40),
    writes.slice(40),
  ];
  feed(recording, random, early);
  for (const write of first) recording.control(controlOf(write));
  for (const write of second) recording.data(dataOf(write) ?? new Uint8Array(0));
  await recording.settled();
  expect(recording.prefix.mark).toBe(20);
  expect(recording.waiting).toEqual({ control: 10, data: 10 });
  const lacks = () => loadRecording(world.folder).extent.gaps.map(gapText);
  const both = '10 have data and no control, 10 have control and no data';
  expect(lacks()).toEqual([expect.stringMatching(new RegExp(`^marks 21 to 40, .* are not all here: ${both}$`))]);
  for (const write of first) recording.data(dataOf(write) ?? new Uint8Array(0));
  await recording.settled();
  expect(recording.prefix.mark).toBe(30);
  expect(lacks()).toEqual([expect.stringMatching(/^marks 31 to 40, .* have data and no control$/)]);
  // Over a restart it is not forgotten: the control alone makes it whole.
  const again = await world.open();
  for (const write of second) again.control(controlOf(write));
  feed(again, random, late);
  await again.settled();
  await world.close();
  const { extent } = loadRecording(world.folder);
  expect(extent.gaps).toEqual([]);
  expect(Buffer.compare(world.at(60)[0] ?? new Uint8Array(0), replayed(base, writes, 60)[0] ?? new Uint8Array(1))).toBe(
    0,
  );
});

test('[OS2] data that is not of its mark is dropped, in whatever order it comes, and the right one still counts', async () => {
  const sizes = [65_536];
  for (const isTogether of [true, false]) {
    const world = newWorld(sizes);
    const recording = await world.open();
    fillBase(recording, [new Uint8Array(65_536)]);
    const orders = ['cwr', 'wcr', 'wrc', 'rwc', 'rcw', 'crw', 'wwcr'];
    const writes = orders.map((_, i): RecordedWrite => {
      const payload = new Uint8Array(512).fill(i + 1);
      return { kind: 1, mark: i + 1, timeNs: START_NS, volume: 0, offset: i * 512, length: 512, payload };
    });
    for (const [i, write] of writes.entries()) {
      for (const [step, what] of (orders[i] ?? '').split('').entries()) {
        const wrong = { ...write, payload: new Uint8Array(512).fill(100 + step) };
        if (what === 'c') recording.control(controlOf(write));
        else recording.data(dataOf(what === 'w' ? wrong : write) ?? new Uint8Array(0));
        if (!isTogether) await recording.settled();
      }
    }
    await recording.settled();
    expect([recording.prefix.mark, recording.waiting]).toEqual([orders.length, { control: 0, data: 0 }]);
    expect(world.at(orders.length)).toEqual(replayed([new Uint8Array(65_536)], writes, orders.length));
  }
});

test('what comes in the very step in which writing ends is written too', async () => {
  const random = new Prng(9);
  const sizes = [65_536];
  const world = newWorld(sizes);
  const recording = await world.open();
  fillBase(recording, contents(random, sizes));
  const payload = new Uint8Array(512);
  const writes = randomWrites(random, 60, sizes).map((write) => ({
    ...write,
    kind: 1,
    offset: 0,
    length: 512,
    payload,
  }));
  for (const [steps, write] of writes.entries()) {
    // The next one comes so many steps behind the end of the one before, and nothing comes behind it.
    const next = writes[steps + 1];
    if (steps % 2 === 1 || !next) continue;
    let isTold = false;
    world.progress = () => {
      if (isTold) return;
      isTold = true;
      let step = Promise.resolve();
      for (let i = 0; i < steps / 2; i++) step = step.then(() => {});
      void step.then(() => feed(recording, random, [next]));
    };
    feed(recording, random, [write]);
    await until(`mark ${next.mark}`, () => recording.prefix.mark === next.mark);
  }
});

test('[HI5] what a new generation writes in the very turn in which it branches off is not void', async () => {
  const random = new Prng(11);
  const sizes = [65_536];
  const world = newWorld(sizes);
  const base = contents(random, sizes);
  const recording = await world.open();
  fillBase(recording, base);
  const former = randomWrites(random, 10, sizes);
  feed(recording, random, former.slice(0, 8));
  await recording.settled();
  // What is on its way when it is voided is void too.
  feed(recording, random, former.slice(8));
  recording.branch('22'.repeat(16), { mark: 5, chain: 35n });
  const writes = [...former.slice(0, 5), ...randomWrites(random, 3, sizes, 6)];
  feed(recording, random, writes.slice(5));
  await recording.settled();
  for (const again of [false, true]) {
    const { prefix } = again ? await world.open() : recording;
    expect(prefix.mark).toBe(8);
    const { extent } = loadRecording(world.folder);
    expect([extent.gaps, extent.spans.at(-1)?.to]).toEqual([[], 8]);
    expect(world.at(8)).toEqual(replayed(base, writes, 8));
  }
});

test('[HI5] a branch below what was folded leaves no base: of what is void there is no state', async () => {
  const random = new Prng(15);
  const sizes = [65_536];
  const world = newWorld(sizes);
  const recording = await world.open();
  fillBase(recording, contents(random, sizes));
  feed(recording, random, randomWrites(random, 40, sizes));
  await recording.settled();
  await recording.prune(Infinity, 0);
  expect(loadRecording(world.folder).extent.spans[0]?.from).toBeGreaterThan(5);
  recording.branch('22'.repeat(16), { mark: 5, chain: 35n });
  await recording.settled();
  expect(recording.isWhole).toBe(false);
  expect(loadRecording(world.folder).extent.spans).toEqual([]);
});

test('[HI4] [HI5] a fold of old segments brings nothing into the base that a word in a later one voids', async () => {
  const random = new Prng(12);
  const sizes = [65_536];
  const world = newWorld(sizes);
  const base = contents(random, sizes);
  let recording = await world.open();
  fillBase(recording, base);
  const former = randomWrites(random, 24, sizes);
  for (const from of [0, 8, 16]) {
    feed(recording, random, former.slice(from, from + 8));
    // Begins a segment.
    await recording.prune(0, Infinity);
  }
  recording.branch('22'.repeat(16), { mark: 4, chain: 28n });
  await recording.settled();
  const writes = [...former.slice(0, 4), ...randomWrites(random, 3, sizes, 5)];
  feed(recording, random, writes.slice(4));
  await recording.settled();
  for (let i = 0; i < 4; i++) await recording.prune(Infinity, Infinity);
  recording = await world.open();
  const { extent, head } = loadRecording(world.folder);
  expect([recording.prefix.mark, extent.gaps, extent.spans.at(-1)?.to]).toEqual([7, [], 7]);
  // And what is void keeps no segment from being folded.
  expect(head.base.mark).toBe(7);
  expect(world.at(7)).toEqual(replayed(base, writes, 7));
});

test('[OS5] a session that is lost while the volumes are being taken: it ends where it ended before', async () => {
  const random = new Prng(13);
  const sizes = [65_536];
  const world = newWorld(sizes);
  const recording = await world.open();
  fillBase(recording, contents(random, sizes));
  const writes = randomWrites(random, 40, sizes);
  feed(recording, random, writes.slice(0, 10));
  await recording.settled();
  const before = recording.standing;
  recording.startAt(20, 140n);
  feed(recording, random, writes.slice(20, 30));
  await recording.settled();
  expect([recording.prefix.mark, recording.standing]).toEqual([30, before]);
  recording.startAt(32, 224n);
  recording.whole(32);
  await recording.settled();
  expect(recording.standing.mark).toBe(32);
});

test('[OS5] what is missing is a gap: no state in it, the ones around it as they were', async () => {
  const random = new Prng(9);
  const sizes = [65_536];
  const world = newWorld(sizes);
  const base = contents(random, sizes);
  let recording = await world.open();
  fillBase(recording, base);
  const writes = randomWrites(random, 300, sizes);
  feed(recording, random, writes.slice(0, 100));
  await recording.settled();
  // Marks 101 to 200 never come; then all is compared anew, as it is at 220.
  recording = await world.open();
  recording.startAt(200, 0n);
  feed(recording, random, writes.slice(200, 220));
  const images = replayed(base, writes, 220).map((payload, volume) => ({
    kind: 5,
    mark: 220,
    timeNs: 0n,
    volume,
    offset: 0,
    length: payload.length,
    payload,
  }));
  for (const image of images) recording.data(dataOf(image) ?? new Uint8Array(0));
  recording.whole(220);
  feed(recording, random, writes.slice(220));
  await recording.settled();
  const { extent, table, times } = loadRecording(world.folder);
  expect(extent.spans.map(({ from, to }) => [from, to])).toEqual([
    [0, 100],
    [220, 300],
  ]);
  expect(extent.gaps).toMatchObject([{ first: 101, last: 219, lacks: { all: 100, control: 0, data: 0 } }]);
  for (const mark of [0, 57, 100, 220, 221, 300]) {
    expect(world.at(mark).map((bytes, i) => Buffer.compare(bytes, replayed(base, writes, mark)[i] ?? bytes))).toEqual([
      0,
    ]);
  }
  for (const mark of [101, 210, 219]) {
    const found = findMark(table, extent, times, { mark }, Infinity);
    expect(found).toMatchObject({ ok: false, why: expect.stringMatching(/lies in a gap: marks 101 to 219/) });
  }
  // A fold goes over the gap: the earliest is then behind it.
  await recording.prune(Infinity, 0);
  expect(loadRecording(world.folder).extent.spans[0]?.from).toBeGreaterThanOrEqual(220);
  expect(
    Buffer.compare(
      world.at(300)[0] ?? base[0] ?? new Uint8Array(0),
      replayed(base, writes, 300)[0] ?? new Uint8Array(1),
    ),
  ).toBe(0);
});

test('retention by time goes on while nothing is written', async () => {
  const random = new Prng(23);
  const sizes = [65_536];
  const world = newWorld(sizes);
  world.nowMs = Date.now();
  const recording = await world.open({ hours: 1, bytes: 0 });
  fillBase(recording, [new Uint8Array(65_536)]);
  const writes = randomWrites(random, 20, sizes);
  feed(recording, random, writes);
  await recording.settled();
  for (const [hours, mark] of [
    [0.9, 0],
    [2, 20],
  ] as const) {
    world.nowMs = Date.now() + hours * 3_600_000;
    recording.look();
    await recording.settled();
    expect([recording.base.mark, recording.fault]).toEqual([mark, null]);
  }
  expect(world.at(20)).toEqual(replayed([new Uint8Array(65_536)], writes, 20));
  expect(segmentsIn(world.folder, 'control').length).toBe(1);
});

test('a recording cut off at any byte, and a bit that turned over in it: states are right, or are refused', async () => {
  const random = new Prng(21);
  const sizes = [65_536];
  const world = newWorld(sizes);
  const base = contents(random, sizes);
  const recording = await world.open();
  fillBase(recording, base);
  const writes = randomWrites(random, 200, sizes);
  for (let from = 0; from < 200; from += 10) {
    feed(recording, random, writes.slice(from, from + 10));
    await recording.settled();
  }
  await world.close();
  const kept = `${world.folder}-kept`;
  cpSync(world.folder, kept, { recursive: true });
  try {
    const [segment = 1] = segmentsIn(world.folder, 'control');
    for (let round = 0; round < 20; round++) {
      for (const name of readdirSync(kept)) copyFileSync(join(kept, name), join(world.folder, name));
      const isData = random.chance(1, 3);
      const path = isData ? dataPath(world.folder, segment) : controlPath(world.folder, segment);
      const size = readFileSync(path).length;
      const at = random.below(size);
      if (random.chance(1, 2)) truncateSync(path, at);
      else {
        const fd = openSync(path, 'r+');
        writeSync(fd, Uint8Array.of((readFileSync(path)[at] ?? 0) ^ 0x10), 0, 1, at);
        closeSync(fd);
      }
      const loaded = loadRecording(world.folder);
      const { extent } = loaded;
      for (const { from, to } of extent.spans) {
        for (const mark of [from, to, random.between(from, to)]) {
          let found: Uint8Array[];
          try {
            found = world.at(mark, loaded);
          } catch (error) {
            expect(String(error)).toMatch(/damaged|cut short/);
            continue;
          }
          expect(
            Buffer.compare(
              found[0] ?? base[0] ?? new Uint8Array(0),
              replayed(base, writes, mark)[0] ?? new Uint8Array(1),
            ),
            `round ${round}, mark ${mark}`,
          ).toBe(0);
        }
      }
    }
  } finally {
    rmSync(kept, { recursive: true, force: true });
  }
});

test('a fold that was cut off is done again, and the head is never between two', async () => {
  const random = new Prng(33);
  const sizes = [65_536];
  const world = newWorld(sizes);
  const base = contents(random, sizes);
  let recording = await world.open({ hours: 0, bytes: 2_097_152 });
  fillBase(recording, base);
  const writes = randomWrites(random, 400, sizes);
  feed(recording, random, writes);
  await recording.settled();
  await world.close();
  // As a crash in the middle of it leaves things: named in the head, and the base a mix.
  const [sum, text] = [
    readFileSync(join(world.folder, 'head'), 'utf8').slice(0, 8),
    readFileSync(join(world.folder, 'head'), 'utf8').slice(9),
  ];
  expect(sum).toMatch(/^[0-9a-f]{8}$/);
  const head = JSON.parse(text) as { base: object };
  const { writeHead } = await import('../../../agent/history/store/files.ts');
  writeHead(world.folder, {
    ...(head as never as Parameters<typeof writeHead>[1]),
    base: { mark: 250, timeUs: 1, over: 0, state: 'folding' },
  });
  const half = replayed(base, writes, 250)[0] ?? new Uint8Array(0);
  const fd = openSync(join(world.folder, 'base-0'), 'r+');
  writeSync(fd, half, 0, 20_000, 0);
  closeSync(fd);
  recording = await world.open({ hours: 0, bytes: 2_097_152 });
  expect(recording.base).toMatchObject({ mark: 250, state: 'whole' });
  for (const mark of [250, 251, 400]) {
    expect(
      Buffer.compare(world.at(mark)[0] ?? half, replayed(base, writes, mark)[0] ?? new Uint8Array(1)),
      String(mark),
    ).toBe(0);
  }
  expect(existsSync(join(world.folder, 'reserve'))).toBe(true);
  for (const name of ['head', 'head.copy']) writeFileSync(join(world.folder, name), 'x');
  expect(() => loadRecording(world.folder)).toThrow(/damaged/);
});
