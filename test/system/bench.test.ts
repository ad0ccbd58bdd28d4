import { expect, test } from 'vitest';
import { CLI_PATH } from '../../agent/demo/lab.ts';
import { run } from '../../agent/demo/shell.ts';

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
    'stillbeat: no benchmark speed: there are latency, throughput, failover, idle, fairness, growth, messages, bypass, corosync\n',
  );
});
