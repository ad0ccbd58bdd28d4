/**
 * [AG12] A node that reads several volumes: one of them hangs or fails while the others go on. That is told by the volume's
 * name, costs the peers on the others nothing, and is over when the volume is good again. A volume for each writer; the way
 * of node a to what b writes is a disk that fails on command.
 */
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { heartbeatStream } from '../../agent/demo/workload.ts';
import type { ReceiveDocument } from '../../agent/status.ts';
import { Cluster, eventually, SOON_MS } from '../support/cluster.ts';
import { EIO, type Fault, FaultDisk } from '../support/fault-disk.ts';
import { pathsBut, untilPaths } from '../support/pairs.ts';

const NODES = ['a', 'b', 'c'] as const;
const LISTEN = '127.0.0.1:9478';
const OVERRIDES = {
  primary: { probe: { stableForMs: 300, stableForMaxMs: 300 } },
  metrics: { listen: LISTEN },
};
const SCRAPE = `fetch('http://${LISTEN}/metrics').then(async (answer) => console.log(await answer.text()))`;
const BY_STORAGE = ['a-b', 'a-c', 'b-a', 'b-c', 'c-a', 'c-b'].map((pair) => `${pair} storage`);

let cluster: Cluster;
/** Where a reads what b writes, and what c writes. */
let fromB: FaultDisk;
let fromC: string;

beforeAll(async () => {
  cluster = await Cluster.prepare({ nodes: NODES, tag: 'receive', volumeBytes: 20 << 20 });
  const { lab } = cluster;
  const [outA, outB, outC] = await Promise.all(NODES.map(async (node) => lab.addVolume(`from${node}`)));
  if (!outA || !outB || !outC) throw new Error('no volumes');
  for (const { path } of [outA, outB, outC]) await lab.format(path);
  fromB = await FaultDisk.over(lab, outB.file);
  fromC = outC.path;
  lab.useVolumes('a', { send: outA.path, receive: { b: fromB.path, c: fromC } });
  lab.useVolumes('b', { send: outB.path, receive: { a: outA.path, c: outC.path } });
  lab.useVolumes('c', { send: outC.path, receive: { a: outA.path, b: outB.path } });
  await Promise.all(NODES.map(async (node) => lab.startAgent(node, OVERRIDES)));
  await untilPaths(cluster, []);
});
afterEach(async () => {
  await fromB?.heal();
  await cluster?.lab.heal();
  await untilPaths(cluster, []);
});
afterAll(async () => {
  // Whoever waits in a read of it has to go on before the agents can end.
  await fromB?.heal();
  await Promise.all(NODES.map(async (node) => cluster?.lab.stopAgent(node)));
  await fromB?.close();
  await cluster?.close();
});

async function received(): Promise<{ b: ReceiveDocument; c: ReceiveDocument }> {
  const { receive } = (await cluster.status('a')).storage;
  const find = (path: string): ReceiveDocument => {
    const found = receive.find(({ volume }) => volume === path);
    if (!found) throw new Error(`a does not read ${path}`);
    return found;
  };
  return { b: find(fromB.path), c: find(fromC) };
}

/** Volumes in a's events of a kind. */
const told = async (kind: string, sinceMs: number): Promise<unknown[]> =>
  (await cluster.events('a', kind, sinceMs)).map(({ volume }) => volume);

/** The value for each volume of a's figure of this name. */
async function figure(name: string): Promise<Map<string, number>> {
  const { stdout } = await cluster.lab.exec('a', [process.execPath, '-e', SCRAPE]);
  const lines = stdout.matchAll(new RegExp(`^${name}\\{volume="([^"]+)"\\} (\\S+)$`, 'gm'));
  return new Map([...lines].map(([, volume = '', value]) => [volume, Number(value)]));
}

const FAULTS: readonly { name: string; fault: Fault; shown: RegExp; error: string | null }[] = [
  { name: 'hang', fault: 'hang', shown: /a read hangs for \d+(\.\d+)? ms/, error: null },
  { name: 'fail', fault: EIO, shown: /read error EIO/, error: 'EIO' },
];

describe.each(FAULTS)('[AG12] reads of one volume of two $name', ({ fault, shown, error }) => {
  test('while all go by storage: that one is named, its peer is cut off, the others lose nothing; and it recovers', async () => {
    const { lab } = cluster;
    await lab.cut('silent');
    await untilPaths(cluster, BY_STORAGE);
    const streams = [
      await heartbeatStream(lab, { from: 'c', to: 'a', perSecond: 100 }),
      await heartbeatStream(lab, { from: 'a', to: 'c', perSecond: 100, port: 5411 }),
    ];
    const sinceMs = Date.now();
    const before = await received();
    expect([before.b.peers, before.c.peers]).toEqual([['b'], ['c']]);
    await fromB.fault(fault, 'none');
    await eventually('a tells of it', SOON_MS, async () => (await told('read-error', sinceMs)).length > 0);
    await eventually('a has no way to b', SOON_MS, async () => (await cluster.peer('a', 'b')).path === 'isolated');
    if (fault === 'hang')
      await eventually('a’s reader is told', SOON_MS, async () => (await told('thread-stalled', sinceMs)).length > 0);

    const { b, c } = await received();
    expect(b).toMatchObject({ available: false, readError: error });
    expect(c).toMatchObject({ available: true, readError: null, readErrors: before.c.readErrors });
    expect(c.reads).toBeGreaterThan(before.c.reads);
    expect(b.readErrors > before.b.readErrors).toBe(error !== null);
    const text = await lab.stillbeat('a', ['status', '--config', lab.settingsPath('a')]);
    expect(text.stdout.split('\n').filter((line) => line.startsWith('receive'))).toEqual([
      expect.stringMatching(new RegExp(`${fromB.path}  NOT READ  ${shown.source}  peers b$`)),
    ]);
    expect(await figure('stillbeat_receive_available')).toEqual(
      new Map([
        [fromB.path, 0],
        [fromC, 1],
      ]),
    );

    // Nothing of the others: their paths, their reader, their packets.
    const [heard] = streams as [(typeof streams)[0]];
    const { received: soFar } = heard.progress;
    await eventually('c is heard on', SOON_MS, () => heard.progress.received > soFar + 100);
    for (const [from, to] of ['ac', 'ca', 'bc', 'cb']) expect(await cluster.ping(from ?? '', to ?? '', 5)).toBe(true);
    expect((await pathsBut(cluster, 'storage')).filter((path) => !/^(a-b|b-a) /.test(path))).toEqual([]);

    await fromB.heal();
    await eventually('it is told to be read again', SOON_MS, async () => (await told('read-good', sinceMs)).length > 0);
    await untilPaths(cluster, BY_STORAGE);
    await eventually('b is reached again', SOON_MS, async () => cluster.ping('a', 'b'));
    const after = await received();
    for (const volume of [after.b, after.c]) expect(volume).toMatchObject({ available: true, readError: null });
    for (const kind of ['read-error', 'read-good']) expect(await told(kind, sinceMs)).toEqual([fromB.path]);
    expect((await cluster.events('a', 'read-error', sinceMs))[0]).toMatchObject({
      errno: error,
      reason: error === null ? 'a read hangs' : 'a read failed',
    });
    if (fault === 'hang')
      await eventually(
        'the reader is told to move',
        SOON_MS,
        async () => (await told('thread-moves', sinceMs)).length > 0,
      );
    const stood = fault === 'hang' ? [fromB.path] : [];
    for (const kind of ['thread-stalled', 'thread-moves']) expect(await told(kind, sinceMs)).toEqual(stood);
    for (const stream of streams) {
      expect(await stream.stop()).toMatchObject({ lost: 0, duplicated: 0, disordered: 0, corrupted: 0 });
    }
  });

  test('while the network is well: no path changes, and it is told all the same', async () => {
    const sinceMs = Date.now();
    await fromB.fault(fault, 'none');
    await eventually('a tells of it', SOON_MS, async () => (await told('read-error', sinceMs)).length > 0);
    await eventually('b is stale there', SOON_MS, async () => !(await cluster.peer('a', 'b')).storage.fresh);
    expect((await cluster.peer('a', 'c')).storage.fresh).toBe(true);
    expect(await pathsBut(cluster)).toEqual([]);
    expect((await received()).c.available).toBe(true);
    await fromB.heal();
    await eventually('b is read again', SOON_MS, async () => (await cluster.peer('a', 'b')).storage.fresh);
    await eventually('that is told', SOON_MS, async () => (await told('read-good', sinceMs)).length > 0);
    expect(await told('read-error', sinceMs)).toEqual([fromB.path]);
  });
});
