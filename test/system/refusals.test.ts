/** What `run` refuses before it touches the host: settings, volumes and keys that cannot be used. */
import { chmodSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { FORMAT_VERSION } from '../../agent/volume/layout.ts';
import { encodeSuperblock } from '../../agent/volume/superblock.ts';
import { Cluster } from '../support/cluster.ts';
import { nothingLeft, refused } from '../support/refusal.ts';
import { superblockOf } from '../support/slot-content.ts';

let cluster: Cluster;
beforeAll(async () => {
  cluster = await Cluster.prepare({ tag: 'refuse', volumeBytes: 16 << 20 });
});
afterAll(async () => cluster?.close());

const settings = (overrides: Record<string, unknown> = {}): string => cluster.lab.writeSettings('a', overrides);

/** The settings with one text changed into another, and the number of its line. */
function changed(from: string | RegExp, to: string): { path: string; line: number } {
  const path = settings();
  const before = readFileSync(path, 'utf8');
  const line = before.slice(0, before.search(from)).split('\n').length;
  writeFileSync(path, before.replace(from, to));
  return { path, line };
}

/** Another volume in place of the lab's, for sending and receiving. */
function withVolume(path: string, more: Record<string, unknown> = {}): string {
  const { lab } = cluster;
  const peer = { node: 'b', address: [lab.vnicAddress('b')], primary: `${lab.network.address('b')}:7788` };
  return settings({ storage: { send: { volume: path } }, peers: [peer], ...more });
}

/** A file of the lab to be a volume. */
function fileVolume(name: string, bytes: number): string {
  const path = join(cluster.lab.directory, name);
  rmSync(path, { force: true });
  writeFileSync(path, '');
  truncateSync(path, bytes);
  return path;
}

test('an unknown key: its line and name, and the key that was probably meant', async () => {
  const { path, line } = changed('vnic:', 'vnci:');
  const result = await cluster.lab.stillbeat('a', ['run', '--config', path]);
  expect(result.status).toBe(2);
  expect(result.stderr).toMatch(new RegExp(`^stillbeat: [^\\n]*a\\.yaml:${line}: vnci:[^\\n]*vnic`, 'm'));
  expect(result.stderr).not.toMatch(/\n\s+at /);
});

test('a wrong type: its line and key', async () => {
  const { path, line } = changed(/copy: shared/, 'copy: shared\n  beaconMs: soon');
  await refused(cluster.lab, path, 'usage', new RegExp(`a\\.yaml:${line + 1}: storage\\.beaconMs: .*"soon"`));
});

test('two peers with one address: named, with the line of the second', async () => {
  const path = settings({
    peers: [
      { node: 'b', address: '10.77.0.2', primary: '192.168.50.2:7788' },
      { node: 'c', address: '10.77.0.2', primary: '192.168.50.3:7788' },
    ],
  });
  await refused(cluster.lab, path, 'usage', /a\.yaml:\d+: peers\[1\]\.address.*10\.77\.0\.2/);
});

test('a peer whose address is outside the subnet', async () => {
  const path = settings({ peers: [{ node: 'b', address: '10.78.0.2', primary: '192.168.50.2:7788' }] });
  await refused(cluster.lab, path, 'usage', /a\.yaml:\d+: peers\[0\]\.address.*10\.78\.0\.2.*10\.77\.0/);
});

test('no settings file', async () => {
  await refused(cluster.lab, '/nowhere/a.yaml', 'usage', /settings file \/nowhere\/a\.yaml does not exist/);
});

test('a volume that does not exist', async () => {
  await refused(cluster.lab, withVolume('/dev/nothing-here'), 'volume', /\/dev\/nothing-here does not exist/);
});

test('a volume that is too small: empty, or smaller than it was formatted', async () => {
  await refused(cluster.lab, withVolume(fileVolume('small', 4096)), 'volume', /too small/);
  const cut = fileVolume('cut', 16 << 20);
  await cluster.lab.format(cut);
  truncateSync(cut, 12 << 20);
  await refused(cluster.lab, withVolume(cut), 'volume', /too small \(\d+ bytes, formatted with \d+\)/);
});

test('a volume that is not formatted', async () => {
  await refused(cluster.lab, withVolume(fileVolume('blank', 16 << 20)), 'volume', /not formatted: .*stillbeat format/);
});

test('a volume of another cluster', async () => {
  await refused(cluster.lab, settings({ cluster: 'other' }), 'volume', /belongs to cluster lab, not other/);
});

test('a volume of a newer format version', async () => {
  const path = fileVolume('newer', 16 << 20);
  await cluster.lab.format(path);
  const superblock = { ...superblockOf(path), version: FORMAT_VERSION + 0x1_0000 };
  const copies = Buffer.concat([0, 1].map((copy) => encodeSuperblock(superblock, copy)));
  writeFileSync(path, Buffer.concat([copies, readFileSync(path).subarray(copies.length)]));
  await refused(cluster.lab, withVolume(path), 'volume', /newer format .*upgrade stillbeat/);
});

test('a volume without a slot for this node', async () => {
  const path = fileVolume('others', 16 << 20);
  const format = await cluster.lab.stillbeat('a', ['format', path, '--cluster', 'lab', '--nodes', 'b,c']);
  expect(format.status).toBe(0);
  await refused(cluster.lab, withVolume(path), 'volume', /no slot for node a \(it has b, c\)/);
});

test('a wrong key: says that the key differs, and whose', async () => {
  const { lab } = cluster;
  await lab.startAgent('b');
  await lab.stopAgent('b');
  const keyFile = join(lab.directory, 'other.key');
  writeFileSync(keyFile, `${'ab'.repeat(32)}\n`, { mode: 0o600 });
  await refused(lab, settings({ keyFile }), 'key', /key differs: node b uses another key/);
  await refused(lab, settings({ keyFile: null, unauthenticated: true }), 'key', /key differs: node b/);
});

test('a key file that others can read, that is missing, that is too short', async () => {
  const { lab } = cluster;
  const path = settings();
  const key = join(lab.directory, 'a.key');
  chmodSync(key, 0o644);
  await refused(lab, path, 'key', /a\.key is readable by others \(mode 0644\): chmod 600/);
  chmodSync(key, 0o600);
  await refused(lab, settings({ keyFile: '/nowhere/key' }), 'key', /key file \/nowhere\/key is missing/);
  const short = join(lab.directory, 'short.key');
  writeFileSync(short, 'abcd\n', { mode: 0o600 });
  await refused(lab, settings({ keyFile: short }), 'key', /too short/);
});

test('nothing of all that is left on the host', async () => nothingLeft(cluster.lab));

test('bad usage of a command: status 2 and one line', async () => {
  for (const args of [['run'], ['run', '--nonsense'], ['status'], ['path', 'b'], ['nonsense']]) {
    const { status, stderr } = await cluster.lab.stillbeat('a', args);
    expect([status, stderr.trim().split('\n').length]).toEqual([2, 1]);
    expect(stderr).toMatch(/^stillbeat/);
  }
});
