/**
 * `bench fairness`: three nodes with nothing but a volume between them. What one that stands still costs the others, how
 * two streams share the ring, whether limits hold, and what both directions at once carry.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { Lab } from '../demo/lab.ts';
import type { Overrides } from '../demo/lab-settings.ts';
import { PathWatcher } from '../demo/watch.ts';
import { heartbeatStream } from '../demo/workload.ts';
import { AgentError } from '../base/errors.ts';
import { atLeast, atMost, below, type Figure } from './figure.ts';
import { iperf } from './limits.ts';

const NODES = ['a', 'b', 'c'];
const SECONDS = 8;
const VOLUME_BYTES = 192 * 1024 * 1024;
const CHANGE_MS_MAX = 30_000;
const WARM_UP_SECONDS = 3;
/** Stopped for less than it takes to count as dead, then alive for a moment: as much trouble as one node can make. */
const STOPPED_MS = 2500;
const ALIVE_MS = 500;
const LIMIT_BYTES = 10_000_000;
const LIMIT_OPERATIONS = 200;

export async function fairness(say: (line: string) => void): Promise<Figure[]> {
  const lab = await Lab.create({ nodes: NODES, volumeBytes: VOLUME_BYTES, withPrimary: false, tag: 'bench' });
  try {
    await lab.format();
    await startAll(lab);
    await iperf(lab, lab.vnicAddress('b'), WARM_UP_SECONDS);
    return [...(await oneStopped(lab, say)), ...(await together(lab, say)), ...(await limited(lab, say))];
  } finally {
    await lab.close();
  }
}

async function startAll(lab: Lab, overrides: Overrides = {}): Promise<void> {
  await Promise.all(lab.nodes.map(async (node) => lab.stopAgent(node)));
  await Promise.all(lab.nodes.map(async (node) => lab.startAgent(node, node === 'a' ? overrides : {})));
  const watcher = await PathWatcher.start(lab);
  const isThere = await watcher.allOn('storage', CHANGE_MS_MAX);
  await watcher.stop();
  if (!isThere) throw new AgentError('failed', `the agents did not reach path storage in ${CHANGE_MS_MAX / 1000} s`);
  await delay(1000); // the watcher looks at each node's first peer only
}

async function oneStopped(lab: Lab, say: (line: string) => void): Promise<Figure[]> {
  const target = lab.vnicAddress('b');
  say('heartbeats from a to b: alone, then beside a full TCP stream while c is stopped again and again');
  const alone = await heartbeatP99(lab, async () => delay(SECONDS * 1000));
  const free = await iperf(lab, target, SECONDS);
  let stopped = 0;
  const loaded = await heartbeatP99(lab, async () => {
    stopped = await whileStopping(lab, 'c', async () => iperf(lab, target, SECONDS));
  });
  say(
    `  p99 alone ${alone.toFixed(2)} ms, loaded ${loaded.toFixed(2)} ms; TCP ${free.toFixed(2)} and ${stopped.toFixed(2)}`,
  );
  return [
    below('heartbeats, p99 added by one stopped peer and bulk to another', 'ms', loaded - alone, 5),
    atLeast('TCP through storage to one peer while another is stopped', 'Gbit/s', stopped, free, 0.8),
  ];
}

async function heartbeatP99(lab: Lab, during: () => Promise<unknown>): Promise<number> {
  const stream = await heartbeatStream(lab, { from: 'a', to: 'b', perSecond: 200 });
  await during();
  return (await stream.stop()).latencyMs.p99 ?? Infinity;
}

async function whileStopping<T>(lab: Lab, node: string, work: () => Promise<T>): Promise<T> {
  const pid = lab.agentPid(node);
  const done = new AbortController();
  const disturbing = (async () => {
    while (!done.signal.aborted) {
      process.kill(pid, 'SIGSTOP');
      await delay(STOPPED_MS, undefined, { signal: done.signal }).catch(() => {});
      process.kill(pid, 'SIGCONT');
      await delay(ALIVE_MS, undefined, { signal: done.signal }).catch(() => {});
    }
  })();
  try {
    return await work();
  } finally {
    done.abort();
    await disturbing;
  }
}

async function together(lab: Lab, say: (line: string) => void): Promise<Figure[]> {
  const [a, b, c] = NODES.map((node) => lab.vnicAddress(node)) as [string, string, string];
  await delay(2000);
  say('two TCP streams from a, to b and to c; then one from a to b, and one in each direction');
  const shares = await Promise.all([
    iperf(lab, b, SECONDS, { from: 'a', to: 'b' }),
    iperf(lab, c, SECONDS, { from: 'a', to: 'c' }),
  ]);
  const one = await iperf(lab, b, SECONDS);
  const both = await Promise.all([
    iperf(lab, b, SECONDS, { from: 'a', to: 'b' }),
    iperf(lab, a, SECONDS, { from: 'b', to: 'a' }),
  ]);
  say(
    `  to b and c: ${shares.map((each) => each.toFixed(2)).join(' and ')}; both ways: ${both.map((each) => each.toFixed(2)).join(' and ')}`,
  );
  const sum = (values: readonly number[]) => values.reduce((total, each) => total + each, 0);
  return [
    atLeast(
      'the smaller of two TCP streams to two peers, beside their sum',
      'Gbit/s',
      Math.min(...shares),
      sum(shares),
      0.4,
    ),
    atLeast('TCP through storage, both directions in sum, beside one', 'Gbit/s', sum(both), one, 0.8),
  ];
}

interface Written {
  readonly atMs: number;
  readonly writes: number;
  readonly bytesWritten: number;
}

async function written(lab: Lab): Promise<Written> {
  const { storage } = (await lab.status('a')) as unknown as { storage: { writes: number; bytesWritten: number } };
  return { atMs: performance.now(), writes: storage.writes, bytesWritten: storage.bytesWritten };
}

async function limited(lab: Lab, say: (line: string) => void): Promise<Figure[]> {
  const figures: Figure[] = [];
  for (const [key, limit] of [
    ['bytesPerSecond', LIMIT_BYTES],
    ['operationsPerSecond', LIMIT_OPERATIONS],
  ] as const) {
    await startAll(lab, { storage: { limits: { [key]: limit } } });
    const load = iperf(lab, lab.vnicAddress('b'), SECONDS);
    await delay(2000);
    const before = await written(lab);
    await delay(5000);
    const after = await written(lab);
    await load;
    const count = key === 'bytesPerSecond' ? after.bytesWritten - before.bytesWritten : after.writes - before.writes;
    const rate = (count * 1000) / (after.atMs - before.atMs);
    say(`  limit ${key} ${limit}: ${rate.toFixed(0)}`);
    figures.push(
      atMost(`written under a full TCP stream, limit ${key}`, 'a second', rate, limit, 1.05),
      atLeast(`the same, and not less`, 'a second', rate, limit, 0.95),
    );
  }
  return figures;
}
