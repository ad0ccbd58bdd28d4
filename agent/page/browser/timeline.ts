/** Which way each peer was reached by, over time. */
import { type Span, spansOf } from '../../view/spans.ts';
import { durationText } from '../../view/units.ts';
import { wayOf, WAYS } from '../../view/ways.ts';
import type { NowView } from '../document.ts';
import { h, s } from './dom.ts';
import { pill } from './graph.ts';
import type { Store } from './store.ts';
import { table } from './table.ts';

const ROW = 26;
const BAR = 18;
const LABEL = 74;
const AXIS = 20;
/** Narrower spans are drawn so wide, that none escapes the eye. */
const NARROW = 2;

export const clock = (ms: number, withSeconds = true): string =>
  new Date(ms).toLocaleTimeString([], {
    hour: '2-digit',
    minute: '2-digit',
    ...(withSeconds ? { second: '2-digit' } : {}),
    hour12: false,
  });

const spansOfPeer = (store: Store, now: NowView, index: number, fromMs: number): Span[] => {
  const peer = now.peers[index];
  if (!peer) return [];
  return spansOf(store.events, peer.node, fromMs, now.atMs, { path: peer.path, sinceMs: Date.parse(peer.since) });
};

/** The picture begins where something is known of a peer, and spans a minute at least. */
const SHOWN_MS_MIN = 60_000;

function shownMs(store: Store, now: NowView, rangeMs: number): number {
  const known = now.peers.map((_, i) => {
    const spans = spansOfPeer(store, now, i, now.atMs - rangeMs);
    return now.atMs - (spans.find(({ path }) => path !== 'unknown')?.fromMs ?? now.atMs);
  });
  return Math.min(rangeMs, Math.max(SHOWN_MS_MIN, ...known));
}

export function timeline(store: Store, now: NowView, askedMs: number, width: number): Element {
  const rangeMs = shownMs(store, now, askedMs);
  const fromMs = now.atMs - rangeMs;
  const inner = Math.max(80, width - LABEL - 8);
  const x = (ms: number): number => LABEL + ((ms - fromMs) / rangeMs) * inner;
  const height = now.peers.length * ROW + AXIS + 4;
  const rows = now.peers.map((peer, i) => {
    const spans = spansOfPeer(store, now, i, fromMs);
    return s(
      'g',
      { role: 'img', 'aria-label': rowText(peer.node, spans) },
      s('text', { x: LABEL - 8, y: i * ROW + BAR - 4, class: 'row-label' }, peer.node),
      ...spans.map((span) => bar(span, x, i * ROW)),
    );
  });
  return s(
    'svg',
    { viewBox: `0 0 ${width} ${height}`, width, height, class: 'spans' },
    patterns(),
    ...rows,
    axis(fromMs, rangeMs, x, height),
  );
}

function rowText(node: string, spans: readonly Span[]): string {
  const last = spans.at(-1);
  const changes = spans.length - 1;
  return `${node}: now ${wayOf(last?.path ?? 'unknown').text}; ${changes} ${changes === 1 ? 'change' : 'changes'} in this time`;
}

function bar(span: Span, x: (ms: number) => number, y: number): SVGElement {
  const left = x(span.fromMs);
  const width = Math.max(NARROW, x(span.toMs) - left);
  const way = wayOf(span.path);
  const lasted = durationText(span.toMs - span.fromMs);
  return s(
    'g',
    { class: 'span', 'data-path': way.path },
    s('title', {}, `${clock(span.fromMs)}  ${span.path} for ${lasted}: ${span.reason}`),
    s('rect', { x: round(left), y, width: round(width), height: BAR, rx: 2 }),
    ['storage', 'returning', 'isolated', 'off'].includes(way.path)
      ? s('rect', {
          x: round(left),
          y,
          width: round(width),
          height: BAR,
          rx: 2,
          fill: `url(#hatch-${way.path})`,
          class: 'hatch',
        })
      : null,
    width > 58 ? s('text', { x: round(left + 6), y: y + BAR - 5 }, span.path) : null,
  );
}

const round = (value: number): number => Math.round(value * 10) / 10;

/** The ways differ by their hatching too. */
function patterns(): SVGElement {
  const pattern = (path: string, d: string, size: number) =>
    s(
      'pattern',
      { id: `hatch-${path}`, width: size, height: size, patternUnits: 'userSpaceOnUse' },
      s('path', { d, class: 'hatching' }),
    );
  return s(
    'defs',
    {},
    pattern('storage', 'M-1 7 7-1M-1 1 1-1M5 7 7 5', 6),
    pattern('returning', 'M2 0v6', 6),
    pattern('isolated', 'M0 0 6 6M6 0 0 6', 6),
    pattern('off', 'M0 3h6', 6),
  );
}

function axis(fromMs: number, rangeMs: number, x: (ms: number) => number, height: number): SVGElement {
  // Words of a phone's width need as much room as those of a wide one.
  const room = Math.max(2, Math.min(7, (x(fromMs + rangeMs) - x(fromMs)) / 80));
  const steps = [10_000, 30_000, 60_000, 600_000, 1_800_000, 3_600_000, 14_400_000];
  const step = steps.find((each) => rangeMs / each <= room) ?? 21_600_000;
  const ticks: number[] = [];
  const offsetMs = new Date(fromMs).getTimezoneOffset() * 60_000;
  // At the very edges their words would be cut off.
  const [first, last] = [fromMs + rangeMs * 0.03, fromMs + rangeMs * 0.97];
  for (let at = Math.ceil((first - offsetMs) / step) * step + offsetMs; at < last; at += step) ticks.push(at);
  return s(
    'g',
    { class: 'axis', 'aria-hidden': 'true' },
    ...ticks.map((at) =>
      s(
        'g',
        {},
        s('path', { d: `M${round(x(at))} 0V${height - AXIS + 2}` }),
        s('text', { x: round(x(at)), y: height - 5 }, clock(at, step < 60_000)),
      ),
    ),
  );
}

export const legend = (): HTMLElement[] =>
  WAYS.filter(({ path }) => path !== 'unknown' && path !== 'suspect').map(({ path, text }) =>
    h('li', {}, pill(path), h('span', {}, ` ${text}`)),
  );

/** The same in words, newest first. */
export function changesTable(store: Store, now: NowView, rangeMs: number): HTMLElement {
  const rows = now.peers
    .flatMap(({ node }, i) => spansOfPeer(store, now, i, now.atMs - rangeMs).map((span) => ({ node, span })))
    .sort((one, other) => other.span.fromMs - one.span.fromMs)
    .slice(0, 200)
    .map(({ node, span }) => [
      clock(span.fromMs),
      node,
      pill(span.path),
      durationText(span.toMs - span.fromMs),
      span.reason,
    ]);
  return table(
    'Changes of ways, newest first',
    [{ title: 'from' }, { title: 'peer' }, { title: 'way' }, { title: 'for', isNumber: true }, { title: 'why' }],
    rows,
    'plain',
  );
}
