/** Which packets go past the agent, and the words in which the kernel is told. */
import { describe, expect, test } from 'vitest';
import { tablesOf } from '../../../agent/bypass/names.ts';
import { ruleWords } from '../../../agent/bypass/rules.ts';
import { selectors } from '../../../agent/bypass/selectors.ts';
import { BULK, DATA, HEARTBEAT } from '../../../agent/base/packet-type.ts';
import type { TypeRule } from '../../../agent/settings/settings.ts';

const KNOWN = { protocol: 112, udpPorts: [[694, 694] as const, [5404, 5412] as const] };
const EXCLUDED = [
  { way: 'inside', protocol: 17, port: [694, 694] },
  { way: 'inside', protocol: 17, port: [5404, 5412] },
];
const of = (types: readonly TypeRule[], bypass: readonly ('bulk' | 'data')[] = ['bulk']) =>
  selectors({ types, primary: { bypass } }, KNOWN);

describe('which packets go past the agent', () => {
  test('bulk by its rules; without one nothing', () => {
    expect(of([])).toEqual([]);
    expect(of([{ type: BULK, protocol: 'tcp', port: [873, 873] }])).toEqual([
      { way: 'past', protocol: 6, port: [873, 873] },
    ]);
  });

  test('an earlier rule keeps its packets inside, a later one is not needed', () => {
    const ssh = { type: DATA, protocol: 'tcp', port: [22, 22] } as const;
    const tcp = { type: BULK, protocol: 'tcp' } as const;
    expect(of([ssh, tcp])).toEqual([
      { way: 'inside', protocol: 6, port: [22, 22] },
      { way: 'past', protocol: 6, port: null },
    ]);
    expect(of([tcp, ssh])).toEqual([{ way: 'past', protocol: 6, port: null }]);
  });

  test('what cluster software tells life by never does, whatever the rules say', () => {
    const udp = { type: BULK, protocol: 'udp', port: [5000, 6000] } as const;
    expect(of([udp])).toEqual([...EXCLUDED, { way: 'past', protocol: 17, port: [5000, 6000] }]);
    const all = of([{ type: HEARTBEAT, protocol: 'tcp', port: [9, 9] }], ['data']);
    expect(all).toEqual([
      { way: 'inside', protocol: 112, port: null },
      ...EXCLUDED,
      { way: 'inside', protocol: 6, port: [9, 9] },
      { way: 'past', protocol: null, port: null },
    ]);
  });

  test('a rule by length keeps its whole flow inside', () => {
    expect(of([{ type: BULK, protocol: 'tcp', minBytes: 9000 }])).toEqual([]);
    expect(of([{ type: HEARTBEAT, protocol: 'tcp', port: [7, 7], minBytes: 9 }], ['data'])[3]).toEqual({
      way: 'inside',
      protocol: 6,
      port: [7, 7],
    });
  });

  test('a port without a protocol is looked for where there are ports', () => {
    const found = of([{ type: BULK, port: [7, 8] }]).filter(({ way }) => way === 'past');
    expect(found.map(({ protocol }) => protocol)).toEqual([6, 17, 132, 33, 136]);
  });
});

describe('the words for the kernel', () => {
  const tables = { past: 100, inside: 101 };
  const four = { address: '10.77.0.1', prefix: 24, family: 4 } as const;
  const six = { address: 'fd77::1', prefix: 64, family: 6 } as const;

  test('a port on either end, one or a range; and the question for a neighbour', () => {
    const words = ruleWords(four, of([{ type: BULK, protocol: 'tcp', port: [7, 8] }]), tables, '192.168.50.1');
    expect(words).toEqual([
      'to 10.77.0.1/24 ipproto 6 dport 7-8 lookup 100 protocol 119',
      'to 10.77.0.1/24 ipproto 6 sport 7-8 lookup 100 protocol 119',
      'from 192.168.50.1 to 10.77.0.1/24 lookup 100 protocol 119',
    ]);
  });

  test('ICMP is another protocol in IPv6', () => {
    const icmp = of([{ type: BULK, protocol: 'icmp' }]);
    expect(ruleWords(four, icmp, tables, 'fd50::1')).toEqual(['to 10.77.0.1/24 ipproto 1 lookup 100 protocol 119']);
    expect(ruleWords(six, icmp, tables, '192.168.50.1')).toEqual(['to fd77::1/64 ipproto 58 lookup 100 protocol 119']);
  });

  test('tables follow from the name of the interface, and differ', () => {
    expect(tablesOf('sb0')).toEqual(tablesOf('sb0'));
    const numbers = ['sb0', 'sb1', 'eth0', 'sb10'].flatMap((name) => Object.values(tablesOf(name)) as number[]);
    expect(new Set(numbers).size).toBe(numbers.length);
    for (const number of numbers) expect(number).toBeGreaterThan(1000);
  });
});
