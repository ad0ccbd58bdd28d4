/**
 * What a program cannot choose: where its output leads, when a signal comes, who holds a socket. None of it may end a
 * running agent, leave its interface behind, hang a command or print a trace of Node's.
 */
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, existsSync, openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { EXIT } from '../../agent/base/errors.ts';
import { CLI_PATH } from '../../agent/demo/lab.ts';
import type { Overrides } from '../../agent/demo/lab-settings.ts';
import { run } from '../../agent/demo/shell.ts';
import { Cluster, eventually, SOON_MS } from '../support/cluster.ts';
import { expectDocumented, logLines } from '../support/events-table.ts';

let cluster: Cluster;
/** A file system of 64 KiB, that fills up. */
let small: string;
let agent: ChildProcess | null = null;

beforeAll(async () => {
  cluster = await Cluster.prepare({ tag: 'outlets', volumeBytes: 16 << 20 });
  await cluster.lab.format();
  small = join(cluster.lab.directory, 'small');
  await run(['mkdir', small]);
  await run(['mount', '-t', 'tmpfs', '-o', 'size=64k', 'none', small]);
});
afterAll(async () => {
  if (small) await run(['umount', small]).catch(() => {});
  await cluster?.close();
});
afterEach(async () => {
  const left = agent;
  agent = null;
  if (!left || left.exitCode !== null || left.signalCode !== null) return;
  left.kill('SIGKILL');
  await once(left, 'close');
});

function start(stderr: number | 'pipe', more: Overrides = {}): ChildProcess {
  const command = [process.execPath, CLI_PATH, 'run', '--config', cluster.lab.writeSettings('a', more)];
  agent = cluster.lab.spawn('a', command, { stdio: ['ignore', 'ignore', stderr] });
  return agent;
}

const running = async (): Promise<boolean> => (await cluster.status('a').catch(() => null)) !== null;
const untilRunning = async (): Promise<unknown> => eventually('the agent answers', SOON_MS, running);

/** A thing that is said in the log, again and again; that the agent answers says that it lives. */
async function say(): Promise<void> {
  expect(await cluster.lab.ask('a', { command: 'path', peer: 'b', to: 'auto' })).toMatchObject({ ok: true });
}

function isPending(pid: number): boolean {
  try {
    return !/^ShdPnd:\s0+$/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
  } catch {
    return false; // it has ended
  }
}

async function stopInOrder(child: ChildProcess, signals: readonly NodeJS.Signals[] = ['SIGTERM']): Promise<unknown> {
  const ended = once(child, 'close');
  for (const signal of signals) {
    child.kill(signal);
    // Two that are pending at once are one.
    await eventually(`${signal} is taken`, SOON_MS, () => !isPending(child.pid ?? 0));
  }
  const [status] = await ended;
  expect((await cluster.lab.exec('a', ['ip', 'link', 'show', 'sb0'])).status).not.toBe(0);
  expect(existsSync(cluster.lab.socketPath('a'))).toBe(false);
  return status;
}

describe('a log that cannot be written', () => {
  test('a full device from the first line: the agent runs and ends in order', async () => {
    const full = openSync('/dev/full', 'w');
    const child = start(full);
    closeSync(full);
    await untilRunning();
    await say();
    expect(await stopInOrder(child)).toBe(0);
  });

  test('a disk that fills up and is cleared: lines are lost, counted and told', async () => {
    const path = join(small, 'log');
    const file = openSync(path, 'a');
    const child = start(file);
    closeSync(file);
    await untilRunning();
    await run(['bash', '-c', `cat /dev/zero >${join(small, 'filler')} 2>/dev/null || true`]);
    // What is left of the file's last page takes some lines still.
    for (let i = 0; i < 40; i++) await say();
    await run(['rm', join(small, 'filler')]);
    await say();
    await eventually('the loss is told', SOON_MS, () => /"message":"log-lost"/.test(readFileSync(path, 'utf8')));
    // `status` and who counts events know of it as well.
    const [told] = await cluster.events('a', 'log-lost');
    expect(told?.['lines']).toBeGreaterThan(0);
    expect(await stopInOrder(child)).toBe(0);
    // Of the line that met the full disk a part may be there: it must spoil none that could be written.
    const lines = readFileSync(path, 'utf8').trim().split('\n');
    const firstAgain = lines.findIndex((line) => line.includes('"message":"log-lost"')) - 1;
    for (const line of lines.slice(firstAgain)) expect(() => JSON.parse(line) as unknown, line).not.toThrow();
    for (const line of logLines(lines.slice(firstAgain).join('\n'))) expectDocumented(line);
  });

  test('a pipe whose reader has gone', async () => {
    const child = start('pipe');
    await untilRunning();
    child.stderr?.destroy();
    for (let i = 0; i < 5; i++) await say();
    expect(await stopInOrder(child)).toBe(0);
  });
});

describe('signals', () => {
  test('SIGHUP while it starts waits until it has; the settings are read then', async () => {
    const child = start('pipe');
    let said = '';
    child.stderr?.on('data', (piece: Buffer) => (said += piece.toString()));
    // Its first sign of life is the socket, long before it runs.
    await eventually('the socket is there', SOON_MS, () => existsSync(cluster.lab.socketPath('a')));
    expect(said).not.toContain('"message":"running"');
    child.kill('SIGHUP');
    await eventually('settings are taken over', SOON_MS, () => said.includes('"message":"settings"'));
    expect(said.indexOf('"message":"settings"')).toBeGreaterThan(said.indexOf('"message":"running"'));
    expect(await stopInOrder(child)).toBe(0);
  });

  test('a second SIGTERM, and an interrupt, while it drains: it ends in order', async () => {
    const child = start('pipe');
    await untilRunning();
    expect(await stopInOrder(child, ['SIGTERM', 'SIGTERM', 'SIGINT', 'SIGHUP'])).toBe(0);
  });

  test('a SIGHUP after the SIGTERM starts no other agent beside the one that ends', async () => {
    const child = start('pipe');
    let said = '';
    child.stderr?.on('data', (piece: Buffer) => (said += piece.toString()));
    await untilRunning();
    // Only another agent could take this over.
    cluster.lab.writeSettings('a', { vnic: { mtu: 1400 } });
    expect(await stopInOrder(child, ['SIGTERM', 'SIGHUP'])).toBe(0);
    const kinds = said
      .trim()
      .split('\n')
      .map((line) => (JSON.parse(line) as { message: string }).message);
    expect(kinds.at(-1)).toBe('stopped');
    expect(kinds.filter((kind) => ['restarting', 'fatal', 'settings', 'settings-refused'].includes(kind))).toEqual([]);
    expect(kinds.filter((kind) => kind === 'running')).toHaveLength(1);
  });

  test('a stop says nothing but lines of the log', async () => {
    const child = start('pipe');
    let said = '';
    child.stderr?.on('data', (piece: Buffer) => (said += piece.toString()));
    await untilRunning();
    await stopInOrder(child);
    for (const line of said.trim().split('\n')) expect(() => JSON.parse(line) as unknown, line).not.toThrow();
  });
});

describe('output of commands', () => {
  let child: ChildProcess;

  beforeAll(async () => {
    child = start('pipe');
    agent = null;
    await untilRunning();
  });
  afterAll(async () => stopInOrder(child));

  const shell = async (script: string) => {
    const { lab } = cluster;
    const stillbeat = `${process.execPath} ${CLI_PATH}`;
    const result = await lab.exec('a', ['bash', '-c', script.replaceAll('STILLBEAT', stillbeat)], {
      timeoutMs: 20_000,
    });
    return { ...result, lines: result.stderr.split('\n').filter((line) => line !== '') };
  };

  test('a reader that has had enough ends a command that goes on for ever, without a word', async () => {
    const socket = cluster.lab.socketPath('a');
    const watched = await shell(`STILLBEAT status --socket ${socket} --watch | head -n 1`);
    expect([watched.status, watched.lines]).toEqual([0, []]);
    expect(watched.stdout).not.toBe('');
    // Nothing comes, so nothing would be written either.
    const messages = socket.replace(/\.sock$/, '.messages.sock');
    const waiting = await shell(`STILLBEAT receive --socket ${messages} | true`);
    expect([waiting.status, waiting.lines]).toEqual([0, []]);
  });

  test('output that is lost is a failed command, with one line', async () => {
    const socket = cluster.lab.socketPath('a');
    for (const command of [`status --json --socket ${socket}`, `inspect --json ${cluster.lab.volume.path}`, 'help']) {
      const lost = await shell(`STILLBEAT ${command} >/dev/full`);
      expect([command, lost.status]).toEqual([command, EXIT.failed]);
      expect(lost.lines).toEqual([expect.stringMatching(/stdout cannot be written \(ENOSPC\): check the disk/)]);
    }
  });

  test('an exit status that the agent gives reaches the shell', async () => {
    const socket = cluster.lab.socketPath('a');
    for (const wrong of ['b nowhere', 'nobody auto']) {
      expect((await shell(`STILLBEAT path ${wrong} --socket ${socket}`)).status).toBe(EXIT.usage);
    }
  });

  test('[AG9] send does not wait for ever: neither for an agent that stands still nor at another socket', async () => {
    const { lab } = cluster;
    const other = await shell(`STILLBEAT send b hello --socket ${lab.socketPath('a')}`);
    expect([other.status, other.lines.length]).toEqual([EXIT.failed, 1]);
    const messages = lab.socketPath('a').replace(/\.sock$/, '.messages.sock');
    child.kill('SIGSTOP');
    const hung = await shell(`STILLBEAT send b hello --socket ${messages}`);
    child.kill('SIGCONT');
    expect([hung.status, hung.lines]).toEqual([EXIT.failed, [expect.stringContaining('the agent hangs')]]);
  });
});

test('a corosync.conf that is a pipe holds nobody up', async () => {
  const pipe = join(cluster.lab.directory, 'corosync.conf');
  await run(['mkfifo', pipe]);
  const child = start('pipe', { corosync: { conf: pipe } });
  await untilRunning();
  const { corosync } = (await cluster.lab.status('a')) as { corosync?: unknown };
  expect(JSON.stringify(corosync)).toContain('is no file');
  expect(await stopInOrder(child)).toBe(0);
});
