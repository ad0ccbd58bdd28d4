import { createServer } from 'node:net';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import {
  clockFinding,
  memoryFinding,
  nodeFinding,
  priorityFinding,
  processorFinding,
} from '../../../agent/check/host.ts';
import { reachFinding } from '../../../agent/check/peers.ts';
import { agentAnswers, hasCapability, readText, sizeText, within } from '../../../agent/check/system.ts';

describe('host findings', () => {
  test.each([
    ['20.18.9', 'error'],
    ['20.19.0', 'ok'],
    ['19.99.0', 'error'],
    ['22.0.0', 'ok'],
  ])('Node %s is %s', (version, level) => {
    expect(nodeFinding(version).level).toBe(level);
  });

  test('memory', () => {
    expect(memoryFinding(300 * 2 ** 20).level).toBe('ok');
    expect(memoryFinding(300 * 2 ** 20 - 1).level).toBe('warning');
  });

  test('processors', () => {
    expect(processorFinding(2).level).toBe('ok');
    expect(processorFinding(1).level).toBe('warning');
  });

  test('the clock is a note unless it is known not to be synchronised', () => {
    expect(clockFinding('yes')).toMatchObject({ level: 'ok', what: 'clock synchronised: yes' });
    expect(clockFinding('unknown')).toMatchObject({ level: 'ok', what: 'clock synchronised: unknown' });
    expect(clockFinding('no').level).toBe('warning');
  });

  test('a peer that does not answer is no more than a warning', () => {
    expect(reachFinding('b', '10.0.0.2', 0.3)).toMatchObject({
      level: 'ok',
      what: 'b (10.0.0.2) answers ping in 0.3 ms',
    });
    expect(reachFinding('b', '10.0.0.2', null).level).toBe('warning');
  });
});

describe('capabilities', () => {
  const status = (mask: string) =>
    `Name:\tnode\nCapPrm:\tffffffffffffffff\nCapEff:\t${mask}\nCapBnd:\tffffffffffffffff\n`;

  test.each([
    ['000001ffffffffff', 12, true],
    ['0000000000001000', 12, true],
    ['0000000000000fff', 12, false],
    ['0000000000000000', 12, false],
    ['0000010000000000', 40, true],
  ])('%s has %i: %s', (mask, capability, has) => {
    expect(hasCapability(status(mask), capability)).toBe(has);
  });

  test('of a status without them are none', () => {
    expect(hasCapability('', 12)).toBe(false);
  });

  test('priority needs CAP_SYS_NICE', () => {
    expect(priorityFinding(status('0000000000800000')).level).toBe('ok');
    expect(priorityFinding(status('00000000007fffff')).level).toBe('warning');
  });
});

describe('questions to the host', () => {
  test('a file that is not there is null', () => {
    expect(readText('/proc/self/none')).toBeNull();
    expect(readText('/proc/self/comm')).not.toMatch(/\n/);
  });

  test.each([
    [0, '0 bytes'],
    [512, '512 bytes'],
    [1536, '1.5 KiB'],
    [64 * 2 ** 20, '64 MiB'],
    [2 ** 50, '1 PiB'],
    [2 ** 61, '2048 PiB'],
  ])('%i is %s', (bytes, text) => {
    expect(sizeText(bytes)).toBe(text);
  });

  test('a socket answers while somebody listens', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'stillbeat-socket-'));
    const path = join(folder, 'a.sock');
    expect(await agentAnswers(path)).toBe(false);
    const server = createServer().listen(path);
    await new Promise((resolve) => server.once('listening', resolve));
    expect(await agentAnswers(path)).toBe(true);
    await new Promise((resolve) => server.close(resolve));
    rmSync(folder, { recursive: true });
  });

  test('what hangs is late', async () => {
    expect(await within(new Promise(() => {}), 1, 'late')).toBe('late');
    expect(await within(Promise.resolve('here'), 1000, 'late')).toBe('here');
  });
});
