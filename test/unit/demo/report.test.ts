import { describe, expect, test } from 'vitest';
import { type DemoReport, assess, reportLines, shortfalls, table } from '../../../agent/demo/report.ts';
import { columnsOf, paint } from '../../../agent/demo/terminal.ts';

const GOOD: Omit<DemoReport, 'ok'> = {
  nodes: 2,
  copy: 'shared',
  takeovers: [
    { kind: 'silent', from: 'network', to: 'storage', blackoutMs: 11 },
    { kind: 'return', from: 'storage', to: 'network', blackoutMs: 10.5 },
    { kind: 'carrier', from: 'network', to: 'storage', blackoutMs: 12 },
    { kind: 'return', from: 'storage', to: 'network', blackoutMs: 10 },
  ],
  heartbeats: { sent: 8000, received: 8000, lost: 0, duplicated: 0 },
  ping: { sent: 2000, received: 2000 },
  tcp: { bytes: 1e9, survived: true, corrupted: 0 },
  rttMs: { network: { p50: 0.2, p99: 0.6 }, storage: { p50: 0.33, p99: 1 } },
};
const plain = paint(false);

describe('the verdict', () => {
  test('a run in which nothing went wrong is good', () => {
    expect(shortfalls(GOOD)).toEqual([]);
    expect(assess(GOOD).ok).toBe(true);
    expect(reportLines(assess(GOOD), plain).join('\n')).toContain('✔');
  });

  const bad: [string, Partial<typeof GOOD>][] = [
    ['1 heartbeats were lost', { heartbeats: { sent: 8000, received: 7999, lost: 1, duplicated: 0 } }],
    ['2 heartbeats came twice', { heartbeats: { sent: 8000, received: 8000, lost: 0, duplicated: 2 } }],
    ['no heartbeats were sent', { heartbeats: { sent: 0, received: 0, lost: 0, duplicated: 0 } }],
    ['1 of 2000 pings were lost', { ping: { sent: 2000, received: 1999 } }],
    ['the TCP connection did not survive', { tcp: { bytes: 5, survived: false, corrupted: 0 } }],
    ['3 bytes of the TCP stream were altered', { tcp: { bytes: 5, survived: true, corrupted: 3 } }],
  ];
  for (const [said, change] of bad) {
    test(`"${said}" makes it fail`, () => {
      const report = assess({ ...GOOD, ...change });
      expect(report.ok).toBe(false);
      expect(shortfalls(report)).toEqual([said]);
      expect(reportLines(report, plain).join('\n')).toContain(`✘ ${said}`);
    });
  }

  test('a takeover too few or too many makes it fail', () => {
    for (const takeovers of [
      GOOD.takeovers.slice(0, 3),
      [...GOOD.takeovers, { kind: 'unexpected', from: 'network', to: 'storage', blackoutMs: 1 } as const],
    ]) {
      expect(shortfalls({ ...GOOD, takeovers })).toHaveLength(1);
    }
  });
});

test('the document has the promised keys', () => {
  expect(Object.keys(assess(GOOD))).toEqual(['ok', 'nodes', 'copy', 'takeovers', 'heartbeats', 'ping', 'tcp', 'rttMs']);
});

test('a table is as wide as its widest cells, in colour too, and figures stand to the right', () => {
  const rows = [
    ['one', '5 ms'],
    ['a longer one', '1,234 ms'],
  ];
  const lines = table(['what', 'how long'], rows, plain);
  expect(lines).toEqual([
    '  ╭──────────────┬──────────╮',
    '  │ what         │ how long │',
    '  ├──────────────┼──────────┤',
    '  │ one          │     5 ms │',
    '  │ a longer one │ 1,234 ms │',
    '  ╰──────────────┴──────────╯',
  ]);
  const coloured = table(['what', 'how long'], rows, paint(true));
  expect(coloured.map(columnsOf)).toEqual(lines.map(columnsOf));
});
