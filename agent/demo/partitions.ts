/** The partial partitions that the demo of three nodes and more goes through, and what each pair is to do in them. */
import type { Way } from './takeovers.ts';
import type { Lab } from './lab.ts';

export type PartitionKind = 'pair' | 'one-way' | 'isolated' | 'all';

export interface Partition {
  readonly kind: PartitionKind;
  readonly title: string;
  readonly cut: (lab: Lab) => Promise<void>;
  /** Whether the network between these two, in this direction of looking, is out for the agents. */
  readonly parts: (from: string, to: string) => boolean;
}

export function partitions(nodes: readonly string[]): Partition[] {
  const [a = '', b = '', c = ''] = nodes;
  const isPair = (x: string, y: string) => (from: string, to: string) =>
    (from === x && to === y) || (from === y && to === x);
  return [
    {
      kind: 'pair',
      title: `${a} and ${b} are cut from each other, silently`,
      cut: async (lab) => lab.cut('silent', { between: [a, b] }),
      parts: isPair(a, b),
    },
    {
      kind: 'one-way',
      title: `${b} still hears ${c}, but ${c} no longer hears ${b}`,
      cut: async (lab) => lab.cut('silent', { from: b, to: c }),
      parts: isPair(b, c),
    },
    {
      kind: 'isolated',
      title: `${a} loses its carrier`,
      cut: async (lab) => lab.cut('carrier', a),
      parts: (from, to) => from === a || to === a,
    },
    {
      kind: 'all',
      title: 'the switch drops everything',
      cut: async (lab) => lab.cut('silent'),
      parts: () => true,
    },
  ];
}

/** What a pair did in a partition. */
export interface PairInPartition {
  readonly kind: PartitionKind;
  readonly way: Way;
  readonly expected: Way;
  /** The longest silence of its heartbeats from the cut until shortly before the end of it; null when none was heard. */
  readonly blackoutMs: number | null;
}

export interface PairReport {
  readonly from: string;
  readonly to: string;
  readonly sent: number;
  readonly received: number;
  readonly lost: number;
  readonly duplicated: number;
  readonly partitions: readonly PairInPartition[];
}

/** What `demo --nodes N --json` prints for three nodes and more; its keys are promised. */
export interface PartitionsReport {
  readonly ok: boolean;
  readonly nodes: number;
  readonly heartbeats: {
    readonly sent: number;
    readonly received: number;
    readonly lost: number;
    readonly duplicated: number;
  };
  readonly pairs: readonly PairReport[];
}

/** Everything that was not as it should be; a run is good when there is nothing. */
export function partitionShortfalls(pairs: readonly PairReport[]): string[] {
  return pairs.flatMap(({ from, to, sent, lost, duplicated, partitions: seen }) => [
    ...(sent === 0 ? [`${from} → ${to}: no heartbeats were sent`] : []),
    ...(lost === 0 ? [] : [`${from} → ${to}: ${lost} heartbeats were lost`]),
    ...(duplicated === 0 ? [] : [`${from} → ${to}: ${duplicated} heartbeats came twice`]),
    ...seen
      .filter(({ way, expected }) => way !== expected)
      .map(({ kind, way, expected }) => `${from} → ${to}: took ${way}, not ${expected} (${kind})`),
  ]);
}

export function assessPartitions(nodes: number, pairs: readonly PairReport[]): PartitionsReport {
  const sum = (name: 'sent' | 'received' | 'lost' | 'duplicated'): number =>
    pairs.reduce((total, pair) => total + pair[name], 0);
  const heartbeats = {
    sent: sum('sent'),
    received: sum('received'),
    lost: sum('lost'),
    duplicated: sum('duplicated'),
  };
  return { ok: partitionShortfalls(pairs).length === 0, nodes, heartbeats, pairs };
}
