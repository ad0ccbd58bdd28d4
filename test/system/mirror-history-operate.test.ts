/** What an operator says to a recording and is told: retention and prune, a damaged recording, a volume in use. */
import { spawn } from 'node:child_process';
import { closeSync, openSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, expect, test } from 'vitest';
import { EXIT } from '../../agent/base/errors.ts';
import { dataPath, reservePath, segmentsIn } from '../../agent/history/store/files.ts';
import { run } from '../../agent/demo/shell.ts';
import { RECORD_KIND } from '../../agent/history/wire/record.ts';
import { eventually } from '../support/cluster.ts';
import { Account, HistoryBed, sha256, SOON_MS } from '../support/history-bed.ts';

const MIB = 1 << 20;
const ends: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).toReversed()) await end();
});

async function begun(): Promise<{ readonly bed: HistoryBed; readonly account: Account }> {
  const bed = await HistoryBed.make({ volumeBytes: 2 * MIB, retention: { hours: 1 } });
  ends.push(async () => bed.remove());
  await bed.start();
  const account = new Account(2 * MIB);
  for (let i = 1; i <= 3; i++) await account.write(bed, i, i * 4096, 300_000);
  return { bed, account };
}

test('retention: prune by a recorder that runs, and by none; the list says that less is there than was asked for', async () => {
  const { bed, account } = await begun();
  const prune = async (...argv: string[]) => bed.history('prune', ...argv, '--yes', '--config', bed.config);
  // The seal behind the last write may be part of the base.
  const newest = (): string => bed.digest(bed.loaded.extent.spans.at(-1)?.to ?? 0);
  const list = async (): Promise<string> => (await bed.history('list', '--config', bed.config)).stdout;
  expect(await list()).not.toMatch(/were asked for/);
  const lines = bed.said.split('\n').filter((line) => line.includes('recording behind mark'));
  expect(lines.map((line) => (JSON.parse(line) as { level: string }).level)).toEqual(['info']);
  // The seal is part of the segment too, and comes when its cycle ends.
  await eventually('the last cycle is sealed', SOON_MS, () => {
    const { table } = bed.loaded;
    return table.kind(table.order.at(-1) ?? 0) === RECORD_KIND.seal;
  });
  const before = new Date().toISOString();
  await delay(5);
  expect(await prune('--before', before)).toMatchObject({
    status: 0,
    stdout: expect.stringMatching(/^erp: 1 segment \(/),
  });
  expect(await list()).toMatch(/0\.\d+ h are there of 1 h that were asked for: what is older was let go of/);
  const [first, , last] = account.states;
  const at = async (mark = 0) => bed.history('at', `#${mark}`, '--store', bed.store);
  expect(await at(first?.mark)).toMatchObject({ status: 1, stderr: expect.stringMatching(/the earliest is/) });
  expect(newest()).toBe(last?.digest);
  await account.write(bed, 9, 0, 4096);
  await bed.endRecorder('SIGTERM');
  await delay(5);
  expect(await prune('--before', '-0s')).toMatchObject({
    status: 0,
    stdout: expect.stringMatching(/^erp: 1 segment \(/),
  });
  expect(newest()).toBe(account.states.at(-1)?.digest);
  for (const [argv, line] of [
    [['--before', 'yesterday'], /--before yesterday is no time/],
    [['--before', '-1h', '--monitor', 'crm'], /there is no recording of crm/],
    [
      ['--before', '#1'],
      /--before #1 is a mark, and whole segments go by their time: write for example \S+, 03:12, or -5m;/,
    ],
    [[], /--before is missing/],
  ] as const) {
    const { status, stderr } = await prune(...argv);
    expect([status === 0, stderr]).toEqual([false, expect.stringMatching(line)]);
  }
  const byStore = ['prune', '--before', '-0s', '--yes', '--store', bed.store] as const;
  expect(await bed.history(...byStore)).toMatchObject({
    status: 0,
    stdout: expect.stringMatching(/^erp: \d+ segments? \(/),
  });
  expect(newest()).toBe(account.states.at(-1)?.digest);
  for (const action of ['restore', 'serve']) {
    const argv = action === 'restore' ? [bed.pair.volume.source] : [];
    expect(await bed.history(action, ...argv, '--store', bed.store)).toMatchObject({
      status: 2,
      stderr: expect.stringMatching(/ --at is missing: write for example --at 2026/),
    });
  }
  bed.startRecorder();
  await account.write(bed, 10, 0, 4096);
  const held = await bed.history(...byStore);
  expect(held).toMatchObject({ status: 7, stderr: expect.stringMatching(/is written by another process/) });
});

test('[OS4] a time behind what is known is refused, never an old state; while the source is linked `now` is the present', async () => {
  const { bed, account } = await begun();
  const at = async (time: string) => bed.history('at', time, '--digest', '--store', bed.store);
  // Two words of a second each: it waits for them, but a slow machine may need longer.
  const present = await eventually('now is known', SOON_MS, async () => {
    const found = await at('now');
    if (found.status === EXIT.ok) return found;
    throw new Error(found.stderr);
  });
  expect(present.stdout).toContain(account.states.at(-1)?.digest);
  for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
    await bed.endRecorder(signal);
    await bed.write('write -P 77 0 64k');
    const { status, stderr } = await at('now');
    expect([status, stderr], signal).toEqual([
      1,
      expect.stringMatching(/ lies behind \d{4}-\S+Z, until when all .* or #\d+ for the newest state that is here/),
    ]);
    const newest = /#\d+/.exec(stderr)?.[0] ?? '';
    expect((await at(newest)).stdout).toContain(account.states.at(-1)?.digest ?? '');
    bed.startRecorder();
    await account.write(bed, 77, 0, 65_536);
  }
});

test('a storage that is full from the beginning: the session is refused with the reason, and goes on when there is room', async () => {
  const bed = await HistoryBed.make({ volumeBytes: 4 * MIB, smallStore: '1m' });
  ends.push(async () => bed.remove());
  writeFileSync(bed.pair.volume.source, Buffer.alloc(4 * MIB, 7));
  bed.startRecorder();
  bed.pair.start('source');
  await bed.served();
  const refused = /session ends: recording \S+ cannot be written \(ENOSPC\): its storage is full: make room there/;
  const isFull = /cannot be written \(ENOSPC\)/;
  await eventually('the base does not fit', SOON_MS, () => isFull.test(bed.said));
  // With the base half filled.
  await bed.endRecorder();
  bed.said = '';
  bed.startRecorder();
  await eventually('it is refused', SOON_MS, () => refused.test(bed.said) || bed.said.includes('    at '));
  expect(bed.said).not.toContain('    at ');
  await eventually('the source says so', SOON_MS, () => isFull.test(bed.pair.log('source')));
  await run(['mount', '-o', 'remount,size=32m', bed.store]);
  const account = await bed.caughtUp();
  expect(bed.digest(account)).toBe(sha256(Buffer.alloc(4 * MIB, 7)));
});

test('a damaged recording: the marks are named, nothing wrong is given out, and what does not need them is right', async () => {
  const { bed, account } = await begun();
  await bed.endRecorder('SIGTERM');
  const [segment = 0] = segmentsIn(bed.recording, 'data');
  const path = dataPath(bed.recording, segment);
  const bytes = readFileSync(path);
  // The payload of the last write: its end is the file's.
  const at = bytes.length - 100;
  bytes[at] = (bytes[at] ?? 0) ^ 1;
  writeFileSync(path, bytes);
  const [first, second, third] = account.states;
  const image = join(bed.pair.folder, 'restored');
  writeFileSync(image, Buffer.alloc(2 * MIB));
  const restore = async (mark = 0) =>
    bed.history('restore', '--at', `#${mark}`, image, '--store', bed.store, '--volume', 'data', '--yes');
  const { status, stderr } = await restore(third?.mark);
  expect([status, stderr]).toEqual([3, expect.stringMatching(/^stillbeat: mark \d+: its data is damaged [^\n]*\n$/)]);
  for (const state of [first, second]) {
    expect(await restore(state?.mark)).toMatchObject({ status: 0 });
    expect(sha256(readFileSync(image))).toBe(state?.digest);
  }
});

test('[OS6] a payload that was damaged is restored from the log device when the recorder is started', async () => {
  const bed = await HistoryBed.make({ volumeBytes: 2 * MIB, logDevice: true });
  ends.push(async () => bed.remove());
  await bed.start();
  const account = new Account(2 * MIB);
  for (let i = 1; i <= 3; i++) await account.write(bed, i, i * 4096, 300_000);
  await eventually('the log device has it', SOON_MS, async () => {
    const { recorders } = (await bed.pair.status('source')) as { recorders?: { name: string; kept: number }[] };
    return (recorders?.find(({ name }) => name === 'log')?.kept ?? 0) >= (account.states[2]?.mark ?? Infinity);
  });
  await bed.endRecorder('SIGTERM');
  const path = dataPath(bed.recording, segmentsIn(bed.recording, 'data')[0] ?? 0);
  const bytes = readFileSync(path);
  // Of the first write and of the last.
  for (const at of [1000, bytes.length - 100]) bytes[at] = (bytes[at] ?? 0) ^ 1;
  writeFileSync(path, bytes);
  expect(() => bed.digest(account.states[0]?.mark ?? 0)).toThrow(/its data is damaged/);
  bed.startRecorder();
  await eventually('it is restored', SOON_MS, async () => (await bed.seen())?.restored?.data === 2);
  for (const { mark, digest } of account.states) expect(bed.digest(mark), `mark ${mark}`).toBe(digest);
});

test('[OS8] a volume that somebody writes is not restored onto: he is named, and nothing is written', async () => {
  const { bed, account } = await begun();
  const image = join(bed.pair.folder, 'used');
  writeFileSync(image, Buffer.alloc(2 * MIB, 7));
  const fd = openSync(image, 'r+');
  const writer = spawn('sleep', ['60'], { stdio: ['ignore', fd, 'ignore'] });
  closeSync(fd);
  ends.push(() => writer.kill());
  const restore = async (path: string) =>
    bed.history('restore', '--at', `#${account.states[0]?.mark}`, path, '--store', bed.store, '--yes');
  const named = new RegExp(
    `${image} is open for writing in process ${writer.pid} \\(sleep\\): end that first; nothing was`,
  );
  expect(await restore(image)).toMatchObject({ status: 7, stderr: expect.stringMatching(named) });
  expect(readFileSync(image).every((byte) => byte === 7)).toBe(true);
  // The source's own volume, while that runs.
  expect(await restore(bed.pair.volume.source)).toMatchObject({
    status: 7,
    stderr: expect.stringMatching(/nothing was/),
  });
  const small = join(bed.pair.folder, 'small');
  writeFileSync(small, Buffer.alloc(MIB));
  expect(await restore(small)).toMatchObject({
    status: 3,
    stderr: expect.stringMatching(/has 1048576 bytes, and volume data 2097152/),
  });
  expect(statSync(small).size).toBe(MIB);
});

test('[HI4] a storage that is small for what comes: the oldest goes, loudly, and recording goes on, also when it is started again', async () => {
  const bed = await HistoryBed.make({ volumeBytes: 8 * MIB, smallStore: '24m' });
  ends.push(async () => bed.remove());
  await bed.start();
  const account = new Account(8 * MIB);
  const went =
    /the storage is full: the oldest \d+ bytes went before their time; the earliest that is kept is mark \d+/;
  for (let i = 1; i <= 12; i++) await account.write(bed, i, (i % 2) * 4 * MIB, 4 * MIB);
  expect(bed.said).toMatch(went);
  expect(bed.said).not.toMatch(/reserve/);
  for (const { mark, digest } of account.states.slice(-2)) expect(bed.digest(mark)).toBe(digest);
  await bed.endRecorder();
  bed.said = '';
  bed.startRecorder();
  for (let i = 13; i <= 16; i++) await account.write(bed, i, (i % 2) * 4 * MIB, 4 * MIB);
  expect(bed.said).toMatch(went);
  expect(bed.digest(account.states.at(-1)?.mark ?? 0)).toBe(account.states.at(-1)?.digest);
  // Somebody else takes what is left.
  await bed.endRecorder('SIGTERM');
  rmSync(reservePath(bed.recording));
  const ballast = join(bed.store, 'ballast');
  await run(['dd', 'if=/dev/zero', `of=${ballast}`, 'bs=64k']);
  bed.startRecorder();
  await eventually('that there is no reserve is said', SOON_MS, () =>
    /a reserve of \d+ bytes cannot be made \(ENOSPC\)/.test(bed.said),
  );
  rmSync(ballast);
  await account.write(bed, 17, 0, 4 * MIB);
});
