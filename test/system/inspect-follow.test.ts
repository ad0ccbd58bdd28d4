/** `inspect --follow`, and readers of its output that are slow or go away. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { BLOCK_BYTES, HEAD, HEAD_TABLE_OFFSET } from '../../agent/volume/layout.ts';
import { WRITER } from '../../agent/volume/slot-writer.ts';
import { CLI, filledVolume, FRAMES, keyOptions } from '../support/inspected.ts';
import type { VolumeFile } from '../support/volume-file.ts';

let file: VolumeFile;
let key: string[];

beforeEach(async () => {
  file = await filledVolume(true);
  key = keyOptions(file, true);
});
afterEach(() => file.remove());

describe('--follow', () => {
  let child: ChildProcess | null = null;
  afterEach(() => child?.kill('SIGKILL'));

  /** Starts it, and writes until the first batch is told, so that the rest of a test knows that it follows. */
  async function following(
    ...args: string[]
  ): Promise<{ out: () => string; err: () => string; ended: Promise<unknown[]> }> {
    const argv = [CLI, 'inspect', file.path, ...key, '--follow', ...args];
    const started = spawn(process.execPath, argv, { stdio: ['ignore', 'pipe', 'pipe'] });
    child = started;
    let text = '';
    let errors = '';
    started.stderr.on('data', (chunk: Buffer) => (errors += chunk.toString()));
    started.stdout.on('data', (chunk: Buffer) => (text += chunk.toString('latin1')));
    const ended = once(started, 'exit');
    const told = args.includes('--json') ? '"batch"' : 'order mark';
    await until(() => {
      if (text.includes(told)) return true;
      write(0);
      return false;
    });
    await delay(300);
    return { out: () => text, err: () => errors, ended };
  }

  function write(slot: number): number {
    file.writer(slot).batch(FRAMES.slice(0, 1), { peer: 1 - slot });
    file.writer(slot).head();
    return file.writer(slot).state[WRITER.orderMark] ?? 0;
  }

  const parsed = (text: string): Record<string, unknown>[] =>
    text
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as Record<string, unknown>);

  async function until(look: () => boolean): Promise<void> {
    for (let i = 0; i < 1200 && !look(); i++) await delay(50);
    expect(look()).toBe(true);
  }

  test('tells each batch as it comes, one line of JSON each, until SIGINT', async () => {
    const { out, ended } = await following('--json');
    const before = parsed(out()).length;
    const marks: number[] = [];
    for (let i = 1; i <= 3; i++) {
      marks.push(write(0));
      await until(() => parsed(out()).length === before + i);
    }
    expect(parsed(out()).slice(before)).toMatchObject(
      marks.map((orderMark) => ({ kind: 'batch', node: 'a', orderMark })),
    );
    child?.kill('SIGINT');
    expect(await ended).toEqual([0, null]);
  });

  test('with --since it begins with what is there', async () => {
    const { out } = await following('--json', '--since', '2000-01-01');
    expect(parsed(out()).slice(0, 4)).toMatchObject(['a', 'b', 'a', 'b'].map((node) => ({ node })));
  });

  test('says once that the volume is gone, goes on when it is back, and ends when it is another one', async () => {
    const { out, err, ended } = await following('--json');
    const lines = () => err().split('\n').slice(0, -1);
    const content = readFileSync(file.path);
    truncateSync(file.path, 0);
    await until(() => lines().length === 1);
    expect(lines()[0]).toMatch(
      /^stillbeat: inspect: volume .*: it cannot be read, or is no volume any more since 20\S+Z; waiting/,
    );
    await delay(300);
    writeFileSync(file.path, content);
    await until(() => lines().length === 2);
    expect(lines()[1]).toMatch(/^stillbeat: inspect: volume .*: followed again since 20/);
    const mark = write(0);
    await until(() => parsed(out()).some(({ kind, orderMark }) => kind === 'batch' && orderMark === mark));
    // A head block alone.
    const at = HEAD_TABLE_OFFSET + BLOCK_BYTES + HEAD.at.headMark;
    file.damage(at);
    await until(() => lines().length === 3);
    expect(lines()[2]).toMatch(/^stillbeat: inspect: node b on volume .*: its head block is damaged since 20/);
    const other = await filledVolume(true);
    writeFileSync(file.path, readFileSync(other.path));
    other.remove();
    expect(await ended).toEqual([3, null]);
    expect(lines().at(-1)).toMatch(
      /^stillbeat: inspect: volume .* was made anew and is another one now: follow it again$/,
    );
  });

  test('ends when --until is past', async () => {
    const argv = [CLI, 'inspect', file.path, ...key, '--follow', '--since', '-10s', '--until', '-5s'];
    const { status, signal } = spawnSync(process.execPath, argv, { timeout: 30_000, killSignal: 'SIGKILL' });
    expect([status, signal]).toEqual([0, null]);
  });

  test('tells a batch that stays damaged, and goes on', async () => {
    const { out } = await following('--json');
    const before = parsed(out()).length;
    const { position } = file.writer(1).writer;
    file.writer(1).batch(FRAMES.slice(0, 1), { peer: 0 });
    file.damage(file.offset(1, position) + 200);
    const orderMark = write(1);
    await until(() => parsed(out()).length === before + 2);
    expect(parsed(out()).slice(before)).toMatchObject([
      { kind: 'damaged', node: 'b', position, fault: 'damaged' },
      { kind: 'batch', node: 'b', orderMark },
    ]);
  });

  test('what the writer has written over before it could be read is told, with the marks around it', async () => {
    const { out } = await following('--json');
    const told = parsed(out());
    const before = told.findLast(({ node }) => node === 'a')?.['orderMark'];
    child?.kill('SIGSTOP');
    const large = Array.from({ length: 60 }, () => new Uint8Array(10_000));
    const { position } = file.writer(0).writer;
    while (file.writer(0).writer.position < position + 2.5 * file.slotBytes) file.writer(0).batch(large, { peer: 1 });
    const newest = write(0);
    child?.kill('SIGCONT');
    await until(() => parsed(out()).some(({ orderMark }) => orderMark === newest));
    const [lost, ...rest] = parsed(out()).slice(told.length);
    const marks = rest.map(({ orderMark }) => Number(orderMark));
    expect(lost).toMatchObject({ kind: 'overwritten', node: 'a', position, afterMark: before, beforeMark: marks[0] });
    expect(lost?.['bytes']).toBeGreaterThan(file.slotBytes);
    expect(marks).toEqual(marks.map((_, i) => (marks[0] ?? 0) + i));
    expect(marks.at(-1)).toBe(newest);
  });

  test('a capture can be followed', async () => {
    const { out, ended } = await following('--pcap', '-');
    expect(out().startsWith('\n\r\r\n')).toBe(true);
    const orderMark = write(1);
    await until(() => out().includes(`order mark ${orderMark}, `));
    child?.kill('SIGTERM');
    expect(await ended).toEqual([0, null]);
  });
});

describe('a reader', () => {
  beforeEach(() => {
    const frames = Array.from({ length: 40 }, () => FRAMES[0] ?? new Uint8Array(0));
    for (let i = 0; i < 100; i++) file.writer(0).batch(frames, { peer: 1 });
  });

  function piped(into: string): { status: number | null; stdout: string; stderr: string } {
    const command = `set -o pipefail; "${process.execPath}" "${CLI}" inspect "${file.path}" --key-file "${file.keyFile}" | ${into}`;
    return spawnSync('bash', ['-c', command], { encoding: 'utf8' });
  }

  test('that goes away early ends it in order', () => {
    const { status, stdout, stderr } = piped('head -1');
    expect([status, stderr]).toEqual([0, '']);
    expect(stdout).toContain('cluster lab');
  });

  test('that is slow gets everything', () => {
    const { status, stdout } = piped('(sleep 1; cat)');
    expect(status).toBe(0);
    expect(stdout.length).toBeGreaterThan(3 * 65_536);
    expect(stdout.trimEnd().split('\n').at(-1)).toBe('104 batches, 4009 records, 0 damaged places');
  });
});
