/**
 * `storage.limits` on the real program: what reaches the device, counted by the kernel, while an application sends as
 * fast as it can; and heartbeats beside it.
 */
import { readFileSync } from 'node:fs';
import { basename } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { heartbeatStream, tcpTransfer } from '../../agent/demo/workload.ts';
import { Cluster, eventually, SOON_MS } from '../support/cluster.ts';

const SECTOR_BYTES = 512;
const SECONDS = 5;
const MIB = 1024 * 1024;

let cluster: Cluster;
beforeAll(async () => {
  cluster = await Cluster.prepare({ withPrimary: false, tag: 'limits' });
});
afterAll(async () => cluster?.close());

interface Look {
  readonly atMs: number;
  /** The device's, all writers together. */
  readonly sectors: number;
  /** Of a, and of both agents, by their own counters. */
  readonly writes: number;
  readonly bytes: number;
  readonly bytesOfBoth: number;
}

async function look(): Promise<Look> {
  const [a, b] = await Promise.all([cluster.status('a'), cluster.status('b')]);
  const atMs = performance.now();
  const fields = readFileSync(`/sys/block/${basename(cluster.lab.volume.path)}/stat`, 'utf8')
    .trim()
    .split(/\s+/)
    .map(Number);
  const { writes, bytesWritten: bytes } = a.storage;
  return { atMs, sectors: fields[6] ?? 0, writes, bytes, bytesOfBoth: bytes + b.storage.bytesWritten };
}

test.each([
  { of: 'bytes', limits: { bytesPerSecond: 3 * MIB, operationsPerSecond: 0 } },
  { of: 'operations', limits: { bytesPerSecond: 0, operationsPerSecond: 60 } },
  { of: 'both', limits: { bytesPerSecond: 20 * MIB, operationsPerSecond: 150 } },
])('a limit of $of holds within 5 % on the device, is used, and heartbeats do not starve', async ({ limits }) => {
  const { lab } = cluster;
  // The peer's own few words are not limited, so that what the device counts beside ours is little.
  await Promise.all(lab.nodes.map(async (node) => lab.stopAgent(node)));
  await Promise.all(lab.nodes.map(async (node) => lab.startAgent(node, node === 'a' ? { storage: { limits } } : {})));
  await cluster.untilPath('storage');
  const heartbeats = await heartbeatStream(lab, { from: 'a', to: 'b', perSecond: 50 });
  const transfer = await tcpTransfer(lab, { from: 'a', to: 'b' });
  await eventually('the transfer runs', SOON_MS, () => transfer.progress.bytes > MIB);
  const before = await look();
  await delay(SECONDS * 1000);
  const after = await look();
  const seconds = (after.atMs - before.atMs) / 1000;
  const { bytesPerSecond, operationsPerSecond } = limits;
  const shares = [
    (after.bytes - before.bytes) / seconds / (bytesPerSecond || Infinity),
    (after.writes - before.writes) / seconds / (operationsPerSecond || Infinity),
  ];
  expect(Math.max(...shares)).toBeLessThan(1.05);
  expect(Math.max(...shares)).toBeGreaterThan(0.9);
  // The agents' counters are no fiction: the device has seen just these bytes, but for a write between two looks.
  const deviceBytes = (after.sectors - before.sectors) * SECTOR_BYTES;
  expect(Math.abs(deviceBytes - (after.bytesOfBoth - before.bytesOfBoth))).toBeLessThan(2 * MIB);
  const result = await heartbeats.stop();
  expect(result).toMatchObject({ lost: 0, duplicated: 0, disordered: 0 });
  expect(result.latencyMs.p50).toBeLessThan(100);
  expect((await transfer.stop()).corrupted).toBe(0);
});
