/**
 * Threads of the real agent that die or stand still in mid-work: noticed, reported, started again, and nothing of the
 * volume's order lost. They are made to by Node's own inspector, which SIGUSR1 opens; the program has no hook for it.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { EXIT } from '../../agent/base/errors.ts';
import { dataStream, heartbeatStream, tcpTransfer } from '../../agent/demo/workload.ts';
import { Cluster, eventually, SOON_MS } from '../support/cluster.ts';
import { type LogLine, logLines } from '../support/events-table.ts';
import { batchesOf } from '../support/slot-content.ts';

const IN_THREAD = fileURLToPath(new URL('fixtures/in-thread.mjs', import.meta.url));
/** A thread's start takes long on a busy machine; nothing here is to be lost for its age. */
const OVERRIDES = { storage: { maxAgeMs: 10_000 }, primary: { probe: { stableForMs: 500 } } };
const SCHED_RR = 2;
/** Node's --v8-pool-size. */
const ENGINE_HELPERS = 4;
const AtoB = { from: 'a', to: 'b' } as const;
const DIE = 'process.exit(9)';
const STAND_STILL = 'for (const end = Date.now() + 5000; Date.now() < end; );';
/** What was in the dead thread's hands: a batch that it had taken out of the buffer and not yet written. */
const HEARTBEATS_IN_HAND = 20;

let cluster: Cluster;
beforeAll(async () => {
  cluster = await Cluster.start({ tag: 'threads' }, OVERRIDES);
});
afterEach(async () => {
  await cluster.lab.heal();
  if (cluster.lab.agentEnded('a') !== null) await cluster.lab.startAgent('a', OVERRIDES);
  await cluster.untilPath('network');
});
afterAll(async () => cluster?.close());

async function inThread(node: string, thread: 'switch' | 'flush' | 'reader', expression: string): Promise<void> {
  const argv = [process.execPath, '--experimental-websocket', IN_THREAD, String(cluster.lab.agentPid(node))];
  const { status, stderr } = await cluster.lab.exec(node, [...argv, thread, expression]);
  expect([status, stderr]).toEqual([0, '']);
}

/** Lines that say why the agent of a ended; the inspector has lines of its own. */
const fatal = (): LogLine[] => {
  const lines = cluster.lab.agentLog('a').split('\n');
  expect(lines.filter((line) => line.startsWith('stillbeat:'))).toEqual([]);
  return logLines(lines.filter((line) => line.startsWith('{')).join('\n')).filter(({ message }) => message === 'fatal');
};

async function died(node: string, thread: string, times: number, sinceMs: number): Promise<void> {
  await eventually(`the ${thread} thread of ${node} died ${times} times`, SOON_MS, async () => {
    const events = await cluster.events(node, 'thread-died', sinceMs);
    return events.filter((event) => event['thread'] === thread).length >= times;
  });
}

/** Of each thread of an agent: its name, scheduling policy and priority in it (proc(5), fields 40 and 41). */
function scheduling(node: string): { readonly name: string; readonly policy: number; readonly priority: number }[] {
  const tasks = `/proc/${cluster.lab.agentPid(node)}/task`;
  return readdirSync(tasks).map((task) => {
    const stat = readFileSync(`${tasks}/${task}/stat`, 'utf8');
    const [name = ''] = /(?<=\().*(?=\))/.exec(stat) ?? [];
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return { name, priority: Number(fields[37]), policy: Number(fields[38]) };
  });
}

test('threads come before ordinary programs, and so do the engine’s helpers that they wait for, behind them', () => {
  const threads = scheduling('a');
  const ours = threads.filter(({ name }) => name.startsWith('sb-'));
  expect(ours.map(({ name }) => name).toSorted()).toEqual(['sb-flush', 'sb-reader', 'sb-switch']);
  expect(ours.map(({ policy, priority }) => [policy, priority])).toEqual(ours.map(() => [SCHED_RR, 2]));
  const helpers = threads.filter(({ policy, priority }) => policy === SCHED_RR && priority === 1);
  expect(helpers.length).toBeGreaterThanOrEqual(ENGINE_HELPERS);
});

test('the flush thread dies under load: started again, the volume’s order goes on, applications do not notice', async () => {
  const { lab } = cluster;
  await lab.cut('silent');
  await cluster.untilPath('storage');
  const before = await cluster.status('a');
  const from = Date.now();
  const heartbeats = await heartbeatStream(lab, { ...AtoB, perSecond: 200 });
  const data = await dataStream(lab, { ...AtoB, perSecond: 200 });
  // Little enough that the ring still holds all of it at the end.
  const transfer = await tcpTransfer(lab, { ...AtoB, bytesPerSecond: 5e5 });
  for (let death = 1; death <= 3; death++) {
    await inThread('a', 'flush', DIE);
    await died('a', 'flush', death, from);
  }
  const { received } = heartbeats.progress;
  await eventually('heartbeats go on', SOON_MS, () => heartbeats.progress.received > received + 50);
  expect(await transfer.stop()).toMatchObject({ survived: true, corrupted: 0 });
  expect(await data.stop()).toMatchObject({ lost: 0, duplicated: 0, disordered: 0, corrupted: 0 });
  const result = await heartbeats.stop();
  expect(result).toMatchObject({ duplicated: 0, disordered: 0, corrupted: 0 });
  expect(result.lost).toBeLessThanOrEqual(3 * HEARTBEATS_IN_HAND);
  expect((await cluster.status('a')).incarnation).toBe(before.incarnation);
  const marks = batchesOf(lab.volume.file, 'a', cluster.clusterKey).map(({ header }) => header.orderMark);
  expect(marks.length).toBeGreaterThan(100);
  expect(marks.every((mark, i) => i === 0 || mark > (marks[i - 1] ?? 0))).toBe(true);
  const { storage } = await cluster.peer('b');
  expect(storage).toMatchObject({ foreign: 0, damaged: 0, replayed: 0 });
});

test('the reader thread dies under load: started again, nothing twice, nothing out of order', async () => {
  const { lab } = cluster;
  await lab.cut('silent');
  await cluster.untilPath('storage');
  const from = Date.now();
  const heartbeats = await heartbeatStream(lab, { ...AtoB, perSecond: 200 });
  const transfer = await tcpTransfer(lab, { ...AtoB, bytesPerSecond: 5e6 });
  for (let death = 1; death <= 2; death++) {
    await inThread('b', 'reader', DIE);
    await died('b', 'reader', death, from);
  }
  const { received } = heartbeats.progress;
  await eventually('heartbeats go on', SOON_MS, () => heartbeats.progress.received > received + 50);
  expect(await transfer.stop()).toMatchObject({ survived: true, corrupted: 0 });
  expect(await heartbeats.stop()).toMatchObject({ lost: 0, duplicated: 0, disordered: 0, corrupted: 0 });
});

test('a thread that stands still is noticed and reported, and again when it moves; the network carries on meanwhile', async () => {
  const { lab } = cluster;
  const heartbeats = await heartbeatStream(lab, { ...AtoB, perSecond: 100 });
  for (const thread of ['flush', 'reader'] as const) {
    const from = Date.now();
    const told = async (kind: string) =>
      (await cluster.events('a', kind, from)).some((event) => event['thread'] === thread);
    await inThread('a', thread, STAND_STILL);
    await eventually(`${thread} is told to stand still`, SOON_MS, async () => told('thread-stalled'));
    await eventually(`${thread} is told to move`, SOON_MS, async () => told('thread-moves'));
  }
  expect(await heartbeats.stop()).toMatchObject({ lost: 0, duplicated: 0, disordered: 0 });
});

test('the switch thread dies: the program ends with its status, and a successor finds the interface with its address', async () => {
  const { lab } = cluster;
  await inThread('a', 'switch', DIE);
  await eventually('the program ends', SOON_MS, () => lab.agentEnded('a') !== null);
  expect(lab.agentEnded('a')).toBe(EXIT.died);
  expect(fatal()).toMatchObject([{ reason: expect.stringMatching(/^the switch thread died: /), status: EXIT.died }]);
  expect((await lab.exec('a', ['ip', '-brief', 'address', 'show', 'sb0'])).stdout).toContain(lab.vnicAddress('a'));
  await lab.startAgent('a', OVERRIDES);
  await cluster.untilPath('network');
  await eventually('b reaches a', SOON_MS, async () => cluster.ping('b', 'a'));
});

test('a thread that keeps dying ends the program', async () => {
  const { lab } = cluster;
  const from = Date.now();
  for (let death = 1; death <= 6 && lab.agentEnded('a') === null; death++) {
    await inThread('a', 'flush', DIE);
    if (death < 6) await died('a', 'flush', death, from);
  }
  await eventually('the program ends', SOON_MS, () => lab.agentEnded('a') !== null);
  expect(lab.agentEnded('a')).toBe(EXIT.died);
  expect(fatal()).toMatchObject([
    { reason: expect.stringMatching(/^the flush thread keeps dying /), status: EXIT.died },
  ]);
});
