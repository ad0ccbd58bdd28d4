/**
 * [RING1] Three nodes with nothing but a volume between them, and one of them slow or stopped: the other two do not notice,
 * and it misses nothing that was not too old when it comes back.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { dataStream, heartbeatStream, tcpTransfer, type TcpTransfer } from '../../agent/demo/workload.ts';
import { Cluster, eventually, SOON_MS } from '../support/cluster.ts';

const OVERRIDES = {
  storage: { maxAgeMs: 10_000 },
  types: [{ type: 'bulk', protocol: 'tcp', port: 7001 }],
};
const AtoB = { from: 'a', to: 'b' } as const;
const AtoC = { from: 'a', to: 'c' } as const;
const BtoC = { from: 'b', to: 'c' } as const;
/** Shorter than it takes to count as dead: three beacons. */
const STOPPED_MS = 2000;

let cluster: Cluster;
beforeAll(async () => {
  cluster = await Cluster.start({ nodes: ['a', 'b', 'c'], withPrimary: false, tag: 'fair' }, OVERRIDES);
  await allOnStorage();
});
afterAll(async () => cluster?.close());

async function allOnStorage(): Promise<void> {
  for (const node of cluster.lab.nodes) {
    await eventually(`${node} has both peers on storage`, SOON_MS, async () => {
      const { peers } = await cluster.status(node);
      return peers.every(({ path, acceptedByPeer }) => path === 'storage' && acceptedByPeer);
    });
  }
}

/** Bytes a second over so long. */
async function rate(transfer: TcpTransfer, ms: number): Promise<number> {
  const [before, atMs] = [transfer.progress.bytes, performance.now()];
  await delay(ms);
  return (transfer.progress.bytes - before) / ((performance.now() - atMs) / 1000);
}

const overruns = async (node: string, peer: string): Promise<number> =>
  (await cluster.peer(node, peer)).storage.overruns;

const noLoss = { lost: 0, duplicated: 0, disordered: 0, corrupted: 0 };

test('[RING1] a stopped reader holds up nobody: bulk to another goes on, heartbeats too, and it gets all when it returns', async () => {
  const { lab } = cluster;
  const before = await overruns('c', 'a');
  const heartbeats = await Promise.all([
    heartbeatStream(lab, { ...AtoB, perSecond: 100 }),
    heartbeatStream(lab, { from: 'b', to: 'a', perSecond: 100 }),
  ]);
  const data = await Promise.all([
    dataStream(lab, { ...AtoB, perSecond: 100 }),
    dataStream(lab, { ...AtoC, perSecond: 100 }),
    dataStream(lab, { ...BtoC, perSecond: 50, port: 7002 }),
  ]);
  const transfer = await tcpTransfer(lab, AtoB);
  await eventually('the transfer runs', SOON_MS, () => transfer.progress.bytes > 50_000_000);
  const free = await rate(transfer, STOPPED_MS);
  process.kill(lab.agentPid('c'), 'SIGSTOP');
  const stopped = await rate(transfer, STOPPED_MS);
  process.kill(lab.agentPid('c'), 'SIGCONT');
  await eventually('c reads on', SOON_MS, async () => (await overruns('c', 'a')) > before);
  const result = await transfer.stop();
  // The ring holds a tenth of a second of this: one that waited for c would have stood still nearly all the time.
  expect(stopped / free).toBeGreaterThan(0.5);
  expect(result).toMatchObject({ survived: true, corrupted: 0 });
  for (const stream of heartbeats) expect(await stream.stop()).toMatchObject(noLoss);
  for (const stream of data) expect(await stream.stop()).toMatchObject(noLoss);
  await allOnStorage();
});

test('[RING1] a reader whose process is stopped again and again, for moments: overrun or not, its stream is whole', async () => {
  const { lab } = cluster;
  const data = await dataStream(lab, { ...AtoC, perSecond: 200 });
  const transfer = await tcpTransfer(lab, AtoB);
  await eventually('the transfer runs', SOON_MS, () => transfer.progress.bytes > 20_000_000);
  for (const ms of [50, 150, 300, 100, 400]) {
    process.kill(lab.agentPid('c'), 'SIGSTOP');
    await delay(ms);
    process.kill(lab.agentPid('c'), 'SIGCONT');
    await delay(100);
  }
  expect(await transfer.stop()).toMatchObject({ survived: true, corrupted: 0 });
  expect(await data.stop()).toMatchObject(noLoss);
});

test('two bulk streams to two peers share the ring', async () => {
  const { lab } = cluster;
  const transfers = await Promise.all([tcpTransfer(lab, { ...AtoB, seed: 1 }), tcpTransfer(lab, { ...AtoC, seed: 2 })]);
  await eventually('both run', SOON_MS, () => transfers.every(({ progress }) => progress.bytes > 20_000_000));
  const rates = await Promise.all(transfers.map(async (transfer) => rate(transfer, 2000)));
  for (const transfer of transfers) expect(await transfer.stop()).toMatchObject({ survived: true, corrupted: 0 });
  const sum = rates.reduce((total, each) => total + each, 0);
  expect(Math.min(...rates) / sum).toBeGreaterThan(0.25);
});
