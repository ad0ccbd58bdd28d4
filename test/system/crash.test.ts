/** SIGKILL in mid-write, again and again, and agents that stand still: what lies on the volume and what the peer is given. */
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Prng } from '../../agent/base/prng.ts';
import { CLI_PATH } from '../../agent/demo/lab.ts';
import { dataStream, heartbeatStream, type UdpStream } from '../../agent/demo/workload.ts';
import { HEAD_STATE } from '../../agent/volume/layout.ts';
import { Cluster, eventually, SOON_MS } from '../support/cluster.ts';
import { batchesOf, headOf } from '../support/slot-content.ts';

/** `npm run test:soak` does fifty. */
const KILLS = Number(process.env['CRASH_KILLS'] ?? 8);
const WRITING_MS_MAX = 150;
const MAX_AGE_MS = 2000;
const NOTED_LATE_MS = 500;
const FREEZE_MS = 5000;
const OVERRIDES = { storage: { maxAgeMs: MAX_AGE_MS }, primary: { probe: { stableForMs: 500 } } };
const AtoB = { from: 'a', to: 'b' } as const;

let cluster: Cluster;
beforeAll(async () => {
  cluster = await Cluster.start({ tag: 'crash' }, OVERRIDES);
});
afterAll(async () => cluster?.close());

/** a's agent as a process of its own, not waited for: it is to die soon. */
function startA(): ChildProcess {
  const { lab } = cluster;
  const argv = [process.execPath, CLI_PATH, 'run', '--config', lab.settingsPath('a')];
  return lab.spawn('a', argv, { stdio: ['ignore', 'ignore', 'pipe'] });
}

const headOfA = () => headOf(cluster.lab.volume.file, 'a', cluster.clusterKey);

/** What a's newest incarnation has left; null when its head block was torn, or is not yet written. */
function leftByA(pid: number) {
  const head = headOfA();
  if (!head || head.pid !== pid) return null;
  const batches = batchesOf(cluster.lab.volume.file, 'a', cluster.clusterKey, head.startPosition);
  return { head, marks: batches.map(({ header }) => header.orderMark) };
}

test(`${KILLS} times SIGKILL under load: order marks go on, nothing altered or twice comes out, the other node goes on`, async () => {
  const { lab } = cluster;
  const prng = new Prng(1);
  await lab.cut('silent');
  await cluster.untilPath('storage');
  await lab.stopAgent('a', 'SIGKILL');
  let agent = startA();
  await eventually('a writes again', SOON_MS, () => headOfA()?.pid === agent.pid);
  const streams: UdpStream[] = [
    await heartbeatStream(lab, { ...AtoB, perSecond: 500, bytes: 1200 }),
    await dataStream(lab, { ...AtoB, perSecond: 200, bytes: 1400 }),
  ];
  let highest = 0;
  let lowestNumber = 0;
  let withBatches = 0;
  for (let kill = 0; kill < KILLS; kill++) {
    const { pid = 0 } = agent;
    await eventually(`a writes its head, start ${kill}`, SOON_MS, () => {
      expect(agent.exitCode).toBeNull();
      return headOfA()?.pid === pid;
    });
    await delay(prng.below(WRITING_MS_MAX));
    const ended = once(agent, 'exit');
    agent.kill('SIGKILL');
    await ended;
    const left = leftByA(pid);
    // Its head may be torn by the kill; then the next start finds its way by the ring alone.
    if (left) {
      const { head, marks } = left;
      expect(head.state).toBe(HEAD_STATE.running);
      expect(head.incarnationNumber).toBeGreaterThan(lowestNumber);
      expect(marks).toEqual(marks.toSorted((x, y) => x - y));
      expect(marks[0] ?? highest + 1).toBeGreaterThan(highest);
      expect(marks.at(-1) ?? 0).toBeLessThanOrEqual(head.reservedMark);
      lowestNumber = head.incarnationNumber;
      highest = Math.max(highest, head.reservedMark, marks.at(-1) ?? 0);
      if (marks.length > 0) withBatches++;
    }
    agent = startA();
  }
  expect(withBatches).toBeGreaterThan(KILLS / 2);
  await cluster.untilPath('storage');
  expect(await cluster.ping('b', 'a', 5)).toBe(true);
  for (const stream of streams) {
    const result = await stream.stop();
    expect(result).toMatchObject({ duplicated: 0, disordered: 0, corrupted: 0 });
    expect(result.received).toBeGreaterThan(0);
    expect(result.latencyMs.max).toBeLessThan(MAX_AGE_MS + NOTED_LATE_MS);
  }
  const peer = await cluster.peer('b');
  expect(peer.storage).toMatchObject({ foreign: 0, damaged: 0, replayed: 0 });
  const ended = once(agent, 'exit');
  agent.kill('SIGTERM');
  expect(await ended).toEqual([0, null]);
  await lab.heal();
  await lab.startAgent('a', OVERRIDES);
  await cluster.untilPath('network');
}, 300_000);

test('SIGSTOP: a frozen agent looks dead; SIGCONT: nothing older than maxAgeMs comes out, and the link is good again', async () => {
  const { lab } = cluster;
  const streams = [
    await heartbeatStream(lab, { ...AtoB, perSecond: 100 }),
    await dataStream(lab, { ...AtoB, perSecond: 100 }),
    await heartbeatStream(lab, { from: 'b', to: 'a', perSecond: 100 }),
  ] as const;
  await eventually('the streams arrive', SOON_MS, () => streams.every(({ progress }) => progress.received > 20));
  process.kill(lab.agentPid('a'), 'SIGSTOP');
  const frozen = performance.now();
  try {
    await cluster.untilPath('isolated', SOON_MS, ['b']);
    const arrived = streams[0].progress.received + streams[1].progress.received;
    expect(await cluster.ping('b', 'a')).toBe(false);
    await delay(FREEZE_MS - (performance.now() - frozen));
    expect(streams[0].progress.received + streams[1].progress.received).toBe(arrived);
    expect(await cluster.peer('b')).toMatchObject({ path: 'isolated', storage: { fresh: false } });
  } finally {
    process.kill(lab.agentPid('a'), 'SIGCONT');
  }
  await cluster.untilPath('network');
  expect(await cluster.ping('b', 'a', 5)).toBe(true);
  const before = streams.map(({ progress }) => progress.received);
  await eventually('the streams arrive again', SOON_MS, () =>
    streams.every(({ progress }, i) => progress.received > (before[i] ?? 0) + 20),
  );
  for (const stream of streams) {
    const result = await stream.stop();
    expect(result).toMatchObject({ duplicated: 0, disordered: 0, corrupted: 0 });
    expect(result.latencyMs.max).toBeLessThan(MAX_AGE_MS + NOTED_LATE_MS);
    expect(result.lost).toBeGreaterThan(0);
  }
  const status = await cluster.status('a');
  expect(status.events.some(({ kind }) => kind === 'stood-still')).toBe(true);
  expect(status.vnic.stale).toBeGreaterThan(0);
});
