/** A state as a file system left it in the middle of its work: mounted over an overlay, which is bounded and touches no recording. */
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { closeSync, fsyncSync, mkdirSync, openSync, readdirSync, readFileSync, rmSync, writeSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { run, TOOL_PATH } from '../../agent/demo/shell.ts';
import { eventually } from '../support/cluster.ts';
import { HistoryBed, sha256, SOON_MS } from '../support/history-bed.ts';

const MIB = 1 << 20;
const ends: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).toReversed()) await end();
});

async function made(volumeBytes: number): Promise<HistoryBed> {
  const bed = await HistoryBed.make({ volumeBytes });
  ends.push(async () => bed.remove());
  await bed.start();
  return bed;
}

async function done(...argv: string[]): Promise<void> {
  const { status, stderr } = await run(argv, { timeoutMs: SOON_MS });
  expect([argv.join(' '), status, stderr]).toEqual([argv.join(' '), 0, expect.anything()]);
}

/** An export as a file, as the README has it; until the end of the test. */
async function fused(bed: HistoryBed, uri: string, name: string): Promise<string> {
  const folder = join(bed.pair.folder, name);
  mkdirSync(folder);
  const child = spawn('nbdfuse', [folder, uri], { stdio: 'ignore', env: { ...process.env, PATH: TOOL_PATH } });
  const gone = once(child, 'exit');
  ends.push(async () => {
    const free = async (): Promise<boolean> => (await run(['fusermount3', '-u', folder])).status === 0;
    await eventually('nbdfuse lets go', SOON_MS, free);
    await gone;
  });
  await eventually('nbdfuse shows it', SOON_MS, () => readdirSync(folder).includes('nbd'));
  return join(folder, 'nbd');
}

/** Unmounted by what it answers, or at the end of the test. */
async function mounted(bed: HistoryBed, disk: string, name: string): Promise<{ path: string; end(): Promise<void> }> {
  const path = join(bed.pair.folder, name);
  mkdirSync(path);
  await done('mount', '-o', 'loop', disk, path);
  let isMounted = true;
  const end = async (): Promise<void> => {
    if (isMounted) await done('umount', path);
    isMounted = false;
  };
  ends.push(end);
  return { path, end };
}

/** Of all files of a recording. */
function digestOf(folder: string): string {
  const hash = createHash('sha256');
  for (const name of readdirSync(folder).toSorted()) hash.update(`${name}\n`).update(readFileSync(join(folder, name)));
  return hash.digest('hex');
}

test('[OS8] a file that was only fsynced and then deleted: the state is mounted as a disk after a power cut is, and the recording is as it was', async () => {
  const bed = await made(16 * MIB);
  const disk = await fused(bed, bed.pair.uri('source'), 'now');
  await done('mkfs.ext4', '-q', '-b', '1024', disk);
  const now = await mounted(bed, disk, 'mounted');
  const content = Buffer.alloc(400_000, 'the minutes of the meeting\n');
  const fd = openSync(join(now.path, 'minutes'), 'w');
  writeSync(fd, content);
  fsyncSync(fd);
  closeSync(fd);
  const mark = await bed.caughtUp();
  rmSync(join(now.path, 'minutes'));
  await now.end();
  await bed.caughtUp();
  await bed.pair.end('source');
  await bed.endRecorder('SIGTERM');
  const before = digestOf(bed.recording);
  const state = await fused(bed, await bed.serve(`#${mark}`, '--overlay', '8M'), 'state');
  const then = await mounted(bed, state, 'then');
  expect(readFileSync(join(then.path, 'minutes')).equals(content)).toBe(true);
  // It can be worked with, too.
  rmSync(join(then.path, 'minutes'));
  await then.end();
  expect(digestOf(bed.recording)).toBe(before);
  // Who serves it anew has the state as it was.
  const anew = await fused(bed, await bed.serve(`#${mark}`, '--overlay', '8M'), 'anew');
  expect(readFileSync(join((await mounted(bed, anew, 'again')).path, 'minutes')).equals(content)).toBe(true);
});

test('[OS8] an overlay has a bound: beyond it there is no space, and what was written before stays; without one nothing is written', async () => {
  const bed = await made(4 * MIB);
  await bed.write('write -P 3 0 4M');
  const mark = await bed.caughtUp();
  const before = bed.digest(mark);
  const uri = await bed.serve(`#${mark}`, '--overlay', '64K');
  const io = async (where: string, ...commands: string[]) => {
    const words = commands.flatMap((each) => ['-c', each]);
    const { status, stdout, stderr } = await run(['qemu-io', '-f', 'raw', ...words, where], { timeoutMs: SOON_MS });
    return { status, said: stdout + stderr };
  };
  const fine = ['write -P 8 1000 30000', 'write -z 1M 4096', 'read -P 8 1000 30000', 'read -P 3 31000 4096', 'flush'];
  expect(await io(uri, ...fine)).toMatchObject({ status: 0 });
  for (const beyond of ['write -P 9 2M 64k', 'write -z 0 1M']) {
    expect((await io(uri, beyond)).said).toMatch(/No space left on device/);
  }
  const still = ['read -P 8 1000 30000', 'read -P 0 1M 4096', 'read -P 3 2M 64k', 'write -P 9 0 4096'];
  expect(await io(uri, ...still)).toMatchObject({ status: 0 });
  expect((await io(await bed.serve(`#${mark}`), 'write 0 512')).status).not.toBe(0);
  expect(bed.digest(mark)).toBe(before);
  expect(sha256(await bed.seenBy('source'))).toBe(before);
  const taken = createServer().listen(0, '127.0.0.1');
  await once(taken, 'listening');
  ends.push(() => taken.close());
  const listen = `127.0.0.1:${(taken.address() as { port: number }).port}`;
  expect(await bed.history('serve', '--at', `#${mark}`, '--store', bed.store, '--listen', listen)).toMatchObject({
    status: 6,
    stderr: `stillbeat: --listen ${listen} is taken by another program: choose another port or stop it\n`,
  });
  for (const size of ['none', '0', '-1']) {
    const refused = await bed.history('serve', '--at', `#${mark}`, '--store', bed.store, `--overlay=${size}`);
    expect(refused).toMatchObject({
      status: 2,
      stderr: expect.stringMatching(
        new RegExp(`^stillbeat: history: --overlay ${size} is no size: write for example 256M`),
      ),
    });
  }
});
