/**
 * The live picture of the demo, as lines of text: two nodes, the two ways between them, and what travels. Pure: the same
 * view gives the same picture.
 */
import { COPY_WORDS, type LabCopy } from './lab-copies.ts';
import type { Path } from '../base/paths.ts';
import { bitRate, bytes, count, milliseconds, sparkline } from './figures.ts';
import { type Paint, centre, padEnd, padStart } from './terminal.ts';

export const WIDTH_MIN = 80;
const WIDTH_MAX = 100;
const BOX_COLUMNS = 15;
const EVENT_LINES = 8;
const LABEL_COLUMNS = 12;
const FIGURE_COLUMNS = 17;
const SPARK_COLUMNS = 24;
/** Columns from one packet to the next; half of it is odd, so that those of the two directions never meet. */
const SPACING = 14;

export interface DirectionView {
  readonly from: string;
  readonly to: string;
  readonly path: Path;
  readonly onPathMs: number;
  readonly rttMs: number | null;
  readonly lagMs: number | null;
  /** Packets waiting, for each type. */
  readonly queued: Readonly<Record<string, number>>;
  readonly heartbeats: { readonly received: number; readonly missing: number; readonly longestSilenceMs: number };
}

export interface DemoEvent {
  readonly atMs: number;
  readonly text: string;
  readonly tone: 'plain' | 'good' | 'bad';
}

export interface DemoView {
  /** How what one node writes comes to the other. */
  readonly copy: 'shared' | LabCopy;
  readonly phase: string;
  readonly elapsedMs: number;
  readonly totalMs: number;
  /** What the demo has done to the network. */
  readonly network: 'up' | 'silent' | 'carrier';
  readonly addresses: readonly [string, string];
  readonly directions: readonly [DirectionView, DirectionView];
  readonly ping: { readonly received: number; readonly recentMs: readonly number[] };
  readonly tcp: { readonly bytes: number; readonly corrupted: number; readonly recentRates: readonly number[] };
  readonly events: readonly DemoEvent[];
}

export const PATH_TONE = {
  network: 'green',
  suspect: 'yellow',
  storage: 'cyan',
  returning: 'yellow',
  isolated: 'red',
} as const satisfies Record<Path, keyof Paint>;

/** The picture; `tick` moves the packets along. */
export function drawDemo(view: DemoView, columns: number, tick: number, colour: Paint): string[] {
  const width = Math.min(columns, WIDTH_MAX) - 4;
  const clock = `${(view.elapsedMs / 1000).toFixed(1)} s of ${(view.totalMs / 1000).toFixed(0)}`;
  const title = `${colour.bold('stillbeat demo')}   ${view.phase}`;
  return [
    '',
    padEnd(title, width - clock.length) + colour.dim(clock),
    colour.dim('─'.repeat(width)),
    '',
    ...nodesAndWays(view, width, tick, colour),
    '',
    ...directionLines(view, colour),
    '',
    ...trafficLines(view, width, colour),
    '',
    ...eventLines(view.events, colour),
  ].map((line) => `  ${line}`);
}

function nodesAndWays(view: DemoView, width: number, tick: number, colour: Paint): string[] {
  const link = width - 2 * BOX_COLUMNS - 2;
  const [left, right] = [box(view, 0, colour), box(view, 1, colour)];
  const between = [
    centre(colour.dim(networkLabel(view.network)), link),
    networkLink(view, link, tick, colour),
    '',
    centre(colour.dim(COPY_WORDS[view.copy]), link),
    storageLink(view, link, tick, colour),
    '',
  ];
  return between.map((text, row) => `${left[row]} ${padEnd(text, link)} ${right[row]}`);
}

function networkLabel(network: DemoView['network']): string {
  if (network === 'silent') return 'primary network: the switch drops all';
  return network === 'carrier' ? 'primary network: no carrier at a' : 'primary network';
}

function box(view: DemoView, index: 0 | 1, colour: Paint): string[] {
  const inner = BOX_COLUMNS - 2;
  const bar = colour.dim('│');
  return [
    colour.dim(`╭${'─'.repeat(inner)}╮`),
    bar + centre(colour.bold(`node ${view.directions[index].from}`), inner) + bar,
    bar + ' '.repeat(inner) + bar,
    bar + centre(view.addresses[index], inner) + bar,
    bar + ' '.repeat(inner) + bar,
    colour.dim(`╰${'─'.repeat(inner)}╯`),
  ];
}

function networkLink(view: DemoView, columns: number, tick: number, colour: Paint): string {
  if (view.network === 'up') return wayLink(view, ['network', 'suspect'], columns, tick, colour.green, colour);
  const at = view.network === 'carrier' ? 2 : Math.floor(columns / 2);
  return colour.dim('╌'.repeat(at)) + colour.red('✕') + colour.dim('╌'.repeat(columns - at - 1));
}

function storageLink(view: DemoView, columns: number, tick: number, colour: Paint): string {
  return wayLink(view, ['storage', 'returning'], columns, tick, colour.cyan, colour);
}

/** A bold line where data goes in either direction, a thin one where only heartbeats do; packets move along it. */
function wayLink(
  view: DemoView,
  carrying: readonly Path[],
  columns: number,
  tick: number,
  tone: (text: string) => string,
  colour: Paint,
): string {
  const [there, back] = view.directions.map(({ path }) => carrying.includes(path));
  const line = there || back ? '━' : '─';
  const cells = Array.from({ length: columns }, (_, at) => {
    if (there && mod(at - tick, SPACING) === 0) return '▶';
    if (back && mod(at + tick, SPACING) === SPACING / 2) return '◀';
    return line;
  });
  return (there || back ? tone : colour.dim)(cells.join(''));
}

const mod = (value: number, by: number): number => ((value % by) + by) % by;

function directionLines(view: DemoView, colour: Paint): string[] {
  const head = ['', 'path', 'for', 'network', 'storage', 'queued: heartbeat', 'data', 'bulk'];
  const widths = [7, 12, 9, 9, 9, 18, 7, 5];
  const rows = view.directions.map((direction) => [
    `${direction.from} → ${direction.to}`,
    colour[PATH_TONE[direction.path]](`● ${direction.path}`),
    milliseconds(direction.onPathMs),
    milliseconds(direction.rttMs),
    milliseconds(direction.lagMs),
    ...['heartbeat', 'data', 'bulk'].map((type) => count(direction.queued[type] ?? 0)),
  ]);
  const layOut = (row: readonly string[]): string =>
    row.map((cell, column) => (column < 2 ? padEnd : padStart)(cell, widths[column] ?? 0)).join('');
  return [colour.dim(layOut(head)), ...rows.map(layOut)];
}

function trafficLines(view: DemoView, width: number, colour: Paint): string[] {
  const sparks = Math.min(SPARK_COLUMNS, width - LABEL_COLUMNS - 3 * FIGURE_COLUMNS);
  const label = (text: string): string => colour.dim(padEnd(text, LABEL_COLUMNS));
  const heartbeats = view.directions.map(({ from, to, heartbeats }, index) => {
    const { received, missing } = heartbeats;
    const missed = missing === 0 ? 'none missing' : colour.red(`${count(missing)} missing`);
    const arrived = `${count(received)} arrived, ${missed}`;
    const silence = `longest silence ${milliseconds(heartbeats.longestSilenceMs)}`;
    return `${label(index === 0 ? 'heartbeats' : '')}${from} → ${to}   ${padEnd(arrived, 30)}${silence}`;
  });
  const { ping, tcp } = view;
  const wrong = tcp.corrupted === 0 ? 'every byte right' : colour.red(`${count(tcp.corrupted)} bytes wrong`);
  const figures = (...parts: readonly string[]): string => parts.map((part) => padEnd(part, FIGURE_COLUMNS)).join('');
  return [
    ...heartbeats,
    label('ping') +
      figures(milliseconds(ping.recentMs.at(-1) ?? null), `${count(ping.received)} replies`, '') +
      colour.cyan(sparkline(ping.recentMs, sparks)),
    label('TCP') +
      figures(bitRate(tcp.recentRates.at(-1) ?? 0), bytes(tcp.bytes), wrong) +
      colour.cyan(sparkline(tcp.recentRates, sparks)),
  ];
}

function eventLines(events: readonly DemoEvent[], colour: Paint): string[] {
  const shown = events.slice(-EVENT_LINES).map((event) => eventLine(event, colour));
  return [...shown, ...Array.from({ length: EVENT_LINES - shown.length }, () => '')];
}

/** One event: when, and what. */
export function eventLine({ atMs, text, tone }: DemoEvent, colour: Paint): string {
  const toned = tone === 'good' ? colour.green(text) : tone === 'bad' ? colour.yellow(text) : text;
  return `${colour.dim(padStart(`${(atMs / 1000).toFixed(2)} s`, 9))}  ${toned}`;
}
