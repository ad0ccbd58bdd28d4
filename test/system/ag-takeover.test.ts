/** [AG5], [AG9], [AG11] on the real program: applications that know nothing of it, through cuts and returns. */
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { dataStream, heartbeatStream, startPing, tcpTransfer } from '../../agent/demo/workload.ts';
import { Cluster, eventually, type EventLine, SOON_MS } from '../support/cluster.ts';

const STABLE_MS = 1000;
/** What the watcher of the network may be late on a busy machine; never counts as early. */
const OVERRIDES = { primary: { probe: { stableForMs: STABLE_MS } } };
const ECHO_PORT = 2222;
const ECHO = fileURLToPath(new URL('fixtures/echo-app.mjs', import.meta.url));

let cluster: Cluster;
beforeAll(async () => {
  cluster = await Cluster.start({ tag: 'takeover' }, OVERRIDES);
});
afterEach(async () => {
  await cluster.lab.heal();
  await cluster.untilPath('network');
});
afterAll(async () => cluster?.close());

/** `meanwhile` happens while the network is cut. */
async function throughACutAndBack(meanwhile: () => Promise<unknown>): Promise<void> {
  await delay(500);
  await cluster.lab.cut('silent');
  await cluster.untilPath('storage');
  await meanwhile();
  await cluster.lab.heal();
  await cluster.untilPath('network');
  await delay(500);
}

/** Until each figure has grown by its step. */
async function allGrow(figures: () => readonly (readonly [value: number, step: number])[]): Promise<void> {
  const before = figures();
  await eventually('everything goes on', SOON_MS, () =>
    figures().every(([value, step], i) => value >= (before[i]?.[0] ?? 0) + step),
  );
}

/** The interactive program between the nodes; `stop` ends it and answers what it saw. */
async function interactive(): Promise<
  () => Promise<{ asked: number; answered: number; wrong: number; error: string }>
> {
  const { lab } = cluster;
  const address = lab.vnicAddress('b');
  const argv = (role: string) => [process.execPath, ECHO, role, address, String(ECHO_PORT)];
  const server = lab.spawn('b', argv('serve'), { stdio: ['ignore', 'pipe', 'inherit'] });
  await once(server.stdout!, 'data');
  const client = lab.spawn('a', argv('ask'), { stdio: ['pipe', 'pipe', 'inherit'] });
  let said = '';
  client.stdout!.on('data', (piece: Buffer) => (said += piece.toString()));
  return async () => {
    client.stdin!.end();
    await once(client, 'close');
    server.kill('SIGKILL');
    return JSON.parse(said) as Awaited<ReturnType<Awaited<ReturnType<typeof interactive>>>>;
  };
}

test('[AG5] unmodified applications go on through a cut and a return: TCP, UDP and ping, IPv4 and IPv6, one interface', async () => {
  const { lab } = cluster;
  const ends = { from: 'a', to: 'b' } as const;
  const back = { from: 'b', to: 'a' } as const;
  const stopInteractive = await interactive();
  const tcp = [
    await tcpTransfer(lab, { ...ends, bytesPerSecond: 2e6 }),
    await tcpTransfer(lab, { ...back, family: 6, bytesPerSecond: 2e6, seed: 2 }),
  ];
  const udp = [
    await dataStream(lab, { ...ends, perSecond: 50 }),
    await dataStream(lab, { ...back, family: 6, perSecond: 50 }),
    await heartbeatStream(lab, { ...ends, family: 6, perSecond: 100 }),
    await heartbeatStream(lab, { ...back, perSecond: 100 }),
  ];
  const pings = [
    await startPing(lab, { ...ends, intervalSeconds: 0.05 }),
    await startPing(lab, { ...back, family: 6, intervalSeconds: 0.05 }),
  ];
  await throughACutAndBack(async () =>
    allGrow(() => [
      ...tcp.map(({ progress }) => [progress.bytes, 1e6] as const),
      ...udp.map(({ progress }) => [progress.received, 25] as const),
      ...pings.map(({ samples }) => [samples.length, 10] as const),
    ]),
  );
  for (const ping of pings) {
    const { sent, received } = await ping.stop();
    expect(sent).toBeGreaterThan(20);
    expect(received).toBe(sent);
  }
  for (const stream of udp) expect(await stream.stop()).toMatchObject({ lost: 0, duplicated: 0, corrupted: 0 });
  for (const transfer of tcp) {
    const result = await transfer.stop();
    expect(result).toMatchObject({ survived: true, corrupted: 0, error: '' });
    expect(result.bytes).toBeGreaterThan(2e6);
  }
  const seen = await stopInteractive();
  expect(seen).toMatchObject({ wrong: 0, error: '', answered: seen.asked });
  expect(seen.answered).toBeGreaterThan(20);
});

test('[AG5] iperf3, as the distribution ships it, carries its stream through a cut and a return', async () => {
  const { lab } = cluster;
  const server = lab.spawn('b', ['iperf3', '-s', '-1', '-B', lab.vnicAddress('b')], { stdio: 'ignore' });
  await eventually('the server listens', SOON_MS, async () => {
    return (await lab.exec('b', ['ss', '-Hltn', 'sport', '=', ':5201'])).stdout.includes(':5201');
  });
  const argv = ['iperf3', '-c', lab.vnicAddress('b'), '-t', '8', '-b', '80M', '-J'];
  const client = lab.exec('a', argv, { timeoutMs: 60_000 });
  // Long enough to hold two whole intervals of its report.
  await throughACutAndBack(async () => delay(3000));
  const { status, stdout } = await client;
  if (server.exitCode === null) server.kill('SIGKILL');
  expect(status).toBe(0);
  const report = JSON.parse(stdout) as {
    error?: string;
    intervals: { sum: { bytes: number } }[];
    end: { sum_received: { bytes: number } };
  };
  expect(report.error).toBeUndefined();
  expect(Math.min(...report.intervals.map(({ sum }) => sum.bytes))).toBeGreaterThan(0);
  expect(report.end.sum_received.bytes).toBeGreaterThan(10e6);
});

test('[AG9] what one side writes is read at the other within the set time, and the lag is shown', async () => {
  const { lab } = cluster;
  await lab.cut('silent');
  await cluster.untilPath('storage');
  const before = await cluster.peer('b');
  const stream = await heartbeatStream(lab, { from: 'a', to: 'b', perSecond: 200 });
  await delay(1500);
  const after = await cluster.peer('b');
  const { latencyMs, lost } = await stream.stop();
  expect(lost).toBe(0);
  expect(latencyMs.p50).toBeLessThan(100);
  expect(after.storage.batches).toBeGreaterThan(before.storage.batches + 50);
  expect(after.storage.fresh).toBe(true);
  expect(after.storage.lagMs).toBeGreaterThanOrEqual(0);
  expect(after.storage.lagMs).toBeLessThan(1000);
  expect(after.tooOld).toBe(before.tooOld);
});

test('[AG9] a miss is counted, told as an event and visible in the status, also while the network is healthy', async () => {
  const { lab } = cluster;
  // a counts on ten beacons a second, and b writes one.
  await lab.stopAgent('a');
  await lab.startAgent('a', { ...OVERRIDES, storage: { beaconMs: 100 } });
  const missed = await eventually('a misses what b writes', 60_000, async () => {
    const peer = await cluster.peer('a');
    return peer.path === 'network' && !peer.storage.fresh && peer.storage.misses > 0 && peer;
  });
  expect(missed.network.reachable).toBe(true);
  const events = await cluster.events('a', 'storage-silent');
  expect(events.at(-1)).toMatchObject({ peer: 'b' });
  expect(Number(events.at(-1)?.['silentMs'])).toBeGreaterThan(290);
  const text = await lab.stillbeat('a', ['status', '--config', lab.settingsPath('a')]);
  expect(text.status).toBe(0);
  await eventually(
    'a hears b again by storage',
    SOON_MS,
    async () => (await cluster.events('a', 'storage-heard')).length > 0,
  );
  await lab.stopAgent('a');
  await lab.startAgent('a', OVERRIDES);
  await cluster.untilPath('network');
});

const ms = (event: EventLine): number => Date.parse(event.at);

/** a's changes of path since `from`, as words, with the time since the one before. */
async function changes(from: number): Promise<{ to: string; afterMs: number }[]> {
  const events = (await cluster.events('a', 'path')).filter((event) => ms(event) >= from);
  return events.map((event, i) => ({ to: String(event['to']), afterMs: ms(event) - ms(events[i - 1] ?? event) }));
}

test('[AG11] traffic returns to the network once it has been good for stableFor, not before', async () => {
  const { lab } = cluster;
  await cluster.restartAgents(OVERRIDES);
  const from = Date.now();
  await lab.cut('silent');
  await cluster.untilPath('storage');
  expect((await cluster.peer('a')).holdMs).toBe(STABLE_MS);
  await lab.heal();
  await cluster.untilPath('network');
  const seen = await changes(from);
  const returned = seen.filter(({ to }) => to === 'network').at(-1);
  expect(seen.map(({ to }) => to)).toContain('returning');
  expect(seen.at(-1)?.to).toBe('network');
  expect(returned?.afterMs).toBeGreaterThanOrEqual(STABLE_MS - 20);
});

test('[AG11] a flapping network is not trusted: no return while it flaps, and each failure soon after one doubles the wait', async () => {
  const { lab } = cluster;
  await cluster.restartAgents(OVERRIDES);
  const from = Date.now();
  // Up for less than stableFor each time: never a return.
  for (let flap = 0; flap < 4; flap++) {
    await lab.cut('silent');
    await cluster.untilPath('storage', SOON_MS, ['a']);
    await lab.heal();
    await cluster.untilPath('returning', SOON_MS, ['a']);
  }
  await lab.cut('silent');
  await cluster.untilPath('storage');
  expect((await changes(from)).filter(({ to }) => to === 'network' || to === 'suspect').length).toBeLessThanOrEqual(1);
  expect((await cluster.peer('a')).holdMs).toBe(STABLE_MS);
  // A return, and a failure right after it: the next one takes twice as long, and the one after that four times.
  for (const factor of [2, 4]) {
    await lab.heal();
    await cluster.untilPath('network');
    await lab.cut('silent');
    await cluster.untilPath('storage');
    expect((await cluster.peer('a')).holdMs).toBe(factor * STABLE_MS);
  }
  await lab.heal();
  await cluster.untilPath('network');
  expect((await changes(from)).at(-1)?.afterMs).toBeGreaterThanOrEqual(4 * STABLE_MS - 20);
  await cluster.restartAgents(OVERRIDES);
});
