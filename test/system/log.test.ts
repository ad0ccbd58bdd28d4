/**
 * The log of running agents: what happens is one line, told once, with its reason and figures as README's table has them; JSON
 * in a pipe, readable on a terminal; and no storm fills it.
 */
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { appendFileSync, copyFileSync } from 'node:fs';
import { createConnection } from 'node:net';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { EXIT } from '../../agent/base/errors.ts';
import { CLI_PATH } from '../../agent/demo/lab.ts';
import { run } from '../../agent/demo/shell.ts';
import { BURST } from '../../agent/operate/event-limit.ts';
import { Cluster, eventually, SOON_MS } from '../support/cluster.ts';
import { expectDocumented, type LogLine, logLines } from '../support/events-table.ts';
import { EIO, FaultDisk } from '../support/fault-disk.ts';
import { refused } from '../support/refusal.ts';

const OVERRIDES = { primary: { probe: { stableForMs: 500, stableForMaxMs: 500 } } };

let cluster: Cluster;
let disk: FaultDisk;
const agents = new Map<string, { readonly child: ChildProcess; said: string }>();

beforeAll(async () => {
  cluster = await Cluster.prepare({ tag: 'log', volumeBytes: 16 << 20 });
  disk = await FaultDisk.inLab(cluster.lab, 16 << 20);
  await cluster.lab.format();
});
afterAll(async () => {
  for (const { child } of agents.values()) child.kill('SIGKILL');
  await disk?.close();
  await cluster?.close();
});

interface StartOptions {
  readonly more?: object;
  readonly environment?: NodeJS.ProcessEnv;
  /** What to run the agent by; it gets the command as its last argument. */
  readonly by?: readonly string[];
}

/** An agent whose stderr (and stdout: a terminal is both) is kept whole. */
function start(node: string, { more = {}, environment = {}, by }: StartOptions = {}): void {
  const command = [
    process.execPath,
    CLI_PATH,
    'run',
    '--config',
    cluster.lab.writeSettings(node, { ...OVERRIDES, ...more }),
  ];
  const child = cluster.lab.spawn(node, by === undefined ? command : [...by, command.join(' ')], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...environment },
  });
  const agent = { child, said: '' };
  agents.set(node, agent);
  for (const stream of [child.stdout, child.stderr])
    stream?.on('data', (piece: Buffer) => (agent.said += piece.toString()));
}

const said = (node: string): string => agents.get(node)?.said ?? '';
const pidOf = async (node: string): Promise<number> => (await cluster.status(node)).pid;

/** Ends the agent as an operator does, or as a crash does. */
async function stop(node: string, signal: NodeJS.Signals = 'SIGTERM'): Promise<unknown> {
  const child = agents.get(node)?.child;
  if (!child || child.exitCode !== null || child.signalCode !== null) return null;
  const ended = once(child, 'close');
  process.kill(await pidOf(node), signal);
  return (await ended)[0];
}

/** Whole lines so far. */
const linesOf = (node: string): LogLine[] => logLines(said(node).slice(0, said(node).lastIndexOf('\n') + 1));
const ofKind = (lines: readonly LogLine[], kind: string) => lines.filter(({ message }) => message === kind);

/** What the node says from now on. */
function listen(node: string): (kind: string) => LogLine[] {
  const { length } = linesOf(node);
  return (kind) => ofKind(linesOf(node).slice(length), kind);
}

async function untilTold(told: (kind: string) => LogLine[], kind: string): Promise<void> {
  await eventually(`${kind} is told`, SOON_MS, () => told(kind).length > 0);
}

/** Both ways work, for both. */
async function untilWell(): Promise<void> {
  await cluster.untilPath('network');
  for (const node of ['a', 'b']) {
    await eventually(`${node} reads its peer`, SOON_MS, async () => (await cluster.peer(node)).storage.fresh);
  }
}

const isNetwork = (path: unknown): boolean => path === 'network' || path === 'suspect';

/** Each change of the way is told, and once: every one begins where the former one ended. */
function expectUnbroken(lines: readonly LogLine[]): void {
  let path: unknown = 'isolated';
  for (const { message, from, to } of lines) {
    if (message === 'restarting') path = 'isolated';
    if (message !== 'path') continue;
    if (!isNetwork(path) || !isNetwork(from)) expect(from).toBe(path);
    path = to;
  }
}

/** No line is there twice: the same words about the same thing at once. */
function expectNoTwins(lines: readonly LogLine[]): void {
  const words = ({ timestamp: _at, ...rest }: LogLine): string => JSON.stringify(rest);
  for (const [i, line] of lines.entries()) {
    const twins = lines
      .slice(i + 1)
      .filter(
        (other) => words(other) === words(line) && Date.parse(other.timestamp) - Date.parse(line.timestamp) < 100,
      );
    expect(twins).toEqual([]);
  }
}

describe('in a pipe: JSON, each event once', () => {
  beforeAll(async () => {
    start('a');
    start('b');
    await untilWell();
  });

  afterEach(async () => {
    await cluster.lab.heal();
    await disk.heal();
    await untilWell();
  });

  afterAll(async () => {
    for (const node of ['a', 'b']) await stop(node);
    for (const node of ['a', 'b']) {
      const lines = linesOf(node);
      for (const line of lines) expectDocumented(line);
      expectUnbroken(lines);
      expectNoTwins(lines);
    }
  });

  test('a start says what runs and whom it knows', () => {
    const lines = linesOf('a');
    expect(ofKind(lines, 'running')).toMatchObject([
      { cluster: 'lab', interface: 'sb0', volume: disk.path, node: 'a' },
    ]);
    expect(ofKind(lines, 'incarnation')).toMatchObject([{ peer: 'b', reason: 'the peer is known now' }]);
  });

  test('a cut, its diagnosis and the return', async () => {
    const told = listen('a');
    await cluster.lab.cut('silent');
    await cluster.untilPath('storage', SOON_MS);
    await untilTold(told, 'diagnosis');
    expect(told('path')).toHaveLength(1);
    expect(told('path')[0]).toMatchObject({
      level: 'info',
      peer: 'b',
      to: 'storage',
      reason: expect.stringMatching(/./),
    });
    expect(told('path')[0]?.['silentMs']).toBeGreaterThan(0);
    expect(told('diagnosis')).toMatchObject([{ peer: 'b', icmp: false, meaning: 'the network to the peer is down' }]);
    await cluster.lab.heal();
    await cluster.untilPath('network', SOON_MS);
    expect(told('path').filter(({ to }) => to === 'network')).toMatchObject([
      { from: 'returning', reason: 'stable again' },
    ]);
    expect(told('diagnosis')).toHaveLength(1);
  });

  test('a word of the operator, which is no sign of a failed network', async () => {
    const told = listen('a');
    await cluster.lab.ask('a', { command: 'path', peer: 'b', to: 'storage' });
    await cluster.untilPath('storage', SOON_MS, ['a']);
    await cluster.lab.ask('a', { command: 'path', peer: 'b', to: 'auto' });
    await cluster.untilPath('network', SOON_MS, ['a']);
    expect(told('override').map(({ peer, to }) => [peer, to])).toEqual([
      ['b', 'storage'],
      ['b', 'auto'],
    ]);
    expect(told('path')[0]).toMatchObject({ to: 'storage', reason: 'operator' });
    expect(told('diagnosis')).toEqual([]);
  });

  test('storage that fails and works again', async () => {
    const told = listen('a');
    await disk.fault(EIO, EIO);
    await untilTold(told, 'storage-error');
    await untilTold(told, 'storage-silent');
    await disk.heal();
    await untilTold(told, 'storage-good');
    await untilTold(told, 'storage-heard');
    expect(told('storage-error')).toMatchObject([
      {
        level: 'error',
        errno: 'EIO',
        reason: 'a write failed',
        volume: disk.path,
        mend: expect.stringMatching(/SIGHUP/),
      },
    ]);
    expect(told('read-error')[0]).toMatchObject({ volume: disk.path, mend: expect.stringMatching(/SIGHUP/) });
    expect(told('storage-good')[0]?.['afterMs']).toBeGreaterThan(0);
    expect(told('storage-silent')).toMatchObject([{ peer: 'b', reason: 'reads fail with EIO' }]);
    for (const kind of ['storage-good', 'storage-heard']) expect([kind, told(kind).length]).toEqual([kind, 1]);
  });

  test('storage that hangs and moves again', async () => {
    const told = listen('a');
    await disk.fault('hang', 'hang');
    await untilTold(told, 'storage-error');
    await disk.heal();
    await untilTold(told, 'storage-good');
    expect(told('storage-error')).toMatchObject([{ reason: 'a write hangs' }]);
    expect(told('storage-error')[0]?.['forMs']).toBeGreaterThan(1000);
    const stalled = told('thread-stalled').map(({ thread }) => thread);
    expect(stalled).toEqual([...new Set(stalled)]);
    await eventually('each moves again', SOON_MS, () => told('thread-moves').length === stalled.length);
  });

  test('an agent that stood still, and is no dead thread', async () => {
    const [told, heard] = [listen('a'), listen('b')];
    const pid = await pidOf('a');
    process.kill(pid, 'SIGSTOP');
    await untilTold(heard, 'storage-silent');
    process.kill(pid, 'SIGCONT');
    await untilTold(told, 'stood-still');
    await untilTold(heard, 'storage-heard');
    expect(told('stood-still')).toHaveLength(1);
    expect(told('stood-still')[0]?.['gapMs']).toBeGreaterThan(1000);
    expect(told('thread-stalled')).toEqual([]);
    expect(told('fatal')).toEqual([]);
    expect([heard('storage-silent').length, heard('storage-heard').length]).toEqual([1, 1]);
  });

  test('a key that is missing here, and its arrival', async () => {
    const [told, heard] = [listen('a'), listen('b')];
    const file = (node: string): string => join(cluster.lab.directory, `${node}.key`);
    const hangUp = async (node: string): Promise<void> => {
      const news = listen(node);
      process.kill(await pidOf(node), 'SIGHUP');
      await untilTold(news, 'settings');
    };
    const ids: string[] = [];
    for (const step of ['add', 'use']) {
      const { status, stdout } = await run([process.execPath, CLI_PATH, 'key', step, file('b')]);
      expect(status).toBe(0);
      ids.splice(0, Infinity, ...[...stdout.matchAll(/^([0-9a-f]{16}) {2}/gm)].map(([, id = '']) => id));
    }
    await hangUp('b');
    await untilTold(told, 'unknown-key');
    expect(heard('keys')).toMatchObject([{ seals: ids[0], opens: ids[1] }]);
    // Long enough for it to be told again, were it told at each look.
    const written = async (): Promise<number> => (await cluster.status('b')).storage.writes;
    const before = await written();
    await eventually('some beacons of b', SOON_MS, async () => (await written()) > before + 3);
    copyFileSync(file('b'), file('a'));
    await hangUp('a');
    await untilTold(told, 'known-key');
    expect(told('unknown-key')).toMatchObject([{ peer: 'b', key: ids[0], mend: expect.stringContaining('SIGHUP') }]);
    expect(told('known-key')).toMatchObject([{ peer: 'b', key: ids[0] }]);
    for (const kind of ['keys', 'settings']) expect([kind, told(kind).length]).toEqual([kind, 1]);
  });

  test('settings that cannot be used, and ones that need a start in place', async () => {
    const told = listen('a');
    const hangUp = async (): Promise<void> => void process.kill(await pidOf('a'), 'SIGHUP');
    appendFileSync(cluster.lab.settingsPath('a'), 'colour: red\n');
    await hangUp();
    await untilTold(told, 'settings-refused');
    expect(told('settings-refused')).toMatchObject([
      { reason: expect.stringMatching(/a\.yaml:\d+: colour: unknown key/) },
    ]);
    cluster.lab.writeSettings('a', { ...OVERRIDES, vnic: { mtu: 1400 } });
    await hangUp();
    await untilTold(told, 'running');
    await cluster.untilPath('network');
    expect(told('restarting')).toMatchObject([{ reason: 'other settings: vnic.mtu' }]);
    for (const kind of ['settings-refused', 'running']) expect([kind, told(kind).length]).toEqual([kind, 1]);
  });

  test('a peer that is killed, and begins anew', async () => {
    const told = listen('a');
    await stop('b', 'SIGKILL');
    await eventually('a is alone', SOON_MS, async () => (await cluster.peer('a')).path === 'isolated');
    await untilTold(told, 'storage-silent');
    expect(told('path').map(({ to }) => to)).toEqual(expect.arrayContaining(['isolated']));
    start('b');
    await cluster.untilPath('network');
    await untilTold(told, 'storage-heard');
    expect(told('incarnation')).toMatchObject([{ peer: 'b', reason: 'the peer began anew' }]);
    for (const kind of ['storage-silent', 'storage-heard']) expect([kind, told(kind).length]).toEqual([kind, 1]);
  });

  test('a storm is thinned out: its newest line comes in the end, with how many are missing, and all are counted', async () => {
    const told = listen('b');
    const STORM = BURST + 20;
    for (let i = 0; i < STORM; i++) {
      const socket = createConnection(cluster.lab.socketPath('b').replace('.sock', '.messages.sock'));
      await once(socket, 'connect');
      socket.on('error', () => {});
      const closed = once(socket, 'close');
      socket.resume().write(`garbage\n`);
      await closed;
    }
    const missing = () => told('program-cut-off').reduce((sum, { untold }) => sum + Number(untold ?? 0), 0);
    await eventually('the rest is told', SOON_MS, () => told('program-cut-off').length + missing() === STORM);
    expect(told('program-cut-off').length).toBeLessThan(STORM);
    expect(told('program-cut-off').at(-1)?.['untold']).toBeGreaterThan(0);
  });

  test('an end by a signal is the last line', async () => {
    const told = listen('b');
    expect(await stop('b')).toBe(EXIT.ok);
    expect(linesOf('b').at(-1)).toMatchObject({ message: 'stopped', reason: 'SIGTERM', status: 0 });
    expect(told('stopped')).toHaveLength(1);
    start('b');
    await cluster.untilPath('network');
  });
});

describe('on a terminal', () => {
  /** Its stderr is a terminal of its own. */
  const SCRIPT = ['script', '--quiet', '--return', '--flush', '/dev/null', '--command'];
  const LINE = /^\S+Z (error|warn |info |debug) [a-z-]+( \w+=([\w.:/@+,-]+|"(\\.|[^"\\])*"))+$/;

  beforeEach(async () => {
    start('b');
    start('a', { by: SCRIPT });
    await untilWell();
  });

  test('lines can be read, and a figure of several words is told from the next one', async () => {
    await cluster.lab.cut('silent');
    await cluster.untilPath('storage', SOON_MS);
    await eventually('the diagnosis', SOON_MS, () => said('a').includes(' diagnosis '));
    expect(await stop('a')).toBe(EXIT.ok);
    await stop('b');
    await cluster.lab.heal();
    const lines = said('a')
      .split('\r\n')
      .filter((line) => line !== '');
    for (const line of lines) expect(line).toMatch(LINE);
    const [cut, ...others] = lines.filter((line) => / path .* to=storage /.test(line) && line.includes('lost'));
    expect(others).toEqual([]);
    expect(cut ?? lines.join('\n')).toMatch(
      /^\S+Z info {2}path peer=b from=\w+ to=storage reason="3 probes lost" silentMs=[\d.]+$/,
    );
    expect(lines.filter((line) => line.includes(' running '))).toHaveLength(1);
    expect(lines.at(-1)).toMatch(/^\S+Z info {2}stopped reason=SIGTERM status=0$/);
  });
});

describe('STILLBEAT_LOG', () => {
  afterEach(async () => {
    await cluster.lab.heal();
    for (const node of ['a', 'b']) await stop(node);
  });

  test('that is no level refuses the start in one line', async () => {
    const config = cluster.lab.writeSettings('a', OVERRIDES);
    await refused(
      cluster.lab,
      config,
      'usage',
      /STILLBEAT_LOG is "loud", which is no level: use one of error, warn, info, debug/,
      ['env', 'STILLBEAT_LOG=loud'],
    );
  });

  test('error says nothing while all is well, debug adds late probes', async () => {
    start('a', { environment: { STILLBEAT_LOG: 'error' } });
    start('b', { environment: { STILLBEAT_LOG: 'debug' } });
    await untilWell();
    await cluster.lab.cut('silent');
    await cluster.untilPath('storage', SOON_MS);
    expect(linesOf('b').filter(({ level }) => level === 'debug')).toEqual(
      expect.arrayContaining([expect.objectContaining({ message: 'path', to: 'suspect' })]),
    );
    for (const line of linesOf('b')) expectDocumented(line);
    expect(await stop('a')).toBe(EXIT.ok);
    // Threads that a busy machine gives no processor for two seconds are not well.
    expect(linesOf('a').filter(({ message }) => message !== 'thread-stalled')).toEqual([]);
  });
});
