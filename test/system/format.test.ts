/**
 * `format` on the real kernel: block devices of both sector sizes, content made by the real mkfs programs, a file system
 * that is full. Nothing stays behind.
 */
import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  closeSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { format } from '../../agent/cli/format.ts';

const MIB = 1024 * 1024;
const BYTES = 12 * MIB;
let folder: string;
let undo: (() => void)[];
let out: string;
let err: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'stillbeat-format-'));
  undo = [() => rmSync(folder, { recursive: true })];
  out = '';
  err = '';
  vi.spyOn(process.stdout, 'write').mockImplementation((text) => ((out += String(text)), true));
  vi.spyOn(process.stderr, 'write').mockImplementation((text) => ((err += String(text)), true));
});

afterEach(() => {
  vi.restoreAllMocks();
  for (const step of undo.toReversed()) step();
});

function run(program: string, ...args: string[]): string {
  return execFileSync(program, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] }).trim();
}

function loopDevice(sectorBytes: number): string {
  const file = join(folder, `disk-${sectorBytes}`);
  writeFileSync(file, '');
  truncateSync(file, BYTES);
  const device = run('losetup', '--find', '--show', '--sector-size', String(sectorBytes), file);
  undo.push(() => run('losetup', '--detach', device));
  return device;
}

/** What the system's own prober sees there. */
const knownContent = (device: string) => spawnSync('blkid', ['--probe', device], { encoding: 'utf8' }).stdout;

const make = (volume: string, ...more: string[]) => format([volume, '--cluster', 'lab', '--nodes', 'a,b', ...more]);

test.each([512, 4096])('a block device with sectors of %i bytes', async (sectorBytes) => {
  const device = loopDevice(sectorBytes);
  expect(await make(device, '--json')).toBe(0);
  expect(JSON.parse(out)).toMatchObject({ ok: true, volume: device, bytes: BYTES, sectorBytes, direct: true });
  expect(knownContent(device)).toBe('');
});

test.each([
  ['mkfs.ext4', ['-q', '-F'], 'ext4 file system (at byte 1080)'],
  ['mkfs.ext3', ['-q', '-F'], 'ext3 file system (at byte 1080)'],
  ['mkfs.ext2', ['-q', '-F'], 'ext2 file system (at byte 1080)'],
  ['mkswap', [], 'swap space (at byte 4086)'],
])('what %s makes is not destroyed without --force', async (program, args, words) => {
  const device = loopDevice(512);
  run(program, ...args, device);
  expect(await make(device)).toBe(3);
  expect(err).toContain(words);
  expect(knownContent(device)).not.toBe('');
  expect(await make(device, '--force')).toBe(0);
  expect(knownContent(device)).toBe('');
  expect(await make(device)).toBe(0);
});

test('a mounted file system is not destroyed with --force either', async () => {
  const device = loopDevice(512);
  run('mkfs.ext4', '-q', '-F', device);
  const place = join(folder, 'mounted');
  mkdirSync(place);
  run('mount', device, place);
  undo.push(() => run('umount', place));
  expect(await make(device, '--force')).toBe(3);
  expect(err).toContain(`mounted at ${place}`);
  expect(err).toContain('free it');
});

test.each(['device', 'file'])(
  'a %s that somebody writes is not destroyed with --force either; one who reads is not in the way',
  async (kind) => {
    const device = loopDevice(512);
    const volume = kind === 'device' ? device : join(folder, 'image');
    if (kind === 'file') writeFileSync(volume, new Uint8Array(BYTES).fill(7));
    const opened = (flags: 'r' | 'r+'): ChildProcess => {
      const fd = openSync(volume, flags);
      const child = spawn('sleep', ['120'], { stdio: [fd, 'ignore', 'ignore'] });
      closeSync(fd);
      undo.push(() => child.kill());
      return child;
    };
    opened('r');
    const writer = opened('r+');
    const before = readFileSync(volume).subarray(0, MIB);
    for (const force of [[], ['--force']]) {
      expect(await make(volume, ...force)).toBe(7);
      expect(err).toBe(
        `stillbeat: format: volume ${volume} is open for writing in process ${writer.pid} (sleep): ` +
          'end that first, or name another one; nothing was written\n',
      );
      err = '';
    }
    expect(readFileSync(volume).subarray(0, MIB).equals(before)).toBe(true);
    const exit = once(writer, 'exit');
    writer.kill();
    await exit;
    expect(await make(volume)).toBe(0);
  },
);

test('a full file system shows at once, and no half-made file stays', async () => {
  const place = join(folder, 'small');
  mkdirSync(place);
  run('mount', '-t', 'tmpfs', '-o', 'size=10m', 'tmpfs', place);
  undo.push(() => run('umount', place));
  const volume = join(place, 'volume');
  expect(await make(volume, '--size', '16M')).toBe(3);
  expect(err).toMatch(
    /cannot be made with 16777216 bytes, its file system has \d+ free \(.*\): free some space or give/,
  );
  expect(existsSync(volume)).toBe(false);
  expect(await make(volume, '--size', '9M')).toBe(0);
  expect(readFileSync(volume).subarray(0, 8).toString()).toBe('STILLVOL');
});

test('a signal while the file is made: one line, and no file stays', async () => {
  const volume = join(folder, 'volume');
  const made = make(volume, '--size', '512M');
  // At every turn of the event loop: one sleep may be all that the making takes.
  while (!existsSync(volume)) await nextTurn();
  process.emit('SIGINT', 'SIGINT');
  expect(await made).toBe(1);
  expect(err).toMatch(/^stillbeat[^\n]* interrupted \(SIGINT\): volume [^\n]* is not made\n$/);
  expect(existsSync(volume)).toBe(false);
});
