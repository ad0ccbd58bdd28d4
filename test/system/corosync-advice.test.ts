/** What `status` says of the token of a corosync beside the agent; its file may be long enough, too short, missing, or unreadable. */
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Cluster, eventually, SOON_MS } from '../support/cluster.ts';
import { batchesOf, headOf } from '../support/slot-content.ts';

/** No storage of the tests is as slow as this. */
const TOO_LONG_MS = 2000;

let cluster: Cluster;
let conf = '';
const configure = (token: number): void => writeFileSync(conf, `totem {\n  version: 2\n  token: ${token}\n}\n`);

beforeAll(async () => {
  cluster = await Cluster.prepare({ tag: 'advice', volumeBytes: 16 << 20 });
  conf = join(cluster.lab.directory, 'corosync.conf');
  configure(500);
  await cluster.startAgents({ corosync: { conf } });
});
afterAll(async () => cluster?.close());

async function statusLine(): Promise<string> {
  const { stdout } = await cluster.lab.stillbeat('a', ['status', '--config', cluster.lab.settingsPath('a')]);
  return /^corosync .*$/m.exec(stdout)?.[0] ?? '';
}
const advice = async () =>
  ((await cluster.lab.status('a')) as unknown as { corosync: Record<string, unknown> }).corosync;

test('a token below the shortest that was tried: a warning, and what would fit', async () => {
  const known = await eventually('a latency is known', SOON_MS, async () => {
    const found = await advice();
    return found['oneWayMs'] !== null && found;
  });
  expect(known).toMatchObject({ nodes: 2, configuredTokenMs: 500, fits: false, problem: null });
  expect(known['oneWayMs']).toBeGreaterThan(0);
  expect(known['tokenMinMs']).toBeGreaterThanOrEqual(1000);
  expect(await statusLine()).toMatch(
    /^corosync +WARNING: token 500 ms is too short {2}\([\d.]+ ms one way at worst, 2/,
  );
});

test('a restart in an idle cluster: what lay in the ring is no latency, neither for a peer nor for the token', async () => {
  const { lab } = cluster;
  const { file } = lab.volume;
  await lab.cut('silent');
  await cluster.untilPath('storage');
  expect(await cluster.ping('a', 'b')).toBe(true);
  await lab.heal();
  await cluster.untilPath('network');
  // As old as the last batch is, so long was the latency that b told.
  await eventually('the last batch of a is old', 60_000, () => {
    const head = headOf(file, 'a', cluster.clusterKey);
    const last = batchesOf(file, 'a', cluster.clusterKey).at(-1);
    return head && last && head.monotonicUs - last.header.monotonicUs > 2 * TOO_LONG_MS * 1000;
  });
  await lab.stopAgent('b');
  await lab.startAgent('b', { corosync: { conf } });
  await cluster.untilPath('network');
  await eventually(
    'b has read what a left in its ring',
    SOON_MS,
    async () => (await cluster.peer('b')).storage.batches > 0,
  );
  expect((await cluster.peer('b')).storage.lagMs ?? 0).toBeLessThan(TOO_LONG_MS);
  const told = await eventually('advice', SOON_MS, async () => {
    const { corosync } = (await lab.status('b')) as unknown as { corosync: { oneWayMs: number | null } };
    return corosync.oneWayMs;
  });
  expect(told).toBeLessThan(TOO_LONG_MS);
});

test('a long token fits, and an edited file counts at once', async () => {
  configure(300_000);
  expect(await advice()).toMatchObject({ configuredTokenMs: 300_000, fits: true });
  expect(await statusLine()).toMatch(/^corosync +token 300000 ms fits {2}\(.* allows a token of \d+ ms or more\)$/);
});

test('without the file the latency alone is told', async () => {
  rmSync(conf);
  expect(await advice()).toMatchObject({ configuredTokenMs: null, fits: null, problem: null });
  expect(await statusLine()).toMatch(
    /^corosync +[\d.]+ ms one way at worst, 2 nodes: allows a token of \d+ ms or more$/,
  );
});

test('corosync.conf unreadable: one line in the log and in status, and the agent runs', async () => {
  mkdirSync(conf);
  const problem = `${conf} is no file: no advice on its token`;
  expect((await advice())['problem']).toBe(problem);
  expect(await statusLine()).toBe(`corosync   WARNING: ${problem}`);
  process.kill(cluster.lab.agentPid('a'), 'SIGHUP');
  await eventually('the log says so', SOON_MS, () => cluster.lab.agentLog('a').includes(problem));
  expect(cluster.lab.agentLog('a').split(problem)).toHaveLength(2);
  await cluster.untilPath('network');
  expect(cluster.lab.agentEnded('a')).toBeNull();
});
