/** What a mirror's process refuses: one line that says what, where and what to do, and an exit status. */
import { spawn, type ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import {
  chmodSync,
  closeSync,
  existsSync,
  openSync,
  readFileSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { EXIT, type ExitReason } from '../../agent/base/errors.ts';
import { run, tool } from '../../agent/demo/shell.ts';
import { CLI_PATH } from '../../agent/demo/lab.ts';
import { newKeyText } from '../../agent/settings/key.ts';
import { eventually } from '../support/cluster.ts';
import { MirrorPair, PATIENT, type Side } from '../support/mirror-pair.ts';

const MIB = 1 << 20;
const SOON_MS = 60_000;
const ends: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).toReversed()) await end();
});

async function made(): Promise<MirrorPair> {
  const pair = await MirrorPair.make({ volumeBytes: MIB, journalSize: '8M' });
  ends.push(async () => pair.remove());
  return pair;
}

async function refused(pair: MirrorPair, side: Side, reason: ExitReason, line: RegExp): Promise<void> {
  const { status, stderr } = await pair.run(side);
  expect(stderr).toMatch(/^stillbeat: [^\n]+\n$/);
  expect(stderr).toMatch(line);
  expect(status).toBe(EXIT[reason]);
}

const runs = async (pair: MirrorPair, side: Side): Promise<void> => {
  pair.start(side);
  await eventually(`the ${side} runs`, SOON_MS, async () => pair.status(side).catch(() => null));
};

describe.each(['source', 'target'] as const)('a %s', (side) => {
  test('what is wrong with its settings, its key and its volumes', async () => {
    const pair = await made();
    const good = pair.settings(side);
    const path = pair.volume[side];
    const changed = async (more: Record<string, unknown>, reason: ExitReason, line: RegExp): Promise<void> => {
      pair.configure(side, more);
      await refused(pair, side, reason, line);
      writeFileSync(pair.config(side), JSON.stringify(good));
    };
    await changed({ acknowlege: 'sync' }, 'usage', /acknowlege/);
    const other = side === 'source' ? 'target' : 'source';
    await changed(
      { role: other },
      'usage',
      new RegExp(`role: these are the settings of a ${other}: say stillbeat mirror ${other}, or`),
    );
    await changed({ journal: { path: join(pair.folder, 'j'), size: '1K' } }, 'usage', /journal\.size: .*4M/);
    await changed({ journal: { path, size: '8M' } }, 'usage', /volumes\[0\]\.path: is the journal too/);
    await changed({ journal: { path: '/nowhere/at/all/j', size: '8M' } }, 'volume', /\/nowhere\/at\/all\/j/);
    await changed(
      { volumes: [{ name: 'data', path: '/nowhere' }] },
      'volume',
      /volume data: \/nowhere .*check the path/,
    );
    await changed(
      {
        volumes: [
          { name: 'data', path },
          { name: 'data', path: '/x' },
        ],
      },
      'usage',
      /data is there twice/,
    );
    await changed(
      { journal: { path: join(path, 'j'), size: '8M' } },
      'volume',
      /j cannot be made \(ENOTDIR\): make its/,
    );
    await changed({ volumes: [{ name: 'data', path: join(path, 'v') }] }, 'volume', /v cannot be opened \(ENOTDIR\)/);
    const pipe = join(pair.folder, 'pipe');
    await tool(['mkfifo', pipe]);
    for (const none of ['/dev/null', pipe]) {
      const line = new RegExp(`volume data: ${none} is neither a file nor a block device`);
      await changed({ volumes: [{ name: 'data', path: none }] }, 'volume', line);
    }
    const empty = join(pair.folder, 'empty');
    writeFileSync(empty, '');
    await changed({ volumes: [{ name: 'data', path: empty }] }, 'volume', /empty is empty: give it the size/);
    await changed({ keyFile: '/nowhere.key' }, 'key', /key file \/nowhere\.key is missing/);
    await changed({ export: { listen: 'nonsense' } }, 'usage', /export\.listen/);
    const psk = join(pair.folder, 'clients');
    writeFileSync(psk, 'alice:nothex\n', { mode: 0o600 });
    await changed(
      { export: { listen: `unix:${psk}.nbd`, keyFile: psk } },
      'key',
      /clients, line 1 is not "identity:key"/,
    );
    chmodSync(join(pair.folder, 'key'), 0o644);
    await refused(pair, side, 'key', /readable by others .*chmod 600/);
  });

  test('a socket, a log device or a port in a place that holds something: that stays as it is', async () => {
    const pair = await made();
    const good = pair.settings(side);
    const path = pair.volume[side];
    const content = randomBytes(MIB);
    writeFileSync(path, content);
    const other = join(pair.folder, 'other');
    writeFileSync(other, content);
    for (const there of [path, other]) {
      for (const [more, setting] of [
        [{ control: { socket: there } }, 'control'],
        [{ export: { listen: `unix:${there}` } }, 'export'],
      ] as const) {
        pair.configure(side, more);
        await refused(
          pair,
          side,
          'usage',
          new RegExp(`${setting} socket ${there} is there, and is no socket: name another`),
        );
        expect(readFileSync(there).equals(content)).toBe(true);
        writeFileSync(pair.config(side), JSON.stringify(good));
      }
    }
    pair.configure(side, { control: { socket: join(pair.folder, 'x'.repeat(108)) } });
    await refused(pair, side, 'usage', /is longer than 107 bytes: choose a shorter path/);
    pair.configure(side, { control: good['control'], log: { path } });
    await refused(pair, side, 'usage', /log\.path: is one of the volumes too/);
    pair.configure(side, { log: { path: other } });
    if (side === 'source') await refused(pair, side, 'volume', /log device .*other holds something: name another one/);
    expect(readFileSync(other).equals(content)).toBe(true);
    const server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    ends.push(() => server.close());
    const listen = `127.0.0.1:${(server.address() as { port: number }).port}`;
    pair.configure(side, {
      log: undefined,
      ...(side === 'source' ? { failback: { name: 'west', listen } } : { listen }),
    });
    await refused(
      pair,
      side,
      'primary',
      new RegExp(`stillbeat: (failback\\.)?listen ${listen} is taken by another program: `),
    );
  });

  test('a port that somebody else has', async () => {
    const pair = await made();
    const server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    ends.push(() => server.close());
    const { port } = server.address() as { port: number };
    pair.configure(side, { export: { listen: `127.0.0.1:${port}` } });
    await refused(pair, side, 'primary', new RegExp(`127\\.0\\.0\\.1:${port} is taken`));
  });

  test('a volume that somebody else writes, who is named; afterwards it starts', async () => {
    const pair = await made();
    const path = pair.volume[side];
    const fd = openSync(path, 'r+');
    const writer = spawn('sleep', ['60'], { stdio: ['ignore', fd, 'ignore'] });
    closeSync(fd);
    ends.push(() => writer.kill());
    await refused(
      pair,
      side,
      'taken',
      new RegExp(`volume data: ${path} is open for writing in process ${writer.pid} \\(sleep\\)`),
    );
    await gone(writer);
    const loop = (await tool(['losetup', '--find', '--show', path])).trim();
    await refused(pair, side, 'taken', new RegExp(`volume data: ${path} is open for writing as ${loop}: end that`));
    await tool(['losetup', '--detach', loop]);
    await eventually('it is free', SOON_MS, async () => (await run(['losetup', '--associated', path])).stdout === '');
    await runs(pair, side);
  });

  test('a device that is mounted', async () => {
    const pair = await made();
    const path = pair.volume[side];
    truncateSync(path, 4 * MIB);
    await tool(['mkfs.ext4', '-q', path]);
    const loop = (await tool(['losetup', '--find', '--show', path])).trim();
    ends.push(async () => tool(['losetup', '--detach', loop]));
    const folder = join(pair.folder, 'mounted');
    await tool(['mkdir', folder]);
    await tool(['mount', loop, folder]);
    ends.push(async () => run(['umount', folder]));
    pair.configure(side, { volumes: [{ name: 'data', path: loop }] });
    await refused(pair, side, 'taken', new RegExp(`${loop} is mounted at ${folder}`));
  });

  test('while it runs its volume is not formatted, by whatever name and with --force either: it is named', async () => {
    const pair = await MirrorPair.make({ volumeBytes: 16 * MIB, journalSize: '8M' });
    ends.push(async () => pair.remove());
    const path = pair.volume[side];
    const content = randomBytes(16 * MIB);
    writeFileSync(path, content);
    const loop = (await tool(['losetup', '--find', '--show', path])).trim();
    ends.push(async () => tool(['losetup', '--detach', loop]));
    const format = async (volume: string, line: RegExp): Promise<void> => {
      for (const force of [[], ['--force']]) {
        const words = ['format', volume, '--cluster', 'c', '--nodes', 'a,b', ...force];
        const { status, stdout, stderr } = await run([process.execPath, CLI_PATH, ...words]);
        expect([status, stdout, stderr], volume).toEqual([EXIT.taken, '', expect.stringMatching(line)]);
      }
    };
    // Of a device the kernel's claim, of a file who has it: each also through the other.
    pair.configure(side, { volumes: [{ name: 'data', path: loop }] });
    await runs(pair, side);
    const who = `in process ${pair.pid(side)} \\(node\\): end that first, or name another one; nothing was written\n$`;
    await format(loop, new RegExp(`^stillbeat: format: volume ${loop} is open for writing ${who}`));
    await format(path, new RegExp(`^stillbeat: format: volume ${path} is open for writing as ${loop} ${who}`));
    await pair.end(side);
    await tool(['losetup', '--detach', loop]);
    ends.pop();
    pair.configure(side, { volumes: [{ name: 'data', path }], journal: { path: join(pair.folder, 'j'), size: '8M' } });
    await eventually('it is free', SOON_MS, async () => (await run(['losetup', '--associated', path])).stdout === '');
    await runs(pair, side);
    const link = join(pair.folder, 'link');
    symlinkSync(path, link);
    const again = (await tool(['losetup', '--find', '--show', path])).trim();
    ends.push(async () => tool(['losetup', '--detach', again]));
    const self = `in process ${pair.pid(side)} \\(node\\)`;
    for (const name of [path, link]) await format(name, new RegExp(`volume ${name} is open for writing ${self}`));
    await format(again, new RegExp(`volume ${again} is open for writing as ${path} ${self}`));
    expect(readFileSync(path).equals(content)).toBe(true);
  });

  test('a second process: of the same journal, and of the same volume with another journal', async () => {
    const pair = await made();
    await runs(pair, side);
    const free = { listen: `unix:${join(pair.folder, 'other.nbd')}` };
    await refused(pair, side, 'taken', /control socket .* is in use/);
    pair.configure(side, { control: { socket: join(pair.folder, 'other.sock') }, export: free });
    await refused(pair, side, 'taken', /volume data: .* is open for writing in process \d+ \(node\)/);
    const other = join(pair.folder, 'other');
    writeFileSync(other, '');
    truncateSync(other, MIB);
    pair.configure(side, { volumes: [{ name: 'data', path: other }] });
    await refused(pair, side, 'taken', /journal .* is in use by another process/);
  });

  test('a journal of another group, of other volumes, and of the other role', async () => {
    const pair = await made();
    await runs(pair, side);
    await pair.end(side);
    const good = pair.settings(side);
    pair.configure(side, { group: 'hr' });
    await refused(pair, side, 'volume', /journal .* group "?erp/);
    writeFileSync(pair.config(side), JSON.stringify(good));
    truncateSync(pair.volume[side], 2 * MIB);
    await refused(pair, side, 'volume', /data .*1048576 bytes.*2097152 bytes/);
  });
});

async function gone(child: ChildProcess): Promise<void> {
  const exit = once(child, 'exit');
  child.kill();
  await exit;
}

/** The last word of the source about its target. */
async function told(pair: MirrorPair, what: RegExp): Promise<void> {
  await eventually(`${what.source} is told`, SOON_MS, () => what.test(pair.log('source')));
}

describe('a target that does not fit', () => {
  test('a volume of another size', async () => {
    const pair = await made();
    truncateSync(pair.volume.target, 2 * MIB);
    pair.start('target');
    pair.start('source');
    await told(pair, /target-refused.*volume \\"data\\" has 1048576 bytes at the source and 2097152 at the target/);
  });

  test('a journal with a smaller window', async () => {
    const pair = await made();
    pair.configure('target', { journal: { path: join(pair.folder, 'small'), size: '8M', window: '1M' } });
    pair.start('target');
    pair.start('source');
    await told(pair, /target-refused.*journal\.window there as large as here/);
  });

  test('[RF5] one that is the copy of another source: that copy stays as it is', async () => {
    const pair = await made();
    writeFileSync(pair.volume.source, randomBytes(MIB));
    pair.start('target');
    pair.start('source');
    await pair.untilInSync();
    const copy = readFileSync(pair.volume.target);
    await pair.end('source');
    pair.configure('source', { journal: { path: join(pair.folder, 'another'), size: '8M', window: '4M' } });
    writeFileSync(pair.volume.source, randomBytes(MIB));
    pair.start('source');
    await told(pair, /target-refused.*no ancestor|target-refused.*generation/);
    expect(readFileSync(pair.volume.target).equals(copy)).toBe(true);
  });

  test('[RF5] one that takes from a source already: a second one, of volumes of its own, is sent away', async () => {
    const pair = await made();
    const other = await made();
    pair.configure('source', { inquiry: PATIENT });
    await runs(pair, 'target');
    pair.start('source');
    await pair.untilInSync();
    const { connect } = (pair.settings('source')['targets'] as { connect: string }[])[0] ?? { connect: '' };
    writeFileSync(other.volume.source, randomBytes(MIB));
    other.configure('source', { keyFile: join(pair.folder, 'key'), targets: [{ name: 'east', connect }] });
    other.start('source');
    await told(other, /target-refused.*generation/);
    expect((await pair.seen())?.state).toBe('in-sync');
    expect(pair.log('source')).not.toContain('target-lost');
    expect(pair.content('target').equals(pair.content('source'))).toBe(true);
  });

  test('[RF5] a wrong key: one line on each side, and nothing is taken', async () => {
    const pair = await made();
    const other = join(pair.folder, 'other.key');
    writeFileSync(other, newKeyText(randomBytes(32)), { mode: 0o600 });
    pair.configure('source', { keyFile: other });
    pair.start('target');
    pair.start('source');
    await told(
      pair,
      /target-lost.*target east at 127\.0\.0\.1:\d+ does not take the key of erp\/east\/[0-9a-f]+: is it/,
    );
    await eventually('the target tells it', SOON_MS, () =>
      /did not get in: it names .*erp\/east\/[0-9a-f]{16}/.test(pair.log('target')),
    );
    expect(await pair.status('target')).toMatchObject({ state: 'initialising', links: [] });
  });
});

test('while a large journal is made it says that it is starting, and ends when it is told to, leaving nothing', async () => {
  const pair = await made();
  pair.configure('target', { journal: { path: join(pair.folder, 'large'), size: '4G' } });
  pair.start('target');
  const said = async (): Promise<string> => pair.command('target', 'status').catch((error: Error) => error.message);
  await eventually('it answers', SOON_MS, async () =>
    /it is starting: .* all of a new one is written first/.test(await said()),
  );
  expect(existsSync(join(pair.folder, 'large'))).toBe(false);
  expect(await pair.end('target')).toBe(0);
  // Had it gone on to the end, there would be one.
  expect(['large', 'large.new'].map((name) => existsSync(join(pair.folder, name)))).toEqual([false, false]);
});

test('a target asked for what a source does says so, whatever was asked', async () => {
  const pair = await made();
  await runs(pair, 'target');
  for (const words of [['checkpoint'], ['failback'], ['handover'], ['verify'], ['pause', 'west'], ['resync', 'west']]) {
    const command = [process.execPath, CLI_PATH, 'mirror', ...words, '--config', pair.config('target')];
    const { status, stderr } = await run(command);
    expect(stderr).toBe(
      `stillbeat: it is a target now, which has no mirror ${words[0]}, but mirror status, mirror takeover\n`,
    );
    expect(status).toBe(EXIT.usage);
  }
});

test('commands that are wrong, and a mirror that does not run', async () => {
  const pair = await made();
  const stillbeat = async (...words: string[]) => run([process.execPath, CLI_PATH, 'mirror', ...words]);
  for (const [words, line] of [
    [[], /mirror: what of the mirror\?/],
    [['sauce'], /there is no mirror sauce/],
    [['source'], /--config is missing/],
    [['status'], /--config or --socket is missing/],
    [['status', '--jason'], /Unknown option '--jason'/],
  ] as const) {
    const { status, stderr } = await stillbeat(...words);
    expect([status, stderr.trimEnd().split('\n').length]).toEqual([EXIT.usage, 1]);
    expect(stderr).toMatch(line);
  }
  for (const side of ['source', 'target'] as const) {
    const { status, stderr } = await stillbeat('status', '--config', pair.config(side));
    expect(status).toBe(EXIT.failed);
    expect(stderr).toMatch(
      /^stillbeat: control socket .*: no agent runs here; start it with "stillbeat mirror source" or "target"\n$/,
    );
  }
  rmSync(pair.config('source'));
  closeSync(openSync(pair.config('source'), 'w'));
  expect((await pair.run('source')).status).toBe(EXIT.usage);
});
