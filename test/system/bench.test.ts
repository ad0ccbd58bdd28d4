import { readdirSync } from 'node:fs';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { Figure } from '../../agent/bench/figure.ts';
import { history } from '../../agent/bench/history.ts';
import { inspect } from '../../agent/bench/inspect.ts';
import { page } from '../../agent/bench/page.ts';
import { CLI_PATH } from '../../agent/demo/lab.ts';
import { run } from '../../agent/demo/shell.ts';

const MIB = 1 << 20;
/** What benchmarks make in memory. A lab bears its owner's number. */
const OWN = new RegExp(`^stillbeat-(history-|lab-bench-${process.pid}-)`);
const made = (): string[] => readdirSync('/dev/shm').filter((name) => OWN.test(name));

let before: string[] = [];
beforeEach(() => (before = made()));
afterEach(() => expect(made()).toEqual(before));

/** Each is a figure with a verdict: how large it is is for a quiet machine to say. */
function measured(figures: readonly Figure[], names: readonly string[]): void {
  expect(figures.map(({ name }) => name)).toEqual(names);
  for (const { name, value, met, target } of figures) {
    expect([name, Number.isFinite(value), typeof met, target]).toEqual([name, true, 'boolean', expect.any(String)]);
  }
}

test('bench history, small: every figure, no state that differs, nothing left behind', async () => {
  const small = { volumeBytes: 16 * MIB, writes: 5000, historyBytes: 64 * MIB, servedBytes: 16 * MIB };
  const figures = await history(() => {}, { rounds: 1, seconds: 1, states: 20, restores: 2, ...small });
  measured(figures, [
    'recording a source without targets: 4 KiB random write, depth 32',
    'recording a source without targets: times that the recorder was let go of',
    'recording a mirror: 4 KiB random write, depth 32',
    'recording a mirror: times that the recorder was let go of',
    'serving a state amid 5000 writes: first read',
    'sequential read of a served state, beside a file by nbdkit',
    'states equal to a replay of the writes',
    'of these written back by history restore',
  ]);
  expect(figures.slice(-2).map(({ value, limit, met }) => [value, limit, met])).toEqual([
    [20, 20, true],
    [2, 2, true],
  ]);
});

test('bench inspect, small: every figure, nothing left behind', async () => {
  const figures = await inspect(() => {}, { rounds: 1, seconds: 1, volumeBytes: 64 * MIB });
  measured(figures, [
    'inspect --follow: TCP through storage at full speed',
    'inspect --follow: processor of the agents at 40 MB/s',
    'inspect --follow: heartbeats at 40 MB/s, p50',
    'inspect --json of TCP, beside dd',
    'inspect --json of UDP of 1,400 bytes, beside dd',
  ]);
  for (const { name, value, ratio } of figures) {
    expect([name, value > 0, (ratio ?? 0) > 0]).toEqual([name, true, true]);
  }
});

test('bench page, small: its figure, nothing left behind', async () => {
  const figures = await page(() => {}, { rounds: 1, seconds: 2, warmUpMs: 0, lingerMs: 0 });
  measured(figures, ['page: processor of an agent with 3 clients of its event stream']);
  expect(figures[0]?.target).toBe('<= 2 % of a core more');
});

test('bench --json prints one document: each figure with its limit, ratio, target and verdict', async () => {
  const { status, stdout, stderr } = await run([process.execPath, CLI_PATH, 'bench', 'idle', '--json'], {
    timeoutMs: 90_000,
  });
  expect(status, stderr).toBe(0);
  const document = JSON.parse(stdout) as { name: string; figures: Record<string, unknown>[] };
  expect(document.name).toBe('idle');
  expect(document.figures.map(({ name }) => name)).toEqual([
    'idle: processor',
    'idle: storage operations a second',
    'resident memory of an agent',
  ]);
  for (const figure of document.figures) {
    expect(Object.keys(figure)).toEqual(['name', 'value', 'unit', 'limit', 'ratio', 'target', 'met']);
    expect(figure['value']).toBeGreaterThan(0);
    expect(typeof figure['met']).toBe('boolean');
  }
});

test('bench: an unknown part is bad usage, one line', async () => {
  const { status, stderr } = await run([process.execPath, CLI_PATH, 'bench', 'speed']);
  expect(status).toBe(2);
  expect(stderr).toBe(
    'stillbeat: no benchmark speed: there are latency, throughput, failover, idle, fairness, growth, messages, bypass, corosync, nbd, mirror, history, inspect, page\n',
  );
});
