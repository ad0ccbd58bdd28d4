/** `stillbeat report` of a real cut, from a living agent and from a dead one; and `status --watch` in a terminal. */
import { once } from 'node:events';
import { execFileSync, spawn } from 'node:child_process';
import { closeSync, linkSync, mkdirSync, openSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { CLI_PATH } from '../../agent/demo/lab.ts';
import { JOURNAL_MAGIC, LOG_MAGIC } from '../../agent/mirror/wire/layout.ts';
import { Cluster, eventually, SOON_MS } from '../support/cluster.ts';

let cluster: Cluster;
beforeAll(async () => {
  cluster = await Cluster.start({ tag: 'report' });
}, 120_000);
afterAll(async () => cluster?.close());

const report = async (...args: string[]) =>
  cluster.lab.stillbeat('a', ['report', '--config', cluster.lab.settingsPath('a'), ...args]);

// oxlint-disable-next-line no-control-regex -- escape sequences begin with a control character
const plain = (text: string): string => text.replaceAll(/\u001B\[[?\d;]*[a-zA-Z]/g, '');

describe('status --watch in a terminal', () => {
  test('draws over itself without clearing, shows the cut, and SIGINT leaves the terminal as it was', async () => {
    const { lab } = cluster;
    // `script` gives it a terminal; stty a size.
    const command = `stty rows 40 cols 110; exec ${process.execPath} ${CLI_PATH} status --watch --socket ${lab.socketPath('a')}`;
    const child = lab.spawn('a', ['script', '-qefc', command, '/dev/null'], { stdio: ['pipe', 'pipe', 'inherit'] });
    let seen = '';
    child.stdout?.on('data', (piece: Buffer) => (seen += piece.toString()));
    await eventually('all well', SOON_MS, () => seen.includes('All well: b is reached by the network'));
    await lab.cut('silent');
    // What the next agent finds on the volume has been delivered to this one.
    await lab.exec('b', ['ping', '-q', '-c', '50', '-i', '0.02', '-W', '5', lab.vnicAddress('a')]);
    await eventually('the cut', SOON_MS, () => seen.includes('The network to b is out: packets go by storage'));
    await eventually('the peer’s way', SOON_MS, () => /^b +S storage +S storage /m.test(plain(seen)));
    await lab.heal();
    await cluster.untilPath('network');
    await eventually('all well again', SOON_MS, () => seen.lastIndexOf('All well') > seen.lastIndexOf('is out'));
    const ended = once(child, 'exit');
    child.stdin?.write('\u0003');
    expect(await ended).toEqual([0, null]);
    const clears = seen.split('\u001B[2J').length - 1;
    expect(clears).toBe(1);
    expect(seen.startsWith('\u001B[?1049h\u001B[?25l')).toBe(true);
    expect(seen.trimEnd().endsWith('\u001B[?25h\u001B[?1049l')).toBe(true);
    // No line is wider than the terminal.
    const lines = seen
      .split(/\r+\n/)
      .flatMap((text) => text.split('\u001B[H'))
      .map(plain);
    expect(lines.filter((line) => Array.from(line).length > 110)).toEqual([]);
  });
});

describe('report', () => {
  test('tells the cut, its reason and its end, and takes nothing from outside', async () => {
    const output = join(cluster.lab.directory, 'report.html');
    const made = await report('--since', '-10m', '--output', output);
    expect(made).toMatchObject({ status: 0, stdout: `${output}\n`, stderr: '' });
    const text = readFileSync(output, 'utf8');
    expect(statSync(output).mode & 0o777).toBe(0o600);
    expect(text).toMatch(/The network to <b>b<\/b> was out once, first at [\d :-]+ \(3 probes lost\)/);
    expect(text).toMatch(/<td>network → storage<\/td>/);
    expect(text).toMatch(/<td>returning → network<\/td>/);
    expect(text).toMatch(/Nothing is kept of the time before/);
    // The first minute is not over yet.
    expect(text).not.toContain('No figures are kept');
    expect(text).toMatch(/<td>b: round trip on the network<\/td><td class="number">[\d.]+ ms/);
    expect(text).not.toMatch(/<script|<img|<link|href=|src=/i);
    expect(text).not.toContain(readFileSync(`${cluster.lab.directory}/a.key`, 'utf8').trim());
    expect(text).toContain(`keyFile: ${cluster.lab.directory}/a.key`);
  });

  test('is written over nothing but an earlier report or an empty file, by whatever name', async () => {
    const { lab } = cluster;
    const at = (name: string) => join(lab.directory, name);
    const [settings, key] = [lab.settingsPath('a'), at('a.key')];
    const before = [settings, key].map((path) => readFileSync(path, 'utf8'));
    linkSync(settings, at('hard-link'));
    symlinkSync(key, at('soft-link'));
    writeFileSync(at('notes.txt'), 'mine');
    // A device node of our own: never one of the host's.
    execFileSync('mknod', [at('null'), 'c', '1', '3']);
    for (const [path, line] of [
      [settings, 'is the settings file itself: name another file'],
      [at('hard-link'), 'is the settings file itself: name another file'],
      [key, 'is the key file itself: name another file'],
      [at('soft-link'), 'is the key file itself: name another file'],
      [at('null'), 'is neither a file nor a pipe: name another one'],
      [lab.directory, 'is neither a file nor a pipe: name another one'],
      [at('notes.txt'), 'exists and is no report: name another file, or add --force to replace it'],
    ] as const) {
      const { status, stderr, stdout } = await report('--output', path);
      expect([status, stdout], path).toEqual([2, '']);
      expect(stderr).toContain(`${path} ${line}`);
      expect(stderr.trim().split('\n')).toHaveLength(1);
    }
    expect([settings, key].map((path) => readFileSync(path, 'utf8'))).toEqual(before);
    expect(statSync(at('null')).isCharacterDevice()).toBe(true);
    expect(readFileSync(at('notes.txt'), 'utf8')).toBe('mine');
    expect((await report('--output', at('notes.txt'), '--force')).status).toBe(0);
    // What it now is may be replaced, and an empty file too; of a link what it names.
    writeFileSync(at('empty'), '');
    symlinkSync(at('empty'), at('link-to-empty'));
    expect((await report('--output', at('notes.txt'))).status).toBe(0);
    expect((await report('--output', at('link-to-empty'))).status).toBe(0);
    expect(readFileSync(at('empty'), 'utf8')).toMatch(/^<!doctype html>/);
    expect((await report('--output', join(settings, 'x'))).stderr).toMatch(/x cannot be written \(ENOTDIR\)/);
  });

  test('replaces with --force neither what is of stillbeat nor what somebody writes', async () => {
    const { lab } = cluster;
    const at = (name: string) => join(lab.directory, `kept-${name}`);
    // Of no settings that the command is given.
    const files: [string, Uint8Array | string, string][] = [
      ['volume', readFileSync(lab.volume.file).subarray(0, 8192), 'a volume'],
      ['journal', JOURNAL_MAGIC.padEnd(64, '\0'), 'a journal or a log device of a mirror'],
      ['log', LOG_MAGIC.padEnd(64, '\0'), 'a journal or a log device of a mirror'],
      ['control', 'RCTL'.padEnd(64, '\0'), 'a part of a recording'],
      ['image', 'nothing that is known', 'open for writing in process \\d+ \\(sleep\\)'],
    ];
    for (const [name, content] of files) writeFileSync(at(name), content);
    mkdirSync(at('erp'));
    for (const name of ['head', 'lock', 'base-0']) writeFileSync(at(`erp/${name}`), name);
    files.push(['erp/base-0', 'base-0', 'a part of a recording']);
    const fd = openSync(at('image'), 'r+');
    const writer = spawn('sleep', ['120'], { stdio: ['ignore', fd, 'ignore'] });
    closeSync(fd);
    for (const [name, content, what] of files) {
      const { status, stderr, stdout } = await report('--output', at(name), '--force');
      expect([status, stdout], name).toEqual([2, '']);
      expect(stderr).toMatch(new RegExp(`^stillbeat: --output ${at(name)} is ${what}: name another file\n$`));
      expect(readFileSync(at(name)).equals(Buffer.from(content)), name).toBe(true);
    }
    const exit = once(writer, 'exit');
    writer.kill();
    await exit;
    expect((await report('--output', at('image'), '--force')).status).toBe(0);
  });

  test('goes into a pipe', async () => {
    const pipe = join(cluster.lab.directory, 'pipe');
    execFileSync('mkfifo', [pipe]);
    const [text] = await Promise.all([readFile(pipe, 'utf8'), report('--output', pipe)]);
    expect(text).toMatch(/<\/html>\s*$/);
    expect(statSync(pipe).isFIFO()).toBe(true);
  });

  test('of a dead agent: what it kept is read, and its death is told', async () => {
    await cluster.lab.stopAgent('a', 'SIGKILL');
    const { status, stdout } = await report('--since', '-10m', '--output', '-');
    expect(status).toBe(0);
    expect(stdout).toContain('<b>No agent runs on a now.</b>');
    expect(stdout).toMatch(/was out once/);
  });

  test('the next agent goes on where the last one left off, and the page begins with it', async () => {
    await cluster.lab.startAgent('a');
    await cluster.untilPath('network');
    const { events } = (await cluster.lab.ask('a', { command: 'view' })) as { events: { kind: string; to?: string }[] };
    expect(events.filter(({ kind }) => kind === 'running')).toHaveLength(2);
    expect(events.some(({ to }) => to === 'storage')).toBe(true);
    // The former one was sent packets by storage, long ago: this one misses none of them, whoever is asked.
    await eventually('the ring is read', SOON_MS, async () => {
      const peer = (await cluster.status('a')).peers[0];
      return peer?.storage.behindBytes === 0 && peer.storage.fresh;
    });
    const { lost, tooOld } = (await cluster.status('a')).peers[0] ?? {};
    expect([lost, tooOld]).toEqual([0, 0]);
  });

  test.each([
    [['--since', 'yesterday'], /--since yesterday is no time such as/],
    [['--since', '2999-01-01'], /--since 2999-01-01 is in the future/],
    [['--since', '-1m', '--until', '-2m'], /--since is not before --until/],
    [['--output', '/nowhere/x.html'], /^stillbeat: \/nowhere\/x\.html cannot be written \(ENOENT\)/],
  ])('%j is refused in one line', async (args, line) => {
    const { status, stderr, stdout } = await report(...args);
    expect([status, stdout]).toEqual([args.includes('--output') ? 1 : 2, '']);
    expect(stderr).toMatch(line);
    expect(stderr.trim().split('\n')).toHaveLength(1);
  });
});
