/**
 * `inspect` beside real agents that are busy, and of what they leave: pings, TCP and messages of programs by storage, followed
 * and found again by address, port and time; nothing lost, nothing called damaged, and the agents go on.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { dataStream, tcpTransfer } from '../../agent/demo/workload.ts';
import type { PacketView } from '../../agent/inspect/frame-view.ts';
import { Cluster, eventually } from '../support/cluster.ts';
import { CLI } from '../support/inspected.ts';
import { batchesOf, headOf } from '../support/slot-content.ts';

interface RecordDocument {
  readonly type: string;
  readonly target: string;
  readonly sequence: number;
  readonly text: string;
  readonly packet?: PacketView;
  readonly message?: { readonly content?: string; readonly channel: string };
}
interface BatchDocument {
  readonly kind: 'batch' | 'damaged' | 'overwritten';
  readonly node: string;
  readonly orderMark: number;
  readonly records: readonly RecordDocument[];
}

/** It waits on conditions beside other tests. */
const IN_TIME_MS = 60_000;
const DATA_PORT = 7000;
const TCP_PORT = 7001;
const HOSTILE = 'all well \u001b[2J\u202e';

let cluster: Cluster;
let key: string[];
let follower: ChildProcess;
let followed = '';
let firstMs = 0;
let lastMs = 0;
const folder = mkdtempSync(join(tmpdir(), 'stillbeat-inspect-'));

const cli = (volume: string, ...args: string[]) =>
  spawnSync(process.execPath, [CLI, 'inspect', volume, ...key, ...args], { encoding: 'utf8', maxBuffer: 1 << 28 });

/** Whole lines so far, as documents. */
const lines = (): BatchDocument[] =>
  followed
    .slice(0, followed.lastIndexOf('\n') + 1)
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line) as BatchDocument);

function records(volume: string, ...args: string[]): RecordDocument[] {
  const { status, stdout, stderr } = cli(volume, '--json', ...args);
  expect([status, stderr]).toEqual([0, '']);
  const { batches, damaged } = JSON.parse(stdout) as { batches: BatchDocument[]; damaged: unknown[] };
  expect(damaged).toEqual([]);
  return batches.flatMap((batch) => batch.records);
}

let sent = 0;
beforeAll(async () => {
  cluster = await Cluster.start({ tag: 'look', withPrimary: false, volumeBytes: 128 << 20 });
  const { lab } = cluster;
  key = ['--key-file', join(lab.directory, 'a.key')];
  follower = spawn(process.execPath, [CLI, 'inspect', lab.volume.path, ...key, '--follow', '--json', '--content'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  follower.stdout?.on('data', (chunk: Buffer) => (followed += chunk.toString()));
  await eventually('the follower follows', IN_TIME_MS, async () => {
    await cluster.ping('a', 'b');
    return lines().length > 0;
  });
  firstMs = Date.now();
  const stream = await dataStream(lab, { from: 'a', to: 'b', perSecond: 500 });
  const tcp = await tcpTransfer(lab, { from: 'b', to: 'a', bytesPerSecond: 4e6 });
  await lab.exec('a', ['ping', '-n', '-c', '5', '-i', '0.2', lab.vnicAddress('b')]);
  const hears = ['receive', '--channel', 'ops', '--count', '1', '--config', lab.settingsPath('b')];
  const heard = lab.stillbeat('b', hears, { timeoutMs: IN_TIME_MS });
  const said = ['send', 'b', '--channel', 'ops', '--config', lab.settingsPath('a'), HOSTILE];
  await eventually('the message is taken', IN_TIME_MS, async () => (await lab.stillbeat('a', said)).status === 0);
  expect((await heard).status).toBe(0);
  await eventually('enough went', IN_TIME_MS, () => stream.progress.received > 1000 && tcp.progress.bytes > 4e6);
  await tcp.stop();
  const result = await stream.stop();
  expect(result).toMatchObject({ lost: 0, corrupted: 0 });
  ({ sent } = result);
  lastMs = Date.now();
}, 180_000);
afterAll(async () => {
  follower?.kill('SIGKILL');
  await cluster?.close();
  rmSync(folder, { recursive: true });
});

test('--follow beside busy agents: every batch once and in order, every packet of the stream, nothing damaged', async () => {
  const { file } = cluster.lab.volume;
  const own = headOf(file, 'a', cluster.clusterKey);
  await eventually('the follower has caught up', IN_TIME_MS, () => {
    const last = lines().findLast(({ node }) => node === 'a');
    return last !== undefined && last.orderMark >= (own?.orderMark ?? Infinity);
  });
  const told = lines();
  expect(told.filter(({ kind }) => kind !== 'batch')).toEqual([]);
  for (const node of ['a', 'b']) {
    const marks = told.filter((batch) => batch.node === node).map(({ orderMark }) => orderMark);
    const written = batchesOf(file, node, cluster.clusterKey).map(({ header }) => header.orderMark);
    const from = written.indexOf(marks[0] ?? 0);
    expect(from).toBeGreaterThanOrEqual(0);
    expect(marks).toEqual(written.slice(from, from + marks.length));
  }
  const stream = told
    .flatMap((batch) => batch.records)
    .filter(({ packet }) => packet?.protocol === 'UDP' && packet.destinationPort === DATA_PORT);
  const sequences = new Set(stream.map(({ sequence }) => sequence));
  // Each packet is in a batch; what was sent again is there again, under its own number.
  expect(sequences.size).toBeGreaterThanOrEqual(sent);
});

test('live: pings, the TCP connection and the stream by address, port, node and time; a message as its writer wrote it', () => {
  const { path } = cluster.lab.volume;
  const pings = records(path, '--address', cluster.lab.vnicAddress('b'), '--node', 'a').filter(
    ({ packet }) => packet?.icmp?.name === 'echo request',
  );
  expect(pings.length).toBeGreaterThanOrEqual(5);
  expect(pings.map(({ packet }) => packet?.icmp?.sequence)).toEqual(expect.arrayContaining([1, 2, 3, 4, 5]));
  const tcp = records(path, '--port', String(TCP_PORT));
  expect(tcp.every(({ packet }) => packet?.protocol === 'TCP')).toBe(true);
  expect(tcp.some(({ packet }) => packet?.tcp?.flags.join() === 'SYN')).toBe(true);
  expect(records(path, '--port', '9')).toEqual([]);
  const [from, to] = [firstMs, lastMs].map((ms) => new Date(ms).toISOString());
  const within = records(path, '--since', from ?? '', '--until', to ?? '', '--port', String(DATA_PORT));
  expect(new Set(within.map(({ sequence }) => sequence)).size).toBeGreaterThanOrEqual(sent);
  const { stdout } = cli(path, '--content', '--node', 'a');
  const said = stdout.split('\n').find((line) => line.includes('channel ops'));
  expect(said).toMatch(/message \d+ of a program on channel ops 16 bytes "all well \\x1b\[2J\\u\{202e\}"$/);
  expect(['\u001b', '\u202e'].filter((one) => stdout.includes(one))).toEqual([]);
});

test('live --verify, while the agents go on: all of it holds, and nothing is written', async () => {
  const before = await cluster.status('a');
  const running = await dataStream(cluster.lab, { from: 'a', to: 'b', perSecond: 300 });
  const { status, stdout } = cli(cluster.lab.volume.path, '--verify');
  expect([status, stdout.split('\n').at(-2)]).toEqual([0, expect.stringMatching(/^good: \d+ batches; /)]);
  expect(await running.stop()).toMatchObject({ lost: 0 });
  const after = await cluster.status('a');
  expect([after.incarnation, after.storage.writeErrors]).toEqual([before.incarnation, before.storage.writeErrors]);
});

test('packets with their times and order stamps, an interface for each node: capinfos and tshark agree', () => {
  const capture = join(folder, 'all.pcapng');
  expect(cli(cluster.lab.volume.path, '--pcap', capture, '--port', String(DATA_PORT)).status).toBe(0);
  const told = spawnSync('capinfos', ['-M', capture], { encoding: 'utf8' }).stdout;
  expect(told).toMatch(/File timestamp precision: +nanoseconds/);
  expect(told).toMatch(/Number of interfaces in file: +2/);
  expect(told.match(/Name = (\w+)/g)).toEqual(['Name = a', 'Name = b']);
  const fields = ['frame.interface_name', 'udp.dstport', 'frame.comment'].flatMap((field) => ['-e', field]);
  const { stdout } = spawnSync('tshark', ['-n', '-r', capture, '-T', 'fields', ...fields], { encoding: 'utf8', maxBuffer: 1 << 27 }); // prettier-ignore
  const packets = stdout.trimEnd().split('\n');
  expect(packets.length).toBeGreaterThanOrEqual(sent);
  const line = /^a\t7000\torder mark \d+, time mark \S+Z, a to b, data \d+, position \d+$/;
  expect(packets.filter((packet) => !line.test(packet))).toEqual([]);
});

test('a dead cluster on another machine: the volume and the key, and nothing else', async () => {
  const { lab } = cluster;
  follower.kill('SIGINT');
  expect(await once(follower, 'exit')).toEqual([0, null]);
  for (const node of lab.nodes) await lab.stopAgent(node);
  const copy = join(folder, 'volume');
  const keyFile = join(folder, 'key');
  copyFileSync(lab.volume.file, copy);
  copyFileSync(join(lab.directory, 'a.key'), keyFile);
  await cluster.close();
  key = ['--key-file', keyFile];
  expect(records(copy, '--port', String(DATA_PORT)).length).toBeGreaterThanOrEqual(sent);
  expect(cli(copy, '--verify').status).toBe(0);
  expect(cli(copy).stdout).toMatch(/^node a \(slot 0\): stopped in order, beacon .* ago/m);
  key = [];
  const { status, stdout } = cli(copy);
  expect([status, stdout.includes('10.77.0.2')]).toEqual([0, false]);
});
