import { describe, expect, test } from 'vitest';
import { AgentError } from '../../../agent/base/errors.ts';
import { planDemo } from '../../../agent/demo/demo-run.ts';
import { readArguments } from '../../../agent/demo/demo.ts';
import { overlay } from '../../../agent/demo/lab-settings.ts';
import { tunAdvice } from '../../../agent/demo/requirements.ts';

function refusal(argv: string[]): AgentError {
  try {
    readArguments(argv);
  } catch (error) {
    if (error instanceof AgentError) return error;
  }
  throw new Error(`${argv.join(' ')} was accepted`);
}

describe('arguments', () => {
  test('all may be left out', () => {
    expect(readArguments([])).toEqual({ nodes: 2, copy: 'shared', seconds: 40, json: false });
    expect(readArguments(['--nodes', '2', '--seconds', '15', '--json'])).toEqual({
      nodes: 2,
      copy: 'shared',
      seconds: 15,
      json: true,
    });
    expect(readArguments(['--nodes', '8'])).toEqual({ nodes: 8, copy: 'shared', seconds: 40, json: false });
    expect(readArguments(['--copy', 'mirror'])).toEqual({ nodes: 2, copy: 'mirror', seconds: 40, json: false });
  });

  for (const argv of [
    ['--nodes', '1'],
    ['--nodes', '9'],
    ['--nodes', '2.5'],
    ['--nodes', 'x'],
    ['--seconds', '14'],
    ['--seconds', '3601'],
    ['--seconds', 'x'],
    ['--copy', 'tape'],
    ['--copy', 'mirror', '--nodes', '3'],
    ['--fast'],
    ['now'],
    ['--seconds'],
  ]) {
    test(`${argv.join(' ')} is refused in one line with status 2`, () => {
      const error = refusal(argv);
      expect(error.exitStatus).toBe(2);
      expect(error.message).toContain('usage: stillbeat demo');
      expect(error.message).not.toContain('\n');
    });
  }
});

test('the shortest demo leaves time for both cuts and both returns', () => {
  const { totalMs, healthyMs, cutMs, settleMs, overrides } = planDemo(15);
  expect(overrides).toEqual({ primary: { probe: { stableForMs: 1000 } } });
  // The second return may take twice as long as the first.
  expect(healthyMs + 2 * cutMs + 2 * settleMs + 3 * 1000).toBeLessThan(totalMs);
  expect(planDemo(40).overrides).toEqual({});
});

test('advice on TUN says what to do for each reason', () => {
  expect(tunAdvice('EACCES')).toContain('chmod 0666 /dev/net/tun');
  expect(tunAdvice('ENOENT')).toContain('modprobe tun');
  expect(tunAdvice('EIO')).toContain('EIO');
});

test('settings are laid over key by key; lists as a whole, null takes away', () => {
  const base = { a: { b: 1, c: [1, 2] }, d: 'x', e: { f: 1 } };
  expect(overlay(base, { a: { c: [3] }, d: null, e: 5, g: { h: 1 } })).toEqual({
    a: { b: 1, c: [3] },
    e: 5,
    g: { h: 1 },
  });
  expect(base).toEqual({ a: { b: 1, c: [1, 2] }, d: 'x', e: { f: 1 } });
});
