/** A target whose storage is full, fails, or does not come back from a call: told at both ends, and mended without a restart. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import type { Lab } from '../../agent/demo/lab.ts';
import { run, tool, TOOL_PATH } from '../../agent/demo/shell.ts';
import { eventually } from '../support/cluster.ts';
import { EIO, ENOSPC, FaultDisk } from '../support/fault-disk.ts';
import { MirrorPair, PATIENT } from '../support/mirror-pair.ts';

const MIB = 1 << 20;
const SOON_MS = 60_000;
const ETIMEDOUT = 110;
const ends: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).toReversed()) await end();
});

async function made(): Promise<MirrorPair> {
  const pair = await MirrorPair.make({ volumeBytes: 8 * MIB, acknowledge: 'local' });
  ends.push(async () => pair.remove());
  return pair;
}

/** Before what their volumes lie on is taken away. */
async function killed(pair: MirrorPair): Promise<void> {
  for (const side of ['source', 'target'] as const) await pair.end(side, 'SIGKILL');
}

async function start(pair: MirrorPair): Promise<void> {
  pair.start('target');
  await eventually('the target runs', SOON_MS, async () => pair.status('target').catch(() => null));
  pair.start('source');
  await pair.untilInSync();
}

const write = async (pair: MirrorPair, command: string): Promise<string> =>
  tool(['qemu-io', '-f', 'raw', '-c', command, '-c', 'flush', pair.uri('source')]);

/** Both ends say this of the target's storage. */
async function told(pair: MirrorPair, errno: number): Promise<void> {
  await eventually(`the target says ${errno}`, SOON_MS, async () => {
    const { storage } = (await pair.status('target')) as unknown as { storage: { errno: number } };
    return storage.errno === errno;
  });
  await eventually(`the source says ${errno}`, SOON_MS, async () => {
    const target = (await pair.seen()) as unknown as { storage: { errno: number } } | null;
    return target?.storage.errno === errno;
  });
}

test('full: the cut stays, the clients go on, and it catches up when there is room', async () => {
  const pair = await made();
  const folder = join(pair.folder, 'small');
  mkdirSync(folder);
  await tool(['mount', '-t', 'tmpfs', '-o', 'size=2m', 'tmpfs', folder]);
  ends.push(async () => run(['umount', folder]));
  ends.push(async () => killed(pair));
  const path = join(folder, 'receive');
  writeFileSync(path, '');
  truncateSync(path, 8 * MIB);
  pair.configure('target', { volumes: [{ name: 'data', path }] });
  await start(pair);
  await write(pair, 'write -P 1 0 6M');
  await told(pair, ENOSPC);
  expect(await pair.command('source', 'status')).toMatch(/target +east .*its storage fails \(errno 28\)/);
  await tool(['mount', '-o', 'remount,size=16m', folder]);
  await told(pair, 0);
  await eventually(
    'the volume has it',
    SOON_MS,
    async () => (await tool(['cmp', '-n', '6291456', pair.volume.source, path])) === '',
  );
});

test('EIO, and a call that does not come back: told as such, and afterwards all is there', async () => {
  const pair = await made();
  const disk = await FaultDisk.over({ directory: pair.folder } as Lab, pair.volume.target);
  ends.push(async () => disk.close());
  ends.push(async () => {
    await disk.heal();
    await killed(pair);
  });
  pair.configure('target', { volumes: [{ name: 'data', path: disk.path }] });
  await start(pair);
  await disk.fault('none', EIO);
  await write(pair, 'write -P 2 0 2M');
  await told(pair, EIO);
  await disk.heal();
  await told(pair, 0);
  await disk.fault('none', 'hang');
  await write(pair, 'write -P 3 1M 2M');
  await told(pair, ETIMEDOUT);
  expect(await pair.command('target', 'status')).toMatch(/storage +.*has not answered for \d+\.\d s/);
  await disk.heal();
  await told(pair, 0);
  await pair.untilEqual();
});

test('a source whose journal fails: clients get the error, nothing is answered that it has not, and it goes on when it is well', async () => {
  const pair = await made();
  const file = join(pair.folder, 'journal.img');
  writeFileSync(file, '');
  truncateSync(file, 48 * MIB);
  const disk = await FaultDisk.over({ directory: pair.folder } as Lab, file);
  ends.push(async () => disk.close());
  ends.push(async () => {
    await disk.heal();
    await killed(pair);
  });
  pair.configure('source', { journal: { path: disk.path, size: '32M', window: '4M' } });
  await start(pair);
  await write(pair, 'write -P 1 0 1M');
  await disk.fault('none', EIO);
  const { stdout, stderr } = await run(['qemu-io', '-f', 'raw', '-c', 'write -P 2 0 1M', pair.uri('source')]);
  expect(stdout + stderr).toMatch(/write failed: Input\/output error/);
  const { journal } = (await pair.status('source')) as unknown as { journal: { errno: number } };
  expect(journal.errno).toBe(EIO);
  expect(await pair.command('source', 'status')).toMatch(/journal .*errno 5/);
  await disk.heal();
  await eventually('it takes writes again', SOON_MS, async () => write(pair, 'write -P 3 1M 1M'));
  await pair.untilEqual();
  expect(
    pair
      .content('source')
      .subarray(MIB, 2 * MIB)
      .every((byte) => byte === 3),
  ).toBe(true);
});

test('slow for ever: clients go on, the source stays small and says how far behind the copy is, which gets on cut by cut', async () => {
  const pair = await made();
  const [socket, folder] = [join(pair.folder, 'slow.nbd'), join(pair.folder, 'slow')];
  mkdirSync(folder);
  const disk = join(folder, 'disk');
  const delayed = ['-f', '-U', socket, '--filter=delay', 'file', pair.volume.target, 'wdelay=40ms'];
  const nbdkit = spawn('nbdkit', delayed, { stdio: 'ignore' });
  ends.push(async () => ended(nbdkit));
  await eventually('nbdkit serves', SOON_MS, () => existsSync(socket));
  const env = { ...process.env, PATH: TOOL_PATH };
  const fuse = spawn('nbdfuse', [disk, `nbd+unix:///?socket=${socket}`], { stdio: 'ignore', env });
  ends.push(async () => {
    await run(['fusermount3', '-u', '-z', folder]);
    await ended(fuse);
  });
  ends.push(async () => killed(pair));
  await eventually('nbdfuse shows it', SOON_MS, () => existsSync(disk));
  pair.configure('target', { volumes: [{ name: 'data', path: disk }] });
  pair.configure('source', { inquiry: PATIENT });
  await start(pair);
  const beganMs = performance.now();
  for (let i = 0; i < 3; i++) await write(pair, `write -P ${i + 1} 0 6M`);
  const tookMs = performance.now() - beganMs;
  const cuts = new Set<number>();
  await eventually('it gets on', SOON_MS, async () => {
    // Work goes on: on a busy machine the copy catches up between two looks.
    await write(pair, `write -P ${cuts.size + 4} 0 6M`);
    const { cut = 0 } = await pair.status('target');
    const target = (await pair.seen()) as unknown as { lag: { bytes: number }; applied: number; durable: number };
    // Behind, but not lost: what it has not applied is durable in its journal, or waits in the source's.
    if (target.applied < target.durable || target.lag.bytes > 0) cuts.add(cut);
    return cuts.size > 2;
  });
  const kilobytes = Number(/VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${pair.pid('source')}/status`, 'utf8'))?.[1]);
  expect(kilobytes).toBeLessThan(300 * 1024);
  expect(tookMs).toBeLessThan(SOON_MS);
  expect(pair.log('source')).not.toContain('target-lost');
});

async function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exit = once(child, 'exit');
  child.kill();
  await exit;
}
