/** `inspect` as people run it, on volumes written by the production writer; tshark is the judge of the packets. */
import { execFileSync, spawnSync } from 'node:child_process';
import {
  closeSync,
  copyFileSync,
  mkdirSync,
  openSync,
  readFileSync,
  statSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { withoutControls } from '../../agent/base/text.ts';
import { newKeyText } from '../../agent/settings/key.ts';
import { BLOCK_BYTES, HEAD_TABLE_OFFSET } from '../../agent/volume/layout.ts';
import { decodeSuperblock, encodeSuperblock } from '../../agent/volume/superblock.ts';
import { CLI, filledVolume, FRAMES, keyOptions } from '../support/inspected.ts';
import type { VolumeFile } from '../support/volume-file.ts';

let file: VolumeFile;
let key: string[];

interface Document {
  readonly cluster: string;
  readonly sealed: boolean;
  readonly key: string;
  readonly superblock: Record<string, unknown>;
  readonly nodes: { node: string; state: string; proven: boolean; head: Record<string, unknown> | null }[];
  readonly batches: { node: string; orderMark: number; time: string; records: Record<string, unknown>[] | null }[];
  readonly damaged: Record<string, unknown>[];
  readonly totals: Record<string, number>;
}

function cli(...args: string[]): { status: number | null; stdout: string; stderr: string } {
  return spawnSync(process.execPath, [CLI, 'inspect', ...args], { encoding: 'utf8' });
}

function inspect(...args: string[]): string {
  const { status, stdout, stderr } = cli(file.path, ...key, ...args);
  expect(stderr).toBe('');
  expect(status).toBe(0);
  return stdout;
}

const document = (...args: string[]): Document => JSON.parse(inspect('--json', ...args)) as Document;

async function fill(withKey: boolean): Promise<void> {
  file = await filledVolume(withKey);
  key = keyOptions(file, withKey);
}

beforeEach(() => fill(true));
afterEach(() => file.remove());

describe.each([
  ['sealed', true],
  ['open', false],
])('a volume that is %s', (_, withKey) => {
  beforeEach(async () => {
    file.remove();
    await fill(withKey);
  });

  test('as text: superblock, heads, batches in order of time, records', () => {
    const lines = inspect().split('\n');
    expect(lines[0]).toContain(`volume ${file.path}: cluster lab, `);
    expect(lines[1]).toContain('format 1.1, 2 slots of');
    const [nodeA = '', nodeB = ''] = lines.filter((line) => line.startsWith('node '));
    expect(nodeA).toMatch(/^node a \(slot 0\): running, beacon \d+ h ago, start 1 \(01010101\), pid 4711/);
    expect(nodeB).toContain('node b (slot 1): stopped in order');
    expect(lines).toContainEqual(
      expect.stringMatching(/ {2}to b: storage; has read to 4096 \(4 KiB behind\), next data 5/),
    );
    const stamps = lines.filter((line) => line.startsWith('20')).map((line) => line.split(' ').slice(1, 3).join(' '));
    expect(stamps).toEqual(['a #1', 'b #1', 'a #2', 'b #2']);
    expect(lines).toContainEqual(
      expect.stringMatching(/heartbeat to a 1, .*: UDP 10\.77\.0\.1:5405 > 10\.77\.0\.2:5405 60 bytes \(corosync\)$/),
    );
    expect(lines.at(-2)).toBe('4 batches, 9 records, 0 damaged places');
  });

  test('as one JSON document', () => {
    const found = document();
    expect(found).toMatchObject({
      cluster: 'lab',
      sealed: withKey,
      key: withKey ? 'given' : 'none needed',
      damaged: [],
    });
    expect(found.superblock).toMatchObject({ version: '1.1', slotCount: 2, copies: ['good', 'good'] });
    expect(found.nodes.map(({ node, state, proven }) => [node, state, proven])).toEqual([
      ['a', 'running', true],
      ['b', 'stopped', true],
    ]);
    expect(found.nodes[0]?.head).toMatchObject({
      orderMark: 2,
      position: 7 * BLOCK_BYTES,
      pid: 4711,
      unreadBytes: 6 * BLOCK_BYTES,
    });
    expect(found.batches.map(({ node, orderMark }) => `${node}${orderMark}`)).toEqual(['a1', 'b1', 'a2', 'b2']);
    expect(found.batches[0]?.records?.[0]).toMatchObject({
      type: 'data',
      target: 'b',
      sequence: 1,
      frameBytes: FRAMES[0]?.length,
    });
    expect(found.totals).toEqual({ batches: 4, records: 9, damagedPlaces: 0 });
  });

  test('as packets that tshark reads without complaint', () => {
    const packets = join(file.folder, 'packets.pcapng');
    expect(inspect('--pcap', packets)).toBe(`9 packets in ${packets}\n`);
    const checks = ['tcp.check_checksum', 'udp.check_checksum', 'ip.check_checksum'].flatMap((name) => [
      '-o',
      `${name}:TRUE`,
    ]);
    const fields = [
      'frame.interface_name',
      'frame.time_epoch',
      'frame.comment',
      '_ws.col.Protocol',
      '_ws.expert.message',
    ];
    const lines = execFileSync('tshark', ['-n', '-r', packets, ...checks, '-T', 'fields', '-E', 'separator=|', ...fields.flatMap((name) => ['-e', name])], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    }).trimEnd().split('\n'); // prettier-ignore
    expect(lines.length).toBe(9);
    expect(lines.map((line) => line.split('|')[0])).toEqual(['a', 'a', 'a', 'b', 'a', 'a', 'a', 'a', 'b']);
    expect(lines[0]).toMatch(/^a\|\d+\.\d{6}000\|order mark 1, time mark .*, a to b, data 1, position 0\|/);
    for (const line of lines) expect(line).not.toMatch(/malformed|bad checksum|incorrect|exceeds/i);
    const statuses = execFileSync('tshark', ['-r', packets, ...checks, '-T', 'fields', '-e', 'tcp.checksum.status', '-e', 'udp.checksum.status', '-e', 'ip.checksum.status'], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }); // prettier-ignore
    expect(statuses).not.toMatch(/[02-9]/); // 1 is "good"
    expect(statSync(packets).mode & 0o777).toBe(0o600);
  });
});

describe('packets', () => {
  test('go to standard output with "-", and nothing else does', () => {
    const argv = [process.execPath, CLI, 'inspect', file.path, ...key, '--pcap', '-', '--type', 'heartbeat'];
    const command = `${argv.map((word) => `'${word}'`).join(' ')} | tshark -r - -T fields -e udp.dstport`;
    const { stdout } = spawnSync('sh', ['-c', command], { encoding: 'utf8' });
    expect(stdout).toBe('5405\n5405\n');
  });

  test('of a recording lie in no volume: the command for it is named', () => {
    const store = join(file.folder, 'store');
    mkdirSync(join(store, 'disk0'), { recursive: true });
    writeFileSync(join(store, 'disk0', 'head'), '');
    for (const path of [store, join(store, 'disk0')]) {
      const { status, stdout, stderr } = cli(path);
      expect([status, stdout]).toEqual([2, '']);
      expect(stderr).toBe(
        `stillbeat: inspect: ${path} is a folder of recordings, no volume: look at it with "stillbeat history list --store ${path}"\n`,
      );
    }
  });

  test('have an interface for each node, and none for a slot that is free', () => {
    const volume = join(file.folder, 'slots');
    const args = ['format', volume, '--cluster', 'lab', '--nodes', 'a,b', '--slots', '4', '--size', '64M'];
    expect(spawnSync(process.execPath, [CLI, ...args]).status).toBe(0);
    const { stdout } = spawnSync(process.execPath, [CLI, 'inspect', volume, '--pcap', '-']);
    // An interface description block is of type 1; the section before it of 0x0a0d0d0a.
    const types: number[] = [];
    for (let at = 0; at < stdout.length; at += stdout.readUInt32LE(at + 4)) types.push(stdout.readUInt32LE(at));
    expect(types).toEqual([0x0a0d_0d0a, 1, 1]);
  });

  test('are written over nothing but earlier packets and an empty file', () => {
    const at = (name: string): string => join(file.folder, name);
    writeFileSync(at('a.yaml'), 'cluster: lab\n');
    copyFileSync(file.path, at('vcopy'));
    writeFileSync(at('zeros'), new Uint8Array(8192));
    for (const target of [at('a.yaml'), file.keyFile, at('vcopy'), at('zeros')]) {
      const before = readFileSync(target);
      const { status, stdout, stderr } = cli(file.path, ...key, '--pcap', target);
      expect([status, stdout, stderr]).toEqual([
        2,
        '',
        `stillbeat: inspect: --pcap ${target} exists and holds no packets: name another file, or remove it\n`,
      ]);
      expect(readFileSync(target).equals(before)).toBe(true);
    }
    writeFileSync(at('packets'), '');
    for (const more of [[], ['--type', 'heartbeat'], []]) {
      const { status } = cli(file.path, ...key, '--pcap', at('packets'), ...more);
      expect(status).toBe(0);
      const { stdout } = spawnSync(process.execPath, [CLI, 'inspect', file.path, ...key, '--pcap', '-', ...more]);
      expect(readFileSync(at('packets')).equals(stdout)).toBe(true);
    }
  });

  test('are never written over a device or the volume itself', () => {
    const before = readFileSync(file.path);
    for (const target of [file.path, '/dev/null']) {
      const { status, stderr } = cli(file.path, ...key, '--pcap', target);
      expect(status).toBe(2);
      expect(stderr).toMatch(/name another/);
    }
    expect(readFileSync(file.path).equals(before)).toBe(true);
  });
});

describe('filters', () => {
  test('by type', () => {
    expect(document('--type', 'heartbeat').batches.map(({ node }) => node)).toEqual(['b', 'b']);
    expect(document('--type', 'bulk').totals).toEqual({ batches: 0, records: 0, damagedPlaces: 0 });
  });

  test('by time, as ISO and relative', () => {
    const times = document().batches.map(({ time }) => time);
    const [, second = '', third = ''] = times;
    expect(document('--since', second, '--until', third).batches.map(({ time }) => time)).toEqual([second, third]);
    expect(document('--since', '-5m').batches).toEqual([]);
    expect(document('--until', '-5m').batches.length).toBe(4);
  });
});

describe('keys', () => {
  test('without the key: structure, and how to give it, in one line', () => {
    key = [];
    const text = inspect();
    expect(text).toContain('sealed, and no key is given: structure only; give --key-file FILE or --config FILE');
    expect(text).toMatch(/a #1 at 0, 4096 bytes, 3 records, sealed/);
    expect(text).not.toContain('10.77.0.1');
    const found = document();
    expect([found.key, found.batches[0]?.records, found.nodes[0]?.proven]).toEqual(['missing', null, false]);
    const pcap = cli(file.path, '--pcap', '-');
    expect([pcap.status, pcap.stdout]).toEqual([4, '']);
    expect(pcap.stderr).toContain('is sealed, its packets cannot be read: give its key');
  });

  test('with another key: the key differs, nothing is called damaged', () => {
    writeFileSync(file.keyFile, newKeyText(new Uint8Array(32).fill(1)));
    const { status, stdout, stderr } = cli(file.path, ...key);
    expect([status, stdout]).toEqual([4, '']);
    expect(stderr.trimEnd()).toBe(
      `stillbeat: inspect: the key differs: node a on volume ${file.path} uses another one; give the key file of this cluster`,
    );
  });

  test('from the settings', () => {
    const config = join(file.folder, 'a.yaml');
    writeFileSync(
      config,
      JSON.stringify({
        cluster: 'lab',
        node: 'a',
        keyFile: file.keyFile,
        vnic: { address: '10.77.0.1/24' },
        storage: { send: { volume: file.path } },
        primary: { mode: 'none' },
        peers: [{ node: 'b', address: '10.77.0.2', receive: { volume: file.path } }],
      }),
    );
    key = ['--config', config];
    expect(document().key).toBe('given');
  });
});

describe('damage', () => {
  test('in a batch, a head and a superblock copy is told, and the rest shown', () => {
    file.damage(file.offset(0, 0) + 300);
    file.damage(HEAD_TABLE_OFFSET + BLOCK_BYTES + 1000);
    file.damage(200);
    const found = document();
    expect(found.superblock['copies']).toEqual(['checksum', 'good']);
    expect(found.nodes.map(({ state }) => state)).toEqual(['running', 'damaged']);
    expect(found.batches.map(({ node, orderMark }) => `${node}${orderMark}`)).toEqual(['b1', 'a2', 'b2']);
    expect(found.damaged).toEqual([
      expect.objectContaining({
        node: 'a',
        position: 0,
        bytes: 4096,
        fault: 'damaged',
        reason: expect.stringContaining('proof') as unknown,
      }),
    ]);
    expect(inspect()).toMatch(/! a at 0: 4096 bytes damaged: the proof does not hold/);
  });

  test('a copy that was cut short', () => {
    const copy = join(file.folder, 'copy');
    writeFileSync(copy, readFileSync(file.path).subarray(0, file.offset(1, 0) + 4096));
    const { status, stdout } = cli(copy, ...key);
    expect(status).toBe(0);
    expect(stdout).toMatch(/! only \d+ of \d+ bytes are here/);
    expect(stdout).toContain('a #2');
  });

  test('names that a terminal would obey are cleaned', () => {
    const found = decodeSuperblock(new Uint8Array(readFileSync(file.path)).subarray(0, BLOCK_BYTES));
    if (!found.ok) throw new Error(found.fault);
    const hostile = { ...found.superblock, clusterName: 'lab\u001b]0;x\u0007', nodes: ['a\u001b[2J', 'b\n'] };
    const fd = openSync(file.path, 'r+');
    for (const copy of [0, 1]) writeSync(fd, encodeSuperblock(hostile, copy), 0, BLOCK_BYTES, copy * BLOCK_BYTES);
    closeSync(fd);
    const text = inspect();
    expect(text).toContain('node a\\x1b[2J (slot 0)');
    expect(withoutControls(text.replaceAll('\n', ''))).toBe(text.replaceAll('\n', ''));
  });
});

describe('refusals', () => {
  test.each<[string[], number, string]>([
    [[], 2, 'VOLUME is missing'],
    [['VOLUME', '--since', 'yesterday'], 2, '--since yesterday is no time such as'],
    [['VOLUME', '--type', 'beat'], 2, '--type beat is none of control, heartbeat, data, bulk'],
    [['VOLUME', '--json', '--pcap', '-'], 2, 'choose one'],
    [['VOLUME', '--nonsense'], 2, "Unknown option '--nonsense'"],
    [['/dev/null'], 3, 'neither a block device nor a file'],
    [['VOLUME.no'], 3, 'does not exist'],
    [['EMPTY'], 3, 'is not a stillbeat volume'],
    [['VOLUME', '--key-file', 'EMPTY.no'], 4, 'is missing'],
  ])('%j: status %i, one line', (args, status, words) => {
    writeFileSync(join(file.folder, 'empty'), new Uint8Array(65_536));
    const real = args.map((arg) => arg.replace('VOLUME', file.path).replace('EMPTY', join(file.folder, 'empty')));
    const result = cli(...real);
    expect([result.status, result.stdout]).toEqual([status, '']);
    expect(result.stderr).toContain(words);
    expect(result.stderr.trimEnd()).not.toContain('\n');
  });
});

test('nothing is written to what is inspected', () => {
  const copy = join(file.folder, 'copy');
  copyFileSync(file.path, copy);
  const before = statSync(file.path, { bigint: true }).mtimeNs;
  inspect();
  document();
  expect(readFileSync(copy).equals(readFileSync(file.path))).toBe(true);
  expect(statSync(file.path, { bigint: true }).mtimeNs).toBe(before);
});
