/** `stillbeat history` on recordings that no recorder has: what it asks before it does harm, and what it says of files that are not right. */
import { linkSync, readFileSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { EXIT } from '../../agent/base/errors.ts';
import { Prng } from '../../agent/base/prng.ts';
import { CLI_PATH } from '../../agent/demo/lab.ts';
import { run } from '../../agent/demo/shell.ts';
import { segmentsIn } from '../../agent/history/store/files.ts';
import {
  feed,
  fillBase,
  newWorld,
  randomWrites,
  type RecordedWorld,
  removeWorlds,
} from '../support/recorded-writes.ts';

const SIZES = [65_536];
const ANSWER_MS = 60_000;
afterEach(removeWorlds);

const history = async (...argv: readonly string[]) =>
  run([process.execPath, CLI_PATH, 'history', ...argv], { timeoutMs: ANSWER_MS });

/** Sixty writes in three segments, and one that was just begun. */
async function recorded(): Promise<RecordedWorld> {
  const random = new Prng(51);
  const world = newWorld(SIZES);
  const recording = await world.open();
  fillBase(recording, [new Uint8Array(65_536).fill(3)]);
  const writes = randomWrites(random, 60, SIZES);
  for (const from of [0, 20, 40]) {
    feed(recording, random, writes.slice(from, from + 20));
    await recording.settled();
    await recording.prune(0, Infinity);
  }
  await world.close();
  return world;
}

test('[HI4] prune refuses a time that is not yet, says what would go, and does it with --yes', async () => {
  const world = await recorded();
  const { folder } = world;
  const prune = async (...argv: readonly string[]) => history('prune', '--store', folder, ...argv);
  const all = segmentsIn(folder, 'control');
  const nextYear = `${new Date().getFullYear() + 1}-01-01`;
  for (const more of [[], ['--yes']]) {
    const { status, stdout, stderr } = await prune('--before', nextYear, ...more);
    expect([status, stdout, stderr]).toEqual([
      EXIT.usage,
      '',
      expect.stringMatching(/^stillbeat: history: --before \S+ is in the future: [^\n]*\n$/),
    ]);
  }
  const said = await prune('--before', 'now');
  expect(said).toMatchObject({
    status: EXIT.ok,
    stdout: expect.stringMatching(
      /^m: 4 segments \([\d.]+ \w+\) would become part of the base: the earliest state would be mark 60, written \S+Z; to do that, say it again with --yes\n$/,
    ),
  });
  const document = JSON.parse((await prune('--before', 'now', '--json')).stdout) as unknown;
  expect(document).toMatchObject({ wouldPrune: [{ monitor: 'm', segments: 4, earliest: { mark: 60 } }] });
  expect(segmentsIn(folder, 'control')).toEqual(all);
  expect((await prune('--before', '-1h')).stdout).toBe('m: nothing is as old as that\n');
  const bytes = (document as { wouldPrune: { bytes: number }[] }).wouldPrune[0]?.bytes;
  expect(JSON.parse((await prune('--before', 'now', '--yes', '--json')).stdout)).toEqual({
    pruned: [{ monitor: 'm', segments: 4, bytes }],
  });
  expect((await history('list', '--store', folder)).stdout).toMatch(/marks 60 to 60/);
});

test('[OS8] a part of a recording is no volume to restore onto, by whatever name', async () => {
  const world = await recorded();
  const other = newWorld(SIZES);
  const { folder } = world;
  const base = join(folder, 'base-0');
  const [symbolic, hard, whole] = ['symbolic', 'hard', 'whole'].map((name) => join(other.folder, name)) as [
    string,
    string,
    string,
  ];
  symlinkSync(base, symbolic);
  linkSync(base, hard);
  symlinkSync(folder, whole);
  const before = readFileSync(base);
  for (const onto of [base, symbolic, hard, join(whole, 'base-0')]) {
    for (const more of [[], ['--yes']]) {
      const { status, stdout, stderr } = await history('restore', '--at', '#5', onto, '--store', folder, ...more);
      expect([status, stdout, stderr], onto).toEqual([
        EXIT.volume,
        '',
        `stillbeat: ${onto} is a part of recording ${folder}: name the volume that is to have the state; nothing was written\n`,
      ]);
    }
  }
  expect(readFileSync(base)).toEqual(before);
});
