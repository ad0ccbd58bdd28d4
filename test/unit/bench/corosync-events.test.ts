import { describe, expect, test } from 'vitest';
import { corosyncEvents } from '../../../agent/bench/corosync-events.ts';

const at = (clock: string): number => Date.parse(`2026-11-21T${clock}Z`);
const line = (module: string, text: string, clock = '01:03:29.438'): string =>
  `Nov 21 ${clock} [23] a corosync info    [${module.padEnd(6)}] ${text}\n`;

describe('events of a corosync log', () => {
  test.each([
    ['KNET', 'link: host: 3 link: 0 is down', { kind: 'link-down', link: '3/0' }],
    ['KNET', 'rx: host: 3 link: 1 is up', { kind: 'link-up', link: '3/1' }],
    ['TOTEM', 'Token has not been received in 1237 ms ', { kind: 'token-late' }],
    [
      'TOTEM',
      'A processor failed, forming new configuration: token timed out (1650ms), waiting 1980ms for consensus.',
      { kind: 'token-lost' },
    ],
    ['TOTEM', 'A new membership (2.d) was formed. Members left: 1 3', { kind: 'membership', count: 2 }],
    ['TOTEM', 'A new membership (2.d) was formed. Members joined: 1 3', { kind: 'membership', count: 0 }],
    ['TOTEM', 'A new membership (2.d) was formed. Members', { kind: 'reformed' }],
    ['QUORUM', 'Members[3]: 1 2 3', { kind: 'members', count: 3 }],
    ['TOTEM', 'Process pause detected for 812 ms, flushing membership messages.', { kind: 'stall' }],
    [
      'MAIN',
      'Corosync main process was not scheduled (@1795223033081) for 1237.3271 ms (threshold is 800.0000 ms). Consider token timeout increase.',
      { kind: 'stall' },
    ],
  ])('%s: %s', (module, text, seen) => {
    const trimmed = line(module, text);
    expect(corosyncEvents(trimmed, 2026)).toEqual([{ atMs: at('01:03:29.438'), text, ...seen }]);
  });

  test('other lines, and a line that is still being written, are passed over', () => {
    const log =
      line('KNET', 'host: host: 2 has no active links') +
      line('QUORUM', 'Sync members[1]: 1') +
      line('TOTEM', 'A new membership (1.5) was formed. Members left: 3', '01:03:30.001') +
      'Nov 21 01:03:31.0';
    expect(corosyncEvents(log, 2026).map(({ kind, atMs }) => [kind, atMs])).toEqual([
      ['membership', at('01:03:30.001')],
    ]);
  });
});
