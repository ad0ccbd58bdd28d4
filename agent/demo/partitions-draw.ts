/** The picture and the report of the demo of three nodes and more: which way each pair takes. Pure. */
import type { Path } from '../base/paths.ts';
import { type DemoEvent, eventLine, PATH_TONE } from './draw.ts';
import { count, milliseconds } from './figures.ts';
import { type PairInPartition, type PartitionKind, partitionShortfalls, type PartitionsReport } from './partitions.ts';
import { table } from './report.ts';
import type { StreamCounts } from './stream-packet.ts';
import { type Paint, padEnd, padStart } from './terminal.ts';

const WIDTH_MAX = 100;
const LABEL_COLUMNS = 10;
/** The longest name of a path with its mark. */
const WORD_COLUMNS = 13;
const EVENT_LINES = 10;
/** The longest name of a way. */
const WAY_COLUMNS = 8;

export interface PartitionsView {
  readonly phase: string;
  readonly elapsedMs: number;
  readonly totalMs: number;
  readonly nodes: readonly string[];
  readonly path: (from: string, to: string) => Path;
  readonly heartbeats: (from: string, to: string) => StreamCounts | undefined;
  readonly events: readonly DemoEvent[];
}

export function drawPartitions(view: PartitionsView, columns: number, colour: Paint): string[] {
  const width = Math.min(columns, WIDTH_MAX) - 4;
  const clock = `${(view.elapsedMs / 1000).toFixed(1)} s of ${(view.totalMs / 1000).toFixed(0)}`;
  const title = `${colour.bold('stillbeat demo')}   ${view.phase}`;
  const shown = view.events.slice(-EVENT_LINES).map((event) => eventLine(event, colour));
  return [
    '',
    padEnd(title, width - clock.length) + colour.dim(clock),
    colour.dim('─'.repeat(width)),
    '',
    ...matrix(view, width, colour),
    '',
    heartbeatLine(view, colour),
    '',
    ...shown,
    ...Array.from({ length: EVENT_LINES - shown.length }, () => ''),
  ].map((line) => `  ${line}`);
}

/** A row for each node: the path that it takes to each other one. Letters where words do not fit. */
function matrix({ nodes, path }: PartitionsView, width: number, colour: Paint): string[] {
  const cell = Math.min(WORD_COLUMNS, Math.floor((width - LABEL_COLUMNS) / nodes.length));
  const hasWords = cell === WORD_COLUMNS;
  const text = (name: Path): string => (hasWords ? `● ${name}` : name.charAt(0).toUpperCase());
  const row = (label: string, cells: readonly string[]): string =>
    padEnd(label, LABEL_COLUMNS) + cells.map((each) => padEnd(each, cell)).join('');
  const legend = Object.entries(PATH_TONE).map(([name, tone]) =>
    colour[tone](`${name.charAt(0).toUpperCase()} ${name}`),
  );
  return [
    row(colour.dim('from, to'), nodes.map(colour.bold)),
    ...nodes.map((from) => {
      const cells = nodes.map((to) => {
        if (from === to) return colour.dim('·');
        const name = path(from, to);
        return colour[PATH_TONE[name]](text(name));
      });
      return row(colour.bold(from), cells);
    }),
    ...(hasWords ? [] : ['', legend.join('   ')]),
  ];
}

function heartbeatLine({ nodes, heartbeats }: PartitionsView, colour: Paint): string {
  const all = nodes.flatMap((from) => nodes.flatMap((to) => (from === to ? [] : (heartbeats(from, to) ?? []))));
  const received = all.reduce((sum, each) => sum + each.received, 0);
  const missing = all.reduce((sum, each) => sum + each.missing, 0);
  const silence = Math.max(0, ...all.map(({ longestSilenceMs }) => longestSilenceMs));
  const missed = missing === 0 ? 'none missing' : colour.red(`${count(missing)} missing`);
  return `${colour.dim('heartbeats')}  ${count(received)} arrived, ${missed}, longest silence ${milliseconds(silence)}`;
}

const KINDS: Readonly<Record<PartitionKind, (nodes: readonly string[]) => string>> = {
  pair: ([a, b]) => `${a}–${b} cut`,
  'one-way': ([, b, c]) => `${b} → ${c} cut`,
  isolated: ([a]) => `${a} isolated`,
  all: () => 'all cut',
};

/** The report for people: for each pair the way that it took in each partition, and how long its heartbeats were silent. */
export function partitionsReportLines(report: PartitionsReport, nodes: readonly string[], colour: Paint): string[] {
  const { pairs, heartbeats } = report;
  const kinds = pairs[0]?.partitions.map(({ kind }) => kind) ?? [];
  const told = ({ way, expected, blackoutMs }: PairInPartition): string => {
    const text = `${padEnd(way, WAY_COLUMNS)} ${padStart(blackoutMs === null ? '–' : blackoutMs.toFixed(0), 4)}`;
    return way === expected ? text : colour.red(text);
  };
  const rows = pairs.map(({ from, to, partitions: seen }) => [`${from} → ${to}`, ...seen.map(told)]);
  const failed = partitionShortfalls(pairs);
  const good = `✔ Every pair stayed connected: ${count(heartbeats.sent)} heartbeats, none lost, none twice.`;
  const verdict = failed.length === 0 ? [colour.green(good)] : failed.map((line) => colour.red(`✘ ${line}`));
  return [
    '',
    '  The way that each pair took, and the longest silence of its heartbeats in ms:',
    ...table(['pair', ...kinds.map((kind) => KINDS[kind](nodes))], rows, colour),
    '',
    ...verdict.map((line) => `  ${line}`),
    '',
  ];
}
