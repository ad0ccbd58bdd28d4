import { describe, expect, test } from 'vitest';
import type { Path } from '../../../agent/base/paths.ts';
import { type PathChange, type Phase, roundTripsByWay, takeovers } from '../../../agent/demo/takeovers.ts';

const change = (atMs: number, node: string, from: Path, to: Path): PathChange => ({ atMs, node, from, to });
const PHASES: Phase[] = [
  { kind: 'healthy', startMs: 0 },
  { kind: 'silent', startMs: 1000 },
  { kind: 'return', startMs: 5000 },
  { kind: 'carrier', startMs: 9000 },
];

describe('takeovers', () => {
  test('both nodes over suspect and returning make one takeover each way', () => {
    const changes = [
      change(1100, 'a', 'network', 'suspect'),
      change(1160, 'a', 'suspect', 'storage'),
      change(1200, 'b', 'network', 'storage'),
      change(5100, 'a', 'storage', 'returning'),
      change(5100, 'b', 'storage', 'returning'),
      change(8100, 'b', 'returning', 'network'),
      change(8150, 'a', 'returning', 'network'),
    ];
    const silences = [
      [900, 99],
      [1150, 12],
      [1700, 14],
      [1701, 77],
      [5300, 20],
      [8500, 11],
    ] as const;
    expect(takeovers(changes, PHASES, silences)).toEqual([
      { kind: 'silent', from: 'network', to: 'storage', blackoutMs: 14 },
      { kind: 'return', from: 'storage', to: 'network', blackoutMs: 20 },
    ]);
  });

  test('a node that goes to and fro in one phase shows up as further takeovers', () => {
    const changes = [
      change(9010, 'a', 'network', 'storage'),
      change(9020, 'b', 'network', 'storage'),
      change(9500, 'a', 'storage', 'network'),
      change(9600, 'a', 'network', 'storage'),
    ];
    expect(takeovers(changes, PHASES, []).map(({ kind, from, to }) => `${kind} ${from} ${to}`)).toEqual([
      'carrier network storage',
      'carrier storage network',
      'carrier network storage',
    ]);
  });

  test('a suspicion that passes is no takeover; a change while all is healthy is an unexpected one', () => {
    const changes = [
      change(100, 'a', 'network', 'suspect'),
      change(150, 'a', 'suspect', 'network'),
      change(600, 'b', 'suspect', 'storage'),
    ];
    expect(takeovers(changes, PHASES, [[550, 33]])).toEqual([
      { kind: 'unexpected', from: 'network', to: 'storage', blackoutMs: 33 },
    ]);
  });

  test('isolation is told, and a silence nobody heard the end of is null', () => {
    expect(takeovers([change(1300, 'a', 'suspect', 'isolated')], PHASES, [])).toEqual([
      { kind: 'silent', from: 'network', to: 'isolated', blackoutMs: null },
    ]);
  });
});

describe('round trips by way', () => {
  const changes = [
    change(1000, 'a', 'network', 'storage'),
    change(1100, 'b', 'network', 'storage'),
    change(3000, 'a', 'storage', 'returning'),
    change(5000, 'a', 'returning', 'network'),
    change(5050, 'b', 'storage', 'network'),
  ];
  const ways = (...times: number[]) =>
    roundTripsByWay(
      times.map((atMs) => ({ atMs, rttMs: atMs / 1000 })),
      changes,
      ['a', 'b'],
    );

  test('count where both nodes are on the same settled path', () => {
    expect(ways(500, 2000, 6000)).toEqual({ network: [0.5, 6], storage: [2] });
  });

  test('count for neither way near a change, while returning, or under way across a change', () => {
    expect(ways(900, 1050, 1200, 4000)).toEqual({ network: [], storage: [] });
    expect(roundTripsByWay([{ atMs: 2000, rttMs: 950 }], changes, ['a', 'b'])).toEqual({ network: [], storage: [] });
  });

  test('without any change all are of the network', () => {
    expect(roundTripsByWay([{ atMs: 5, rttMs: 1 }], [], ['a', 'b'])).toEqual({ network: [1], storage: [] });
  });
});
