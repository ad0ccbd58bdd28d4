/** Rotation of the cluster key on the real program: three agents, packets all the while, one node down and its return. */
import { copyFileSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { CLI_PATH } from '../../agent/demo/lab.ts';
import { run } from '../../agent/demo/shell.ts';
import { parseHead, type Head } from '../../agent/volume/head.ts';
import { BLOCK_BYTES, HEAD_TABLE_OFFSET } from '../../agent/volume/layout.ts';
import { dataStream, heartbeatStream, type UdpStream } from '../../agent/demo/workload.ts';
import { Cluster, eventually, SOON_MS } from '../support/cluster.ts';
import { superblockOf } from '../support/slot-content.ts';

const OVERRIDES = { primary: { probe: { stableForMs: 500, stableForMaxMs: 500 } } };
const WAYS = [
  ['network', 'the network is healthy'],
  ['storage', 'the network is cut'],
];
const NODES = ['a', 'b', 'c'] as const;

let cluster: Cluster;

/** One volume for all, or one for each writer, which the others read. */
async function start(layout: string): Promise<void> {
  cluster = await Cluster.prepare({ tag: `keys${layout}`, nodes: NODES, volumeBytes: 16 << 20 });
  if (layout === 'separate') await useOwnVolumes();
  await cluster.startAgents(OVERRIDES);
  await allOn('network');
}

async function useOwnVolumes(): Promise<void> {
  const { lab } = cluster;
  const own: Record<string, string> = {};
  for (const node of NODES) {
    const { path } = await lab.addVolume(`from${node}`);
    await lab.format(path);
    own[node] = path;
  }
  for (const node of NODES) lab.useVolumes(node, { send: own[node] ?? '', receive: own });
}

afterEach(async () => cluster.lab.heal());

interface KeyStatus {
  readonly incarnation: string;
  readonly keys: readonly string[];
  readonly peers: readonly {
    readonly node: string;
    readonly path: string;
    readonly acceptedByPeer: boolean;
    readonly storage: { readonly key: string | null; readonly keyKnown: boolean; readonly fresh: boolean };
  }[];
  readonly events: readonly {
    readonly kind: string;
    readonly peer?: string;
    readonly key?: string;
    readonly mend?: string;
  }[];
}

const statusOf = async (node: string): Promise<KeyStatus> => (await cluster.lab.status(node)) as unknown as KeyStatus;
const fileOf = (node: string): string => `${cluster.lab.directory}/${node}.key`;

async function allOn(path: string, nodes: readonly string[] = NODES): Promise<void> {
  for (const node of nodes) {
    await eventually(`${node} has all peers on ${path}`, 60_000, async () => {
      const peers = (await statusOf(node)).peers.filter((peer) => nodes.includes(peer.node));
      return peers.every((peer) => peer.path === path && peer.acceptedByPeer && peer.storage.fresh);
    });
  }
}

/** A step of the rotation in a's file; answers the ids in order. */
async function step(name: string): Promise<string[]> {
  const { status, stdout, stderr } = await run([process.execPath, CLI_PATH, 'key', name, fileOf('a')]);
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
  return [...stdout.matchAll(/^([0-9a-f]{16}) {2}/gm)].map(([, id = '']) => id);
}

/** The operator copies a's file to the node and sends its agent SIGHUP. */
async function install(node: string, ids: readonly string[]): Promise<void> {
  if (node !== 'a') copyFileSync(fileOf('a'), fileOf(node));
  process.kill(cluster.lab.agentPid(node), 'SIGHUP');
  await eventually(
    `${node} has taken the keys over`,
    SOON_MS,
    async () => (await statusOf(node)).keys.join() === ids.join(),
  );
}

/** Every peer has read a head block of the node that is sealed with this key. */
async function seals(node: string, id: string | undefined, peers: readonly string[]): Promise<void> {
  for (const peer of peers.filter((other) => other !== node)) {
    await eventually(`${peer} sees ${node} seal with ${id}`, SOON_MS, async () => {
      const seen = (await statusOf(peer)).peers.find((other) => other.node === node);
      return seen?.storage.key === id && seen?.storage.keyKnown === true;
    });
  }
}

/** Heartbeats round the ring of nodes, by both ways at once, and data by the way of the moment. */
async function streams(nodes: readonly string[]): Promise<UdpStream[]> {
  const pairs = nodes.map((from, i) => ({ from, to: nodes[(i + 1) % nodes.length] ?? from }));
  const heartbeats = pairs.map(async (pair) => heartbeatStream(cluster.lab, { ...pair, perSecond: 50 }));
  return Promise.all([...heartbeats, dataStream(cluster.lab, { from: 'a', to: 'b', perSecond: 200 })]);
}

async function rotate(nodes: readonly string[]): Promise<void> {
  const added = await step('add');
  for (const node of nodes) await install(node, added);
  const used = await step('use');
  expect(used).toEqual([added[1], added[0]]);
  // One after another: meanwhile some seal with the new key and some with the old one.
  for (const node of nodes) {
    await install(node, used);
    await seals(node, used[0], nodes);
  }
}

async function drop(nodes: readonly string[]): Promise<void> {
  const left = await step('drop');
  expect(left).toHaveLength(1);
  for (const node of nodes) await install(node, left);
}

/** The node's head block as it lies on the volume, whatever it was sealed with. */
function headOf(node: string): Head {
  const { file } = cluster.lab.volume;
  const offset = HEAD_TABLE_OFFSET + superblockOf(file).nodes.indexOf(node) * BLOCK_BYTES;
  return parseHead(readFileSync(file).subarray(offset, offset + BLOCK_BYTES));
}

/** Leaves c with a file that has none of the others' keys any more: they have rotated and dropped without it. */
async function rotatedWithoutC(): Promise<void> {
  await allOn('network');
  await cluster.lab.stopAgent('c');
  await rotate(['a', 'b']);
  await drop(['a', 'b']);
}

describe.each(['shared', 'separate'])('%s volumes', (layout) => {
  beforeAll(async () => start(layout));
  afterAll(async () => cluster?.close());

  test.each(layout === 'shared' ? WAYS : WAYS.slice(1))(
    '[AUTH1] add, use on one node after another, drop, while %s carries packets (%s): nothing is lost, nobody begins anew',
    async (path) => {
      if (path === 'storage') await cluster.lab.cut('silent');
      await allOn(path);
      const before = await Promise.all(NODES.map(statusOf));
      const running = await streams(NODES);
      await rotate(NODES);
      await drop(NODES);
      for (const node of NODES) await seals(node, (await statusOf('a')).keys[0], NODES);
      const results = await Promise.all(running.map(async (stream) => stream.stop()));
      for (const result of results) {
        expect(result).toMatchObject({ lost: 0, duplicated: 0, corrupted: 0 });
        expect(result.sent).toBeGreaterThan(20);
      }
      const after = await Promise.all(NODES.map(statusOf));
      expect(after.map(({ incarnation }) => incarnation)).toEqual(before.map(({ incarnation }) => incarnation));
      expect(after[0]?.keys).not.toEqual(before[0]?.keys);
      for (const { peers } of after) expect(peers.map((peer) => peer.path)).toEqual([path, path]);
      for (const { events } of after) expect(events.filter(({ kind }) => kind === 'unknown-key')).toEqual([]);
    },
  );

  test('one node down while the others rotate: on its return it says which key it lacks, and with the file it is heard', async () => {
    const { lab } = cluster;
    await allOn('network');
    await lab.stopAgent('c');
    await rotate(['a', 'b']);
    const [id = ''] = (await statusOf('a')).keys;
    const stream = await heartbeatStream(lab, { from: 'a', to: 'b', perSecond: 100 });
    await lab.startAgent('c', OVERRIDES);
    const told = await eventually('c tells of the key', SOON_MS, async () =>
      (await statusOf('c')).events.find(({ kind }) => kind === 'unknown-key'),
    );
    await eventually('of both peers', SOON_MS, async () => {
      const events = (await statusOf('c')).events.filter(({ kind }) => kind === 'unknown-key');
      return ['a', 'b'].every((node) => events.some(({ peer }) => peer === node));
    });
    expect(told.mend ?? '').toMatch(
      /^peer [ab] uses key [0-9a-f]{16}, which this node's key file does not have: install the new key file/,
    );
    expect(lab.agentLog('c')).toContain(`uses key ${id}`);
    expect((await statusOf('c')).peers.map(({ storage }) => [storage.key, storage.keyKnown])).toEqual([
      [id, false],
      [id, false],
    ]);
    const check = async (node: string): Promise<string[]> =>
      (await lab.stillbeat(node, ['check', '--config', lab.settingsPath(node)])).stdout
        .split('\n')
        .filter((line) => line.includes(' peer.key '));
    expect(await check('c')).toEqual(
      ['a', 'b'].map((peer) =>
        expect.stringMatching(
          new RegExp(`^warning +peer\\.key +peer ${peer} wrote .* with key ${id}, .* -> install the newest`),
        ),
      ),
    );
    expect(await check('a')).toEqual([]);
    // The others still have its key, and say so.
    await eventually('a sees the key of c', SOON_MS, async () => {
      const seen = (await statusOf('a')).peers.find(({ node }) => node === 'c');
      return seen?.storage.keyKnown === true && seen.storage.key !== id;
    });
    await install('c', (await statusOf('a')).keys);
    await allOn('network');
    await eventually('c is told that it is well', SOON_MS, async () => {
      const { events } = await statusOf('c');
      return events.filter(({ kind }) => kind === 'known-key').length === 2;
    });
    for (const from of ['a', 'b']) expect(await cluster.ping(from, 'c')).toBe(true);
    await drop(NODES);
    for (const from of NODES) for (const to of NODES) if (from !== to) expect(await cluster.ping(from, to)).toBe(true);
    expect(await stream.stop()).toMatchObject({ lost: 0, duplicated: 0 });
  });

  if (layout === 'separate') return;
  test('[AUTH1] a node that was down until after the drop returns with its old file: the new one and SIGHUP bring it back', async () => {
    const { lab } = cluster;
    await rotatedWithoutC();
    await lab.startAgent('c', OVERRIDES);
    await eventually('c tells of both keys', SOON_MS, async () => {
      const events = (await statusOf('c')).events.filter(({ kind }) => kind === 'unknown-key');
      return ['a', 'b'].every((node) => events.some(({ peer }) => peer === node));
    });
    const { incarnation } = await statusOf('c');
    await install('c', (await statusOf('a')).keys);
    await allOn('network');
    expect((await statusOf('c')).incarnation).toBe(incarnation);
    for (const from of ['a', 'b']) expect(await cluster.ping(from, 'c')).toBe(true);
  });

  test('[AUTH1] or it gets the new file first: check finds nothing, and it starts, by storage too', async () => {
    const { lab } = cluster;
    await rotatedWithoutC();
    copyFileSync(fileOf('a'), fileOf('c'));
    const { stdout } = await lab.stillbeat('c', ['check', '--config', lab.settingsPath('c'), '--json']);
    const { findings } = JSON.parse(stdout) as { findings: readonly { name: string; level: string }[] };
    expect(findings.filter(({ name, level }) => name === 'volume.format' && level !== 'ok')).toEqual([]);
    const before = headOf('c');
    await lab.startAgent('c', OVERRIDES);
    await allOn('network');
    // What no key opens any more is not written over from the start: a reader would take it for a later lap.
    expect(headOf('c').startPosition).toBeGreaterThanOrEqual(before.position);
    expect(headOf('c').incarnationNumber).toBe(before.incarnationNumber + 1);
    await lab.cut('silent');
    await allOn('storage');
    for (const from of ['a', 'b']) expect(await cluster.ping(from, 'c')).toBe(true);
    for (const to of ['a', 'b']) expect(await cluster.ping('c', to)).toBe(true);
  });

  test('a file without the key that this node seals with is not taken over: the agent goes on with the old ones', async () => {
    const { lab } = cluster;
    const before = await statusOf('a');
    const content = readFileSync(fileOf('a'));
    rmSync(fileOf('a'));
    await step('new');
    expect(statSync(fileOf('a')).mode & 0o777).toBe(0o600);
    process.kill(lab.agentPid('a'), 'SIGHUP');
    await eventually('the refusal', SOON_MS, () =>
      /settings not taken over.*the cluster key differs: node a uses another key/.test(lab.agentLog('a')),
    );
    const after = await statusOf('a');
    expect([after.keys, after.incarnation]).toEqual([before.keys, before.incarnation]);
    writeFileSync(fileOf('a'), content);
  });
});
