import {
  closeSync,
  existsSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { format } from '../../../agent/cli/format.ts';
import { WATCH_MS } from '../../../agent/cli/format-device.ts';
import { BlockDevice } from '../../../agent/platform/block-device.ts';
import { BEACON_MS_MAX } from '../../../agent/settings/schema.ts';
import { BLOCK_BYTES, HEAD_TABLE_OFFSET, SLOTS_OFFSET } from '../../../agent/volume/layout.ts';
import { chooseSuperblock } from '../../../agent/volume/superblock.ts';
import { TestWriter } from '../../support/volume.ts';

let folder: string;
let volume: string;
let out: string;
let err: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'stillbeat-format-'));
  volume = join(folder, 'volume');
  out = '';
  err = '';
  vi.spyOn(process.stdout, 'write').mockImplementation((text) => ((out += String(text)), true));
  vi.spyOn(process.stderr, 'write').mockImplementation((text) => ((err += String(text)), true));
});

afterEach(() => {
  vi.restoreAllMocks();
  rmSync(folder, { recursive: true });
});

const NAMES = ['--cluster', 'lab', '--nodes', 'a,b'];
const make = (...more: string[]) => format([volume, ...NAMES, ...more]);
const read = () => {
  const bytes = new Uint8Array(readFileSync(volume));
  return { bytes, chosen: chooseSuperblock([bytes.subarray(0, 4096), bytes.subarray(4096, 8192)]) };
};

/** What one line on stderr said; more than one line is a failure of its own. */
function line(): string {
  expect(err.trimEnd()).not.toContain('\n');
  const said = err;
  err = '';
  return said;
}

describe('format makes a volume', () => {
  test('a new file of the size asked for, with every byte stored', async () => {
    expect(await make('--size', '10M', '--json')).toBe(0);
    const document = JSON.parse(out) as Record<string, unknown>;
    const { chosen } = read();
    expect(chosen.ok && chosen.superblock.nodes).toEqual(['a', 'b']);
    expect(document).toEqual({
      ok: true,
      volume,
      cluster: 'lab',
      uuid: expect.stringMatching(/^[0-9a-f-]{36}$/) as unknown,
      nodes: ['a', 'b'],
      slots: 2,
      slotBytes: chosen.ok && chosen.superblock.slotBytes,
      bytes: 10_485_760,
      sectorBytes: 512,
      direct: expect.any(Boolean) as unknown,
    });
    expect(statSync(volume).blocks * 512).toBeGreaterThanOrEqual(10_485_760);
    expect(statSync(volume).mode & 0o777).toBe(0o600);
    expect(err).toBe('');
  });

  test('both copies are the same but for the copy number, and each format draws its own UUID', async () => {
    expect(await make('--size', '10M')).toBe(0);
    const first = read().bytes;
    expect([...first.subarray(0, 4088)]).toEqual([...first.subarray(4096, 4096 + 4088)]);
    expect(await make()).toBe(0);
    expect([...read().bytes.subarray(16, 32)]).not.toEqual([...first.subarray(16, 32)]);
  });

  test('nothing of an older volume stays where headers are looked for', async () => {
    writeFileSync(volume, new Uint8Array(10 * 1024 * 1024).fill(0xa5));
    expect(await make('--force')).toBe(0);
    const { bytes, chosen } = read();
    const slotBytes = chosen.ok ? chosen.superblock.slotBytes : 0;
    expect(bytes.subarray(HEAD_TABLE_OFFSET, SLOTS_OFFSET + BLOCK_BYTES).every((byte) => byte === 0)).toBe(true);
    const second = SLOTS_OFFSET + slotBytes;
    expect(bytes.subarray(second, second + BLOCK_BYTES).every((byte) => byte === 0)).toBe(true);
    expect(bytes.subarray(-128 * 1024).every((byte) => byte === 0)).toBe(true);
  });
});

describe('format refuses bad usage with status 2 and one line', () => {
  const tooMany = Array.from({ length: 65 }, (_, i) => `n${i}`).join(',');
  test.each([
    [[], 'VOLUME is missing'],
    [['v', '--nodes', 'a,b'], '--cluster is missing'],
    [['v', '--cluster', 'lab'], '--nodes is missing'],
    [['v', 'w', ...NAMES], 'one VOLUME, not also w'],
    [['v', ...NAMES, '--sise', '64M'], "Unknown option '--sise'"],
    [['v', ...NAMES, '--size', '64X'], '--size 64X is no size'],
    [['v', '--cluster', 'la b', '--nodes', 'a,b'], '--cluster "la b" is not 1 to 32'],
    [['v', '--cluster', 'lab', '--nodes', 'a,b,a'], 'node a is named twice'],
    [['v', '--cluster', 'lab', '--nodes', 'a,,b'], 'node name "" is not'],
    [['v', '--cluster', 'lab', '--nodes', 'ä,b'], 'node name "ä" is not'],
    [['v', '--cluster', 'lab', '--nodes', `a,${'b'.repeat(33)}`], 'is not 1 to 32'],
    [['v', '--cluster', 'lab', '--nodes', tooMany], '65 nodes, a volume has room for 64'],
  ])('%j', async (argv, words) => {
    expect(await format(argv)).toBe(2);
    const said = line();
    expect(said).toContain(words);
    expect(said).toContain('usage: stillbeat format VOLUME');
  });
});

describe('format refuses a volume that it cannot or must not use, with status 3', () => {
  test('one that does not exist, without --size', async () => {
    expect(await make()).toBe(3);
    expect(line()).toContain('does not exist: check the path, or add --size to make a file');
    expect(existsSync(volume)).toBe(false);
  });

  test('too small: says how large it must be, and leaves no file behind', async () => {
    expect(await make('--size', '8M')).toBe(3);
    expect(line()).toContain('2 nodes need at least 8912896 bytes (8.5 MiB)');
    expect(existsSync(volume)).toBe(false);
    writeFileSync(volume, new Uint8Array(8_912_895));
    expect(await make()).toBe(3);
    truncateSync(volume, 8_912_896);
    err = '';
    expect(await make()).toBe(0);
  });

  test('--size for a file that is there with another size', async () => {
    writeFileSync(volume, new Uint8Array(9 * 1024 * 1024));
    expect(await make('--size', '10M')).toBe(3);
    expect(line()).toContain('is there already with 9437184 bytes');
    expect(await make('--size', '9M')).toBe(0);
  });

  test('a directory', async () => {
    expect(await format([folder, ...NAMES])).toBe(3);
    expect(line()).toContain('volume');
  });

  test('a foreign signature, named with its place, unless --force', async () => {
    writeFileSync(volume, new Uint8Array(9 * 1024 * 1024));
    const fd = openSync(volume, 'r+');
    writeSync(fd, 'SWAPSPACE2', 4086);
    closeSync(fd);
    const before = readFileSync(volume);
    expect(await make('--json')).toBe(3);
    expect(line()).toContain('bears a swap space (at byte 4086): name another one, or add --force');
    expect(JSON.parse(out)).toMatchObject({ ok: false, volume, error: { reason: 'volume' } });
    expect(readFileSync(volume).equals(before)).toBe(true);
    expect(await make('--force')).toBe(0);
  });

  test('another cluster, unless --force; its own cluster may be formatted again', async () => {
    expect(await make('--size', '9M')).toBe(0);
    expect(await make()).toBe(0);
    expect(await format([volume, '--cluster', 'erp', '--nodes', 'a,b'])).toBe(3);
    expect(line()).toContain('bears a stillbeat volume of cluster lab');
    expect(await format([volume, '--cluster', 'erp', '--nodes', 'a,b', '--force'])).toBe(0);
  });
});

describe('[ONE1] format refuses a volume with a live agent, with status 7', () => {
  test('an agent on this host, by its lock, also with --force', async () => {
    expect(await make('--size', '9M')).toBe(0);
    const agent = BlockDevice.open(volume);
    try {
      expect(agent.lock(SLOTS_OFFSET + BLOCK_BYTES, BLOCK_BYTES)).toBe(0);
      expect(await make('--force')).toBe(7);
      expect(line()).toContain('in use by an agent on this host');
    } finally {
      agent.close();
    }
    expect(await make()).toBe(0);
  });

  test('an agent on another host, by its beacon; the node is named', async () => {
    expect(await make('--size', '9M')).toBe(0);
    const device = BlockDevice.open(volume);
    try {
      const agent = new TestWriter(device, { slot: 1 });
      expect(agent.head()).toBe(0);
      const refused = make('--force');
      await delay(300);
      expect(agent.head()).toBe(0);
      expect(await refused).toBe(7);
      expect(line()).toContain('an agent of node b is live');
    } finally {
      device.close();
    }
  });

  test('a head that says "running" and does not move is a dead agent', { timeout: 10_000 }, async () => {
    expect(await make('--size', '9M')).toBe(0);
    const device = BlockDevice.open(volume);
    expect(new TestWriter(device).head()).toBe(0);
    device.close();
    const began = performance.now();
    expect(await make()).toBe(0);
    expect(performance.now() - began).toBeGreaterThan(2900);
  });

  test('the longest beacon that settings allow is seen', () => {
    expect(WATCH_MS).toBeGreaterThanOrEqual(2.5 * BEACON_MS_MAX);
  });
});
