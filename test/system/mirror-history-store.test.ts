/** `stillbeat history` on recordings that no recorder has: what it asks before it does harm, and what it says of files that are not right. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  existsSync,
  linkSync,
  mkdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { EXIT } from '../../agent/base/errors.ts';
import { Prng } from '../../agent/base/prng.ts';
import { CLI_PATH } from '../../agent/demo/lab.ts';
import { run } from '../../agent/demo/shell.ts';
import { controlPath, segmentsIn } from '../../agent/history/store/files.ts';
import { newKeyText } from '../../agent/settings/key.ts';
import { eventually } from '../support/cluster.ts';
import { freePort } from '../support/mirror-pair.ts';
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
const children: ChildProcess[] = [];
afterEach(async () => {
  for (const child of children.splice(0)) {
    const exit = once(child, 'exit');
    if (child.kill('SIGKILL')) await exit;
  }
  await removeWorlds();
});

const history = async (...argv: readonly string[]) =>
  run([process.execPath, CLI_PATH, 'history', ...argv], { timeoutMs: ANSWER_MS });

/** What it says that it serves; it ends with the test. */
async function serving(...argv: readonly string[]): Promise<string> {
  const child = spawn(process.execPath, [CLI_PATH, 'history', ...argv], { stdio: ['ignore', 'pipe', 'inherit'] });
  children.push(child);
  let said = '';
  child.stdout.on('data', (piece: Buffer) => (said += piece.toString()));
  return eventually('it is served', ANSWER_MS, () => /^serving (.*)$/m.exec(said)?.[1]);
}

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

test('[OS8] a state is served to other hosts with keys alone, or where that is wanted in so many words', async () => {
  const { folder } = await recorded();
  const serve = (...argv: readonly string[]) =>
    ['serve', '--at', '#5', '--store', folder, '--listen', ...argv] as const;
  const { status, stderr } = await history(...serve('0.0.0.0:10999'));
  expect([status, stderr]).toEqual([
    EXIT.usage,
    expect.stringMatching(
      /^stillbeat: history: --listen 0\.0\.0\.0 is open to other hosts, [^\n]*--key-file FILE[^\n]*--open[^\n]*\n$/,
    ),
  ]);
  const keyFile = join(folder, 'clients');
  writeFileSync(keyFile, `alice:${'5a'.repeat(32)}\n`, { mode: 0o644 });
  expect(await history(...serve('0.0.0.0:10999', '--key-file', keyFile))).toMatchObject({
    status: EXIT.key,
    stderr: expect.stringMatching(/^stillbeat: --key-file \S+ is readable by others[^\n]*\n$/),
  });
  chmodSync(keyFile, 0o600);
  const port = await freePort();
  const withKeys = await serving(...serve(`0.0.0.0:${port}`, '--key-file', keyFile));
  expect(withKeys).toBe(`nbds://alice@0.0.0.0:${port}/v0?tls-psk-file=${keyFile}`);
  const size = async (uri: string) => run(['nbdinfo', '--size', uri], { timeoutMs: ANSWER_MS });
  expect(await size(withKeys.replace('0.0.0.0', '127.0.0.1'))).toMatchObject({ status: 0, stdout: '65536\n' });
  expect((await size(`nbd://127.0.0.1:${port}/v0`)).status).not.toBe(0);
  const open = await serving(...serve(`0.0.0.0:${await freePort()}`, '--open'));
  expect(await size(open.replace('0.0.0.0', '127.0.0.1'))).toMatchObject({ status: 0, stdout: '65536\n' });
  const nowhere = join(folder, 'nowhere', 'socket');
  expect(await history(...serve(`unix:${nowhere}`))).toMatchObject({
    status: EXIT.usage,
    stderr: `stillbeat: history: --listen unix:${nowhere}: there is no folder ${join(folder, 'nowhere')}: name one that is there\n`,
  });
  expect(existsSync(join(folder, 'nowhere'))).toBe(false);
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

test('what is no time is told as that, also where it begins as an option does', async () => {
  const { folder } = await recorded();
  const how = '2026-11-21T03:12:00Z, 03:12, or -5m';
  const whenHow = how.replace('or -5m', '-5m, or the mark #120');
  for (const [words, word, examples] of [
    [['at', '-5x'], '-5x', whenHow],
    [['at', '5x'], '5x', whenHow],
    [['at', '-5'], '-5', whenHow],
    [['diff', '-1h', '-5x'], '-5x', whenHow],
    [['serve', '--at', '-5x'], '-5x', whenHow],
    [['restore', '--at', '-5x', '/nowhere'], '-5x', whenHow],
    [['prune', '--before', '-5x'], '-5x', how],
  ] as const) {
    const { status, stdout, stderr } = await history(...words, '--store', folder);
    expect([status, stdout], words.join(' ')).toEqual([EXIT.usage, '']);
    expect(stderr).toMatch(
      new RegExp(`^stillbeat: history: ${word} is no time: write for example ${examples}; usage: `),
    );
    expect(stderr.trimEnd().split('\n')).toHaveLength(1);
  }
});

test('settings of a mirror are told in one line, and so is a store that is no folder', async () => {
  const world = newWorld(SIZES);
  const sample = (name: string): string => new URL(`../../config/${name}`, import.meta.url).pathname;
  for (const [words, role, mend] of [
    [['record'], 'target', 'say stillbeat mirror target, or name the settings of a recorder'],
    [['record'], 'source', 'say stillbeat mirror source, or name the settings of a recorder'],
    [['list'], 'source', 'name those of its recorder, or of a target that keeps a history itself'],
    [['prune', '--before', '-1h'], 'source', 'name those of its recorder, or of a target that keeps a history itself'],
  ] as const) {
    const file = sample(`mirror-${role}.yaml`);
    const line =
      readFileSync(file, 'utf8')
        .split('\n')
        .findIndex((text) => text.startsWith('role:')) + 1;
    const said = `stillbeat: ${file}:${line}: role: these are the settings of a mirror's ${role}: ${mend}\n`;
    expect(await history(...words, '--config', file)).toMatchObject({ status: EXIT.usage, stdout: '', stderr: said });
  }
  const [config, store, key] = ['recorder.json', 'store', 'key'].map((name) => join(world.folder, name)) as [
    string,
    string,
    string,
  ];
  writeFileSync(key, newKeyText(new Uint8Array(32).fill(1)), { mode: 0o600 });
  writeFileSync(store, 'a file');
  const listen = `127.0.0.1:${await freePort()}`;
  const control = { socket: join(world.folder, 'sock') };
  const settings = { role: 'recorder', name: 'vault', keyFile: key, listen, control };
  for (const path of [store, join(store, 'below')]) {
    writeFileSync(config, JSON.stringify({ ...settings, store: { path } }));
    expect(await history('record', '--config', config)).toMatchObject({
      status: EXIT.volume,
      stdout: '',
      stderr: `stillbeat: ${config}: store.path: ${path} is no folder: name another path\n`,
    });
    expect(await history('list', '--config', config)).toMatchObject({
      status: EXIT.volume,
      stderr: `stillbeat: ${path} holds no recordings: name the recorder's store, or a target's history\n`,
    });
  }
  expect(readFileSync(store, 'utf8')).toBe('a file');
});

test('files that are gone, cut short or no files are damage in the list, and one line where they are needed', async () => {
  const lost = async (spoil: (folder: string) => void): Promise<{ listed: string; read: string }> => {
    const { folder } = await recorded();
    spoil(folder);
    const { status, stdout } = await history('list', '--store', folder);
    const { stderr } = await history('at', '#5', '--digest', '--store', folder);
    // What is damaged is said first, whatever is asked for.
    const damage = /^stillbeat: m: the recording is damaged: [^\n]*\n/;
    expect([status, stderr]).toEqual([EXIT.ok, expect.stringMatching(damage)]);
    const read = stderr.replace(damage, '');
    expect(read).toMatch(/^(stillbeat: [^\n]*\n)?$/);
    return { listed: stdout, read };
  };
  const base = (folder: string): string => join(folder, 'base-0');
  const inPlace = (path: string): void => {
    rmSync(path);
    mkdirSync(path);
  };
  const gone = await lost((folder) => rmSync(base(folder)));
  expect(gone.listed).toMatch(/^ {2}damage: \S+base-0 is gone: /m);
  expect(gone.read).toMatch(/base-0 is gone: /);
  const folderInPlace = await lost((folder) => inPlace(base(folder)));
  expect(folderInPlace.listed).toMatch(/^ {2}damage: \S+base-0 is no file: /m);
  expect(folderInPlace.read).toMatch(/base-0 is no file: /);
  const cut = await lost((folder) => truncateSync(base(folder), 4096));
  expect(cut.listed).toMatch(/^ {2}damage: \S+base-0 is cut short: it has 4096 bytes of 65536: /m);
  expect(cut.read).toMatch(/base-0 is cut short: it has 4096 bytes of 65536: /);
  const control = await lost((folder) => inPlace(controlPath(folder, segmentsIn(folder, 'control')[0] ?? 0)));
  expect(control.listed).toMatch(/^ {2}damage: \S+\.control is no file: /m);
  expect(control.listed).toMatch(/^ {2}gap: /m);
});

test('[HI4] a head that is damaged is read from its copy, told, and written again by the recorder; without either all is refused', async () => {
  const world = await recorded();
  const { folder } = world;
  const head = join(folder, 'head');
  const state = async (): Promise<string> => (await history('at', '#5', '--digest', '--store', folder)).stdout;
  const spoil = (path: string): void => {
    const bytes = readFileSync(path);
    bytes[30] = (bytes[30] ?? 0) ^ 1;
    writeFileSync(path, bytes);
  };
  const before = await state();
  for (const path of [head, `${head}.copy`]) {
    const whole = readFileSync(path);
    spoil(path);
    expect(await state()).toBe(before);
    expect((await history('list', '--store', folder)).stdout).toContain(`  damage: ${path} is damaged: `);
    await world.open();
    await world.close();
    expect(world.said.splice(0)).toEqual([expect.stringContaining(`${path} is damaged: `)]);
    expect(readFileSync(path)).toEqual(whole);
  }
  // One of before has none.
  rmSync(`${head}.copy`);
  await world.open();
  await world.close();
  expect([readFileSync(`${head}.copy`), world.said]).toEqual([readFileSync(head), []]);
  for (const path of [head, `${head}.copy`]) spoil(path);
  expect(await history('at', '#5', '--store', folder)).toMatchObject({
    status: EXIT.volume,
    stderr: expect.stringMatching(/^stillbeat: \S+head is damaged, and so is its copy: [^\n]*\n$/),
  });
});
