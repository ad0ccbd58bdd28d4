/** Figures over time, drawn by uPlot; each with its newest values in words beside it. */
import type { Moment } from '../../view/figures.ts';
import { axisTicks, axisTop, type AxisKind } from '../../view/ticks.ts';
import { bytesText, msText, rateText } from '../../view/units.ts';
import type { NowView } from '../document.ts';
import { h, show } from './dom.ts';
import type { Store } from './store.ts';
import uPlot from './uplot.js';

const HEIGHT = 170;
/** The axis begins where something is known, and spans so much at least. */
const SHOWN_MS_MIN = 60_000;
/** With more peers than this a line each is a tangle: then the worst of them. */
const LINES_MAX = 2;

interface Line {
  readonly name: string;
  readonly of: (moment: Moment) => number | null;
  readonly isDashed?: boolean;
  /** Which of the page's colours. */
  readonly colour: number;
}

interface Plan {
  readonly id: string;
  readonly title: string;
  readonly kind: AxisKind;
  readonly text: (value: number | null) => string;
  readonly lines: (now: NowView) => readonly Line[];
}

const worst = (moment: Moment, of: (peer: Moment['peers'][string]) => number | null): number | null => {
  const known = Object.values(moment.peers)
    .map(of)
    .filter((value) => value !== null);
  return known.length === 0 ? null : Math.max(...known);
};
const total = (moment: Moment, of: (peer: Moment['peers'][string]) => number | null): number | null => {
  const known = Object.values(moment.peers)
    .map(of)
    .filter((value) => value !== null);
  return known.length === 0 ? null : known.reduce((sum, value) => sum + value, 0);
};

const WRITE: Line = { name: 'own write', colour: 2, of: ({ node }) => node.writeMs };
const COPY: Line = { name: 'copy behind', colour: 3, isDashed: true, of: ({ node }) => node.copyLagMs };

function latencyLines({ peers, storage }: NowView): Line[] {
  return [...peerLines(peers), WRITE, ...(storage.copy.kind === 'shared' ? [] : [COPY])];
}

function peerLines(peers: NowView['peers']): Line[] {
  if (peers.length > LINES_MAX) {
    return [
      { name: 'network, slowest peer', colour: 0, of: (moment) => worst(moment, ({ rttMs }) => rttMs) },
      { name: 'storage, slowest peer', colour: 1, isDashed: true, of: (moment) => worst(moment, ({ lagMs }) => lagMs) },
    ];
  }
  return peers.flatMap(({ node }, i): Line[] => [
    { name: `${node} network`, colour: i, of: ({ peers: all }) => all[node]?.rttMs ?? null },
    { name: `${node} storage`, colour: i, isDashed: true, of: ({ peers: all }) => all[node]?.lagMs ?? null },
  ]);
}

const perSecond = (value: number | null): string => (value === null ? '–' : `${rateText(value)} /s`);
const bytesPerSecond = (value: number | null): string => (value === null ? '–' : `${bytesText(value)}/s`);

const PLANS: readonly Plan[] = [
  {
    id: 'latency',
    title: 'Latency: network round trip, storage one way',
    kind: 'ms',
    text: msText,
    lines: latencyLines,
  },
  {
    id: 'packets',
    title: 'Packets a second, all peers',
    kind: 'count',
    text: perSecond,
    lines: () => [
      { name: 'out', colour: 0, of: (moment) => total(moment, ({ outPerS }) => outPerS) },
      { name: 'in', colour: 1, isDashed: true, of: (moment) => total(moment, ({ inPerS }) => inPerS) },
    ],
  },
  {
    id: 'queues',
    title: 'Waiting, or kept until confirmed',
    kind: 'bytes',
    text: bytesText,
    lines: () => [
      { name: 'for peers', colour: 0, of: (moment) => total(moment, ({ waitingBytes }) => waitingBytes) },
      { name: 'to be written', colour: 1, isDashed: true, of: ({ node }) => node.bufferBytes },
      { name: 'unread here', colour: 2, of: (moment) => total(moment, ({ behindBytes }) => behindBytes) },
    ],
  },
  {
    id: 'storage',
    title: 'Storage: bytes a second',
    kind: 'bytes',
    text: bytesPerSecond,
    lines: () => [
      { name: 'written', colour: 0, of: ({ node }) => node.writtenPerS },
      { name: 'read', colour: 1, isDashed: true, of: ({ node }) => node.readPerS },
    ],
  },
];

class Chart {
  readonly #plan: Plan;
  readonly #figure: HTMLElement;
  readonly #box: HTMLElement;
  readonly #words: HTMLElement;
  #plot: uPlot | null = null;
  #shape = '';

  constructor(plan: Plan, place: HTMLElement) {
    this.#plan = plan;
    this.#box = h('div', { class: 'plot', 'aria-hidden': 'true' });
    this.#words = h('p', { class: 'newest' });
    this.#figure = h(
      'figure',
      { class: 'card chart', id: `chart-${plan.id}` },
      h('figcaption', {}, plan.title),
      this.#words,
      this.#box,
    );
    place.append(this.#figure);
  }

  draw(moments: readonly Moment[], now: NowView, rangeMs: number): void {
    const lines = this.#plan.lines(now);
    const width = Math.floor(this.#box.clientWidth);
    if (width < 60) return;
    const colours = coloursOf();
    const shape = JSON.stringify([lines.map(({ name }) => name), width, colours]);
    const data: uPlot.AlignedData = [
      moments.map(({ atMs }) => atMs / 1000),
      ...lines.map((line) => moments.map((moment) => line.of(moment))),
    ];
    if (shape !== this.#shape || !this.#plot) {
      this.#plot?.destroy();
      this.#plot = new uPlot(options(this.#plan, lines, width, colours), data, this.#box);
      this.#shape = shape;
    }
    this.#plot.batch(() => {
      this.#plot?.setData(data, false);
      this.#plot?.setScale('x', { min: (now.atMs - rangeMs) / 1000, max: now.atMs / 1000 });
    });
    const last = moments.at(-1);
    show(
      this.#words,
      ...lines.map((line) =>
        h(
          'span',
          { class: 'key', 'data-colour': line.colour, 'data-dashed': String(line.isDashed === true) },
          h('i', { 'aria-hidden': 'true' }),
          `${line.name} `,
          h('b', {}, this.#plan.text(last ? line.of(last) : null)),
        ),
      ),
    );
  }
}

const coloursOf = (): string[] => {
  const style = getComputedStyle(document.documentElement);
  const names = ['--line-0', '--line-1', '--line-2', '--line-3', '--muted', '--grid'];
  return names.map((name) => style.getPropertyValue(name).trim());
};

function options(plan: Plan, lines: readonly Line[], width: number, colours: readonly string[]): uPlot.Options {
  const [ink, grid] = [colours[4] ?? '', colours[5] ?? ''];
  const axis = {
    stroke: ink,
    grid: { stroke: grid, width: 1 },
    ticks: { stroke: grid, width: 1 },
    font: '11px system-ui, sans-serif',
  };
  return {
    width,
    height: HEIGHT,
    legend: { show: false },
    cursor: { y: false, points: { size: 6 }, drag: { x: false, y: false }, sync: { key: 'past' } },
    scales: {
      x: { time: true, auto: false },
      y: { range: (_, __, max) => [0, axisTop((max ?? 0) * 1.15, plan.kind)] },
    },
    axes: [
      { ...axis, size: 26, space: 70, values: (_, ticks) => ticks.map(tickText) },
      {
        ...axis,
        size: 78,
        splits: (_, __, ___, top) => axisTicks(top, plan.kind),
        values: (_, ticks) => ticks.map((tick) => plan.text(tick)),
      },
    ],
    series: [
      {},
      ...lines.map(({ name, colour, isDashed }) => ({
        label: name,
        stroke: colours[colour % 4] ?? ink,
        width: 1.6,
        ...(isDashed === true ? { dash: [5, 4] } : {}),
        points: { show: false },
        spanGaps: false,
      })),
    ],
  };
}

function tickText(seconds: number): string {
  const date = new Date(seconds * 1000);
  const two = (value: number): string => String(value).padStart(2, '0');
  const minutes = `${two(date.getHours())}:${two(date.getMinutes())}`;
  return date.getSeconds() === 0 ? minutes : `${minutes}:${two(date.getSeconds())}`;
}

export class Charts {
  readonly #charts: readonly Chart[];

  constructor(place: HTMLElement) {
    this.#charts = PLANS.map((plan) => new Chart(plan, place));
  }

  draw(store: Store, now: NowView, rangeMs: number): void {
    const moments = store.moments(now.atMs - rangeMs);
    const known = now.atMs - (moments[0]?.atMs ?? now.atMs);
    const shownMs = Math.min(rangeMs, Math.max(known, SHOWN_MS_MIN));
    for (const chart of this.#charts) chart.draw(moments, now, shownMs);
  }
}
