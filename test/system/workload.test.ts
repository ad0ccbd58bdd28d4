/** The lab's traffic and its accounts, over the plain network without agents: what is lost there has to be counted. */
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Lab } from '../../agent/demo/lab.ts';
import { dataStream, heartbeatStream, startPing, tcpTransfer } from '../../agent/demo/workload.ts';

let lab: Lab;
beforeAll(async () => {
  lab = await Lab.create({ nodes: ['a', 'b'], tag: 'work' });
  lab.vnicAddress = (node) => lab.network.address(node);
});
afterAll(async () => lab.close());

const CUT_MS = 400;
async function holeInTheNetwork(): Promise<void> {
  await delay(600);
  await lab.cut('silent');
  await delay(CUT_MS);
  await lab.heal();
  await delay(600);
}

describe('UDP streams', () => {
  for (const perSecond of [100, 1000]) {
    test(`${perSecond} a second keep their pace, and all arrive in order`, async () => {
      const stream = await heartbeatStream(lab, { from: 'a', to: 'b', perSecond });
      const startMs = performance.now();
      await delay(2000);
      const result = await stream.stop();
      const seconds = (performance.now() - startMs) / 1000;
      expect(result).toMatchObject({ lost: 0, duplicated: 0, disordered: 0, corrupted: 0, refused: 0 });
      expect(result.sent).toBeGreaterThan(0.9 * 2 * perSecond);
      expect(result.sent).toBeLessThan(1.1 * seconds * perSecond);
    });
  }

  test('what a hole takes is lost, and the hole is the longest silence; echoes are accounted for too', async () => {
    const stream = await dataStream(lab, { from: 'b', to: 'a', perSecond: 200, echo: true });
    await holeInTheNetwork();
    const result = await stream.stop();
    expect(result.lost).toBeGreaterThan((0.8 * CUT_MS * 200) / 1000);
    expect(result.received).toBe(result.sent - result.lost);
    expect(result.longestSilenceMs).toBeGreaterThan(0.9 * CUT_MS);
    expect(Math.max(...result.silences.map(([, longMs]) => longMs))).toBe(result.longestSilenceMs);
    // The hole may take the echo of a packet that it did not take.
    const withoutEcho = result.received - (result.echo?.received ?? 0);
    expect(withoutEcho).toBeGreaterThanOrEqual(0);
    expect(withoutEcho).toBeLessThanOrEqual(2);
    expect(result.echo?.latencyMs.p50).toBeGreaterThan(0);
  });
});

describe('TCP', () => {
  test('survives a hole with every byte right', async () => {
    const transfer = await tcpTransfer(lab, { from: 'a', to: 'b' });
    await holeInTheNetwork();
    const result = await transfer.stop();
    expect(result).toMatchObject({ survived: true, corrupted: 0, error: '' });
    expect(result.bytes).toBeGreaterThan(10e6);
    expect(result.longestSilenceMs).toBeGreaterThan(0.9 * CUT_MS);
  });

  test('keeps to its rate', async () => {
    const transfer = await tcpTransfer(lab, { from: 'a', to: 'b', bytesPerSecond: 10e6 });
    const startMs = performance.now();
    await delay(1500);
    const { bytes, survived } = await transfer.stop();
    const seconds = (performance.now() - startMs) / 1000;
    expect(survived).toBe(true);
    expect(bytes / seconds).toBeLessThan(10.5e6);
    expect(bytes / 1.5).toBeGreaterThan(8e6);
  });

  test('a connection that dies has not survived', async () => {
    const transfer = await tcpTransfer(lab, { from: 'a', to: 'b', bytesPerSecond: 1e6 });
    await delay(300);
    await lab.cut('silent');
    const result = await transfer.stop();
    await lab.heal();
    expect(result.survived).toBe(false);
    expect(result.corrupted).toBe(0);
  });
});

test('ping: each reply with its time, and a fair count of what was sent', async () => {
  const ping = await startPing(lab, { from: 'a', to: 'b', intervalSeconds: 0.005 });
  await holeInTheNetwork();
  const result = await ping.stop();
  expect(result.samples.length).toBe(result.received);
  expect(result.sent - result.received).toBeGreaterThan(20);
  const times = result.samples.map(({ atMs }) => atMs);
  const nowMs = Number(process.hrtime.bigint()) / 1e6;
  expect(nowMs - (times.at(-1) ?? 0)).toBeLessThan(2000);
  const longest = Math.max(...times.slice(1).map((atMs, index) => atMs - (times[index] ?? 0)));
  expect(longest).toBeGreaterThan(0.9 * CUT_MS);
});
