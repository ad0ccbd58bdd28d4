import { describe, expect, test } from 'vitest';
import { assessPartitions, type PairReport, partitions, partitionShortfalls } from '../../../agent/demo/partitions.ts';
import { drawPartitions, partitionsReportLines, type PartitionsView } from '../../../agent/demo/partitions-draw.ts';
import { columnsOf, paint } from '../../../agent/demo/terminal.ts';

const plain = paint(false);
const NODES = ['a', 'b', 'c'];

const pair = (from: string, to: string, change: Partial<PairReport> = {}): PairReport => ({
  from,
  to,
  sent: 100,
  received: 100,
  lost: 0,
  duplicated: 0,
  partitions: partitions(NODES).map(({ kind, parts }) => {
    const way = parts(from, to) ? ('storage' as const) : ('network' as const);
    return { kind, way, expected: way, blackoutMs: 12.3 };
  }),
  ...change,
});
const PAIRS = NODES.flatMap((from) => NODES.filter((to) => to !== from).map((to) => pair(from, to)));

const view = (nodes: readonly string[]): PartitionsView => ({
  phase: 'a and b are cut from each other, silently',
  elapsedMs: 1234,
  totalMs: 40_000,
  nodes,
  path: (from, to) => (from + to === 'ab' || from + to === 'ba' ? 'storage' : 'network'),
  heartbeats: () => ({
    received: 10,
    missing: 0,
    duplicated: 0,
    disordered: 0,
    corrupted: 0,
    longestSilenceMs: 20,
    lastLatencyMs: 0.3,
  }),
  events: [],
});

test('[AG12] a cut in one direction parts the pair for both of its sides, and nobody else', () => {
  const oneWay = partitions(NODES).find(({ kind }) => kind === 'one-way');
  const parted = PAIRS.filter(({ from, to }) => oneWay?.parts(from, to)).map(({ from, to }) => from + to);
  expect(parted).toEqual(['bc', 'cb']);
});

describe('the account', () => {
  test('is good when every pair took the way that it should and lost nothing', () => {
    expect(assessPartitions(3, PAIRS)).toMatchObject({ ok: true, nodes: 3, heartbeats: { sent: 600, lost: 0 } });
  });

  test('names each pair that lost something, had it twice, or took another way', () => {
    const wrong = pair('a', 'b', {
      lost: 2,
      duplicated: 1,
      partitions: [{ kind: 'pair', way: 'isolated', expected: 'storage', blackoutMs: null }],
    });
    expect(partitionShortfalls([wrong])).toEqual([
      'a → b: 2 heartbeats were lost',
      'a → b: 1 heartbeats came twice',
      'a → b: took isolated, not storage (pair)',
    ]);
    expect(assessPartitions(3, [wrong]).ok).toBe(false);
  });
});

describe('the picture', () => {
  test('has words for three nodes, letters and their meaning for eight, and fits into 80 columns', () => {
    const three = drawPartitions(view(NODES), 80, plain);
    expect(three.join('\n')).toMatch(/a +· +● storage +● network/);
    const eight = drawPartitions(view('abcdefgh'.split('')), 80, plain);
    expect(eight.join('\n')).toMatch(/a +· +S +N +N/);
    expect(eight.join('\n')).toContain('S storage');
    for (const line of [...three, ...eight]) expect(columnsOf(line)).toBeLessThanOrEqual(80);
  });

  test('the report says for each pair its way and its silence, in 80 columns', () => {
    const lines = partitionsReportLines(assessPartitions(3, PAIRS), NODES, plain);
    expect(lines.join('\n')).toMatch(/a → b │ storage +12 │ network +12 │ storage +12 │ storage +12 │/);
    for (const line of lines) expect(columnsOf(line)).toBeLessThanOrEqual(80);
  });
});
