/** A recording whose storage fails under the one who writes it: told, and gone on with as soon as it can be. */
import { closeSync, mkdirSync, openSync, rmdirSync, rmSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { Prng } from '../../../agent/base/prng.ts';
import { controlPath, dataPath } from '../../../agent/history/store/files.ts';
import { Recording } from '../../../agent/history/store/recording.ts';
import { restoreFrom } from '../../../agent/history/store/restore-from.ts';
import { until } from '../../support/until.ts';
import {
  feed,
  fillBase,
  GENERATION,
  randomWrites,
  newWorld,
  removeWorlds,
  replayed,
  START_NS,
} from '../../support/recorded-writes.ts';

afterEach(removeWorlds);

test('files that are removed under the one who writes are told, and nothing behind them counts as kept', async () => {
  const random = new Prng(19);
  const sizes = [65_536];
  const writes = randomWrites(random, 20, sizes);
  const removals = [controlPath, dataPath].map((pathOf) => (folder: string) => pathOf(folder, 1));
  for (const pathOf of [...removals, (folder: string) => join(folder, 'base-0')]) {
    for (const isSilent of [true, false]) {
      const world = newWorld(sizes);
      const recording = await world.open();
      fillBase(recording, [new Uint8Array(65_536)]);
      feed(recording, random, writes.slice(0, 10));
      await recording.settled();
      const path = pathOf(world.folder);
      rmSync(path);
      if (isSilent || path.includes('base')) recording.look();
      else feed(recording, random, writes.slice(10));
      await until(`${path} is missed`, () => recording.fault !== null);
      expect(recording.fault).toBe(`${path} was removed: what was in it is lost here; start the recorder again`);
      expect(world.said).toEqual([expect.stringContaining(`cannot be written (${path} was removed`)]);
      expect(recording.prefix.mark).toBe(10);
    }
  }
});

test('a segment that cannot be begun is a fault while that lasts: what comes behind it is recorded', async () => {
  const random = new Prng(31);
  const sizes = [65_536];
  const world = newWorld(sizes);
  const recording = await world.open();
  fillBase(recording, [new Uint8Array(65_536)]);
  const writes = randomWrites(random, 20, sizes);
  feed(recording, random, writes.slice(0, 10));
  await recording.settled();
  const inTheWay = controlPath(world.folder, 2);
  mkdirSync(inTheWay);
  await expect(recording.prune(0, Infinity)).rejects.toThrow('EISDIR');
  rmdirSync(inTheWay);
  feed(recording, random, writes.slice(10));
  await until('all is recorded', () => recording.prefix.mark === 20);
  expect(recording.fault).toBeNull();
  expect(world.at(20)).toEqual(replayed([new Uint8Array(65_536)], writes, 20));
});

test('a fold that damage keeps from being done is told once, and recording goes on', async () => {
  const random = new Prng(29);
  const sizes = [65_536];
  const world = newWorld(sizes);
  world.nowMs = Date.now();
  const recording = await world.open({ hours: 1, bytes: 0 });
  fillBase(recording, [new Uint8Array(65_536)]);
  const payload = new Uint8Array(65_536).fill(7);
  const whole = { kind: 1, volume: 0, offset: 0, length: 65_536, payload, timeNs: START_NS };
  feed(recording, random, [{ ...whole, mark: 1 }]);
  await recording.settled();
  const fd = openSync(dataPath(world.folder, 1), 'r+');
  writeSync(fd, Uint8Array.of(1), 0, 1, 1000);
  closeSync(fd);
  for (const hours of [2, 3, 4]) {
    world.nowMs = Date.now() + hours * 3_600_000;
    recording.look();
    await recording.settled();
    expect(recording.fault).toMatch(/^mark 1: its data is damaged/);
  }
  expect(world.said).toEqual([expect.stringContaining('mark 1: its data is damaged')]);
  feed(recording, random, [{ ...whole, mark: 2 }]);
  await recording.settled();
  expect(recording.prefix.mark).toBe(2);
});

test('[OS6] a log device of another monitor, of other volumes or of another generation gives nothing back', async () => {
  const random = new Prng(37);
  const world = newWorld([65_536]);
  const recording = await world.open();
  fillBase(recording, [new Uint8Array(65_536)]);
  await recording.settled();
  const ours = { monitor: 'm', volumes: [{ name: 'v0', bytes: 65_536 }], generation: GENERATION };
  const others = [
    [{ ...ours, monitor: 'other' }, 'is the log device of other, not of m'],
    [{ ...ours, volumes: [{ name: 'v0', bytes: 32_768 }] }, 'is the log device of other volumes of m'],
    [{ ...ours, generation: '22'.repeat(16) }, 'is the log device of another generation of m'],
    [ours, null],
  ] as const;
  for (const [owner, refusal] of others) {
    const { folder } = newWorld([65_536]);
    const device = await Recording.open({
      ...owner,
      folder,
      keepsBase: false,
      retention: { hours: 0, bytes: 0 },
      nowMs: () => world.nowMs,
      steadyMs: () => world.nowMs,
      log: () => {},
      progress: () => {},
    });
    feed(device, random, randomWrites(new Prng(38), 10, [32_768]));
    await device.settled();
    await device.close();
    const restoring = restoreFrom(recording, folder, true);
    if (refusal === null) expect(await restoring).toMatchObject({ control: 10 });
    else await expect(restoring).rejects.toThrow(`${folder} ${refusal}`);
    expect(recording.prefix.mark).toBe(refusal === null ? 10 : 0);
  }
});
