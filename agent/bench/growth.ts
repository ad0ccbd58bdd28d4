/** `bench growth`: what a node's operations on storage and its deliveries cost as the cluster grows. */
import { setTimeout as delay } from 'node:timers/promises';
import { heartbeatStream } from '../demo/workload.ts';
import { atMost, type Figure } from './figure.ts';
import { Crowd } from './crowd.ts';

const SIZES = [2, 8, 32, 64];
const IDLE_SECONDS = 8;
const SETTLE_MS = 6000;
const STREAM_SECONDS = 6;
const PER_SECOND = 200;

export async function growth(say: (line: string) => void): Promise<Figure[]> {
  const figures: Figure[] = [];
  for (const [withNetwork, where] of [
    [true, 'network healthy'],
    [false, 'storage the only way'],
  ] as const) {
    const costs: number[] = [];
    for (const nodes of SIZES) {
      const cost = await idleOperations(nodes, withNetwork);
      say(`  ${nodes} nodes, idle, ${where}: ${cost.toFixed(1)} storage operations a second`);
      costs.push(cost);
    }
    const [two = 0] = costs;
    costs.slice(1).forEach((cost, i) => {
      figures.push(atMost(`idle storage operations a second, ${SIZES[i + 1]} nodes, ${where}`, '', cost, two, 1.1));
    });
  }
  const two = await delivery(2, 0);
  const sixteen = await delivery(16, 3);
  say(`  delivery p50: 2 nodes ${two.toFixed(2)} ms, 16 nodes with 4 active peers ${sixteen.toFixed(2)} ms`);
  figures.push(atMost('delivery p50, 16 nodes of which 4 peers are active', 'ms', sixteen, two, 1.5));
  return figures;
}

/** Reads and writes a second of a node that nobody has anything to say to. */
export async function idleOperations(nodes: number, withNetwork: boolean, seconds = IDLE_SECONDS): Promise<number> {
  const crowd = await Crowd.open({ real: ['a'], nodes: Math.max(2, nodes), withNetwork });
  try {
    await delay(SETTLE_MS);
    const before = await operations(crowd);
    await delay(seconds * 1000);
    const after = await operations(crowd);
    return ((after.count - before.count) * 1000) / (after.atMs - before.atMs);
  } finally {
    await crowd.close();
  }
}

async function operations(crowd: Crowd): Promise<{ readonly count: number; readonly atMs: number }> {
  const status = (await crowd.lab.status('a')) as unknown as { storage: { reads: number; writes: number } };
  return { count: status.storage.reads + status.storage.writes, atMs: performance.now() };
}

/** One way, between two real nodes by storage, while so many others send as much. */
async function delivery(nodes: number, sending: number): Promise<number> {
  const crowd = await Crowd.open({ real: ['a', 'b'], nodes, withNetwork: false, sending, perSecond: PER_SECOND });
  try {
    await delay(SETTLE_MS);
    const stream = await heartbeatStream(crowd.lab, { from: 'a', to: 'b', perSecond: PER_SECOND });
    await delay(STREAM_SECONDS * 1000);
    return (await stream.stop()).latencyMs.p50 ?? Infinity;
  } finally {
    await crowd.close();
  }
}
