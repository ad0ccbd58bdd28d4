/** The demo as a user starts it: it comes to its good end, and an interrupted one leaves nothing behind. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { expect, test } from 'vitest';
import { CLI_PATH } from '../../agent/demo/lab.ts';
import { COPY_WORDS, LAB_COPIES } from '../../agent/demo/lab-copies.ts';
import type { PartitionsReport } from '../../agent/demo/partitions.ts';
import { run } from '../../agent/demo/shell.ts';
import { eventually } from '../support/cluster.ts';

/** The shortest that there is. */
const SECONDS = '15';
/** The others: `npm run test:soak`. Copies of all kinds are in copy.test.ts. */
const COPIES = process.env['DEMO_COPIES'] === 'all' ? LAB_COPIES : (['mirror'] as const);
/** The demo takes longer than it is told where agents need long to start or to return. */
const DEMO_MS_MAX = 200_000;

interface Report {
  readonly ok: boolean;
  readonly nodes: number;
  readonly takeovers: readonly { readonly kind: string; readonly from: string; readonly to: string }[];
  readonly heartbeats: Readonly<Record<'sent' | 'received' | 'lost' | 'duplicated', number>>;
  readonly ping: Readonly<Record<'sent' | 'received', number>>;
  readonly tcp: { readonly bytes: number; readonly survived: boolean; readonly corrupted: number };
}

/** Everything of labs on this host that a process with this pid owns. */
async function tracesOf(pid: number): Promise<string[]> {
  const netns = (await run(['ip', 'netns', 'list'])).stdout.split('\n');
  const loops = (await run(['losetup', '--all'])).stdout.split('\n');
  const files = ['/dev/shm', tmpdir()].flatMap((directory) => readdirSync(directory));
  return [...netns, ...loops, ...files].filter((line) => new RegExp(`stillbeat.*\\b${pid}-[0-9a-f]{6}`).test(line));
}

const startDemo = (...args: string[]): ChildProcess =>
  spawn(process.execPath, [CLI_PATH, 'demo', ...args], { stdio: ['ignore', 'pipe', 'pipe'] });

/** A demo that comes to its end by itself: its status and report. What it says on stderr is told when it has none. */
async function demoOf(...args: string[]): Promise<{ pid: number; status: number; report: unknown }> {
  const demo = startDemo(...args, '--json');
  let [stdout, stderr] = ['', ''];
  demo.stdout!.on('data', (piece: Buffer) => (stdout += piece.toString()));
  demo.stderr!.on('data', (piece: Buffer) => (stderr += piece.toString()));
  const [status] = (await once(demo, 'close', { signal: AbortSignal.timeout(DEMO_MS_MAX) })) as [number];
  expect(stdout, stderr).toMatch(/^\{.*\}\n$/);
  return { pid: demo.pid!, status, report: JSON.parse(stdout) };
}

test('demo --seconds 15 --json: two cuts and two returns, no heartbeat lost or twice, TCP survives; then nothing is left', async () => {
  const { pid, status, report: printed } = await demoOf('--seconds', SECONDS);
  const report = printed as Report;
  expect(report).toMatchObject({
    ok: true,
    nodes: 2,
    heartbeats: { lost: 0, duplicated: 0 },
    tcp: { survived: true, corrupted: 0 },
  });
  expect(report.takeovers.map(({ kind }) => kind)).toEqual(['silent', 'return', 'carrier', 'return']);
  expect(report.heartbeats.received).toBe(report.heartbeats.sent);
  expect(report.heartbeats.sent).toBeGreaterThan(1000);
  expect(report.ping.received).toBe(report.ping.sent);
  expect(report.tcp.bytes).toBeGreaterThan(1e6);
  expect(status).toBe(0);
  expect(await tracesOf(pid)).toEqual([]);
});

for (const copy of COPIES) {
  test(`[AG7] demo --copy ${copy} --json: ${COPY_WORDS[copy]}, the same account; then nothing is left`, async () => {
    const { pid, status, report } = await demoOf('--copy', copy, '--seconds', SECONDS);
    expect(report).toMatchObject({
      ok: true,
      copy,
      heartbeats: { lost: 0, duplicated: 0 },
      tcp: { survived: true, corrupted: 0 },
    });
    expect(status).toBe(0);
    expect(await tracesOf(pid)).toEqual([]);
  });
}

test('[AG12] demo --nodes 3 --json: partial partitions, every pair takes the way that it has, none loses a heartbeat', async () => {
  const { pid, status, report: printed } = await demoOf('--nodes', '3', '--seconds', SECONDS);
  const report = printed as PartitionsReport;
  expect(report).toMatchObject({ ok: true, nodes: 3, heartbeats: { lost: 0, duplicated: 0 } });
  expect(report.pairs.map(({ from, to }) => from + to)).toEqual(['ab', 'ac', 'ba', 'bc', 'ca', 'cb']);
  const ways = (from: string, to: string): string[] =>
    report.pairs.find((pair) => pair.from === from && pair.to === to)?.partitions.map(({ way }) => way) ?? [];
  expect(ways('a', 'b')).toEqual(['storage', 'network', 'storage', 'storage']);
  expect(ways('a', 'c')).toEqual(['network', 'network', 'storage', 'storage']);
  expect(ways('c', 'b')).toEqual(['network', 'storage', 'network', 'storage']);
  for (const { sent, received } of report.pairs) expect([sent > 100, received]).toEqual([true, sent]);
  expect(status).toBe(0);
  expect(await tracesOf(pid)).toEqual([]);
});

for (const [signal, status] of [
  ['SIGINT', 130],
  ['SIGTERM', 143],
] as const) {
  test(`${signal} in the middle ends the demo, and leaves no namespace, device, file or process`, async () => {
    const demo = startDemo('--seconds', SECONDS);
    let said = '';
    demo.stdout!.on('data', (piece: Buffer) => (said += piece.toString()));
    demo.stderr!.on('data', (piece: Buffer) => (said += piece.toString()));
    const namespaces: string[] = [];
    await eventually('its agents are up and carry traffic', DEMO_MS_MAX, async () => {
      if (demo.exitCode !== null) throw new Error(`the demo ended: ${said}`);
      namespaces.push(...(await tracesOf(demo.pid!)));
      return said.includes('cut silently');
    });
    expect(namespaces.length).toBeGreaterThan(0);
    demo.kill(signal);
    const [code] = (await once(demo, 'close', { signal: AbortSignal.timeout(DEMO_MS_MAX) })) as [number];
    expect(code).toBe(status);
    expect(await tracesOf(demo.pid!)).toEqual([]);
  });
}
