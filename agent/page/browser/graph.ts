/** The nodes and the way of each direction, drawn; and the same as a table. */
import { wayOf } from '../../view/ways.ts';
import { durationText } from '../../view/units.ts';
import type { NowView, PairView } from '../document.ts';
import { h, s } from './dom.ts';
import { table } from './table.ts';

/** More nodes than this make no picture. */
const NODES_MAX = 8;
/** So long a node's word may be old before that is said. */
const OLD_MS = 5000;

interface Point {
  readonly x: number;
  readonly y: number;
}

const WIDTH = 560;
const HEIGHT = 400;
const NODE = 30;

export const nodesOf = ({ about, peers }: NowView): string[] =>
  [about.node, ...peers.map(({ node }) => node)].sort((one, other) => (one < other ? -1 : 1));

/** The path that holds from one to the other; null: nobody has said. */
export const pairOf = ({ pairs }: NowView, from: string, to: string): PairView | null =>
  pairs.find((pair) => pair.from === from && pair.to === to) ?? null;

/** A way as a word with its sign: never colour alone. */
export function pill(path: string, note = ''): HTMLElement {
  const way = wayOf(path);
  return h(
    'span',
    { class: 'pill', 'data-path': way.path, title: `${way.text}${note}` },
    h('span', { class: 'sign', 'aria-hidden': 'true' }, way.sign),
    path,
  );
}

const ageNote = ({ agoMs }: PairView): string => (agoMs > OLD_MS ? `as of ${durationText(agoMs)} ago` : '');

/** What has been heard of each direction, and from whom. */
export function pairsTable(now: NowView): HTMLElement {
  const nodes = nodesOf(now);
  if (nodes.length > 4) return matrix(now, nodes);
  const pairs = nodes.flatMap((from) => nodes.filter((to) => to !== from).map((to) => ({ from, to })));
  const rows = pairs.map(({ from, to }) => {
    const pair = pairOf(now, from, to);
    const source = from === now.about.node ? 'this node' : `${from}, on the volume`;
    const age = pair ? ageNote(pair) : '';
    return [
      `${from} → ${to}`,
      pair ? pill(pair.path, age) : pill('unknown'),
      pair ? `${source}${age === '' ? '' : `, ${age}`}` : 'nobody yet',
    ];
  });
  return h(
    'div',
    {},
    h('h3', {}, 'Each direction'),
    table('The way of each direction', [{ title: 'from → to' }, { title: 'way' }, { title: 'said by' }], rows, 'plain'),
  );
}

function matrix(now: NowView, nodes: readonly string[]): HTMLElement {
  const cell = (from: string, to: string): HTMLElement => {
    if (from === to) return h('td', { class: 'self', 'aria-hidden': 'true' });
    const pair = pairOf(now, from, to);
    const way = wayOf(pair?.path ?? 'unknown');
    const age = pair ? ageNote(pair) : '';
    const text = `${from} to ${to}: ${way.text}${age === '' ? '' : `, ${age}`}`;
    return h(
      'td',
      { 'data-path': way.path, class: age === '' ? '' : 'old', title: text },
      h('span', { class: 'unseen' }, text),
      h('span', { 'aria-hidden': 'true' }, way.sign),
    );
  };
  return h(
    'div',
    {},
    h('h3', {}, 'Each direction'),
    h(
      'div',
      { class: 'scroll', tabindex: '0', role: 'region', 'aria-label': 'The way of each direction' },
      h(
        'table',
        { class: 'matrix' },
        h('caption', {}, 'row → column; this node’s row is its own word, the others’ are read on the volume'),
        h('thead', {}, h('tr', {}, h('td'), ...nodes.map((node) => h('th', { scope: 'col' }, node)))),
        h(
          'tbody',
          {},
          ...nodes.map((from) => h('tr', {}, h('th', { scope: 'row' }, from), ...nodes.map((to) => cell(from, to)))),
        ),
      ),
    ),
  );
}

export function graph(now: NowView): Element | null {
  const nodes = nodesOf(now);
  if (nodes.length > NODES_MAX) return null;
  const places = new Map(nodes.map((node, i) => [node, placeOf(i, nodes.length)]));
  const centre = { x: WIDTH / 2, y: nodes.length === 2 ? 178 : HEIGHT / 2 };
  const lowest = Math.max(centre.y + 20, ...[...places.values()].map(({ y }) => y));
  const pairs = nodes.flatMap((from) => nodes.filter((to) => to !== from).map((to) => [from, to] as const));
  const sentences = pairs.map(
    ([from, to]) => `${from} to ${to} ${wayOf(pairOf(now, from, to)?.path ?? 'unknown').text}`,
  );
  return s(
    'svg',
    { viewBox: `0 0 ${WIDTH} ${lowest + NODE + 6}`, role: 'img', 'aria-label': sentences.join('; ') },
    markers(),
    volume(centre, now),
    ...pairs.map(([from, to]) => line(now, from, to, places, centre)),
    ...nodes.map((node) => circle(now, node, places.get(node) ?? centre)),
    drumWord(centre, now, nodes.length),
  );
}

function placeOf(index: number, count: number): Point {
  if (count === 2) return { x: index === 0 ? 70 : WIDTH - 70, y: 82 };
  const angle = -Math.PI / 2 + (2 * Math.PI * index) / count;
  return { x: WIDTH / 2 + Math.cos(angle) * 200, y: HEIGHT / 2 + Math.sin(angle) * (HEIGHT / 2 - NODE - 26) };
}

function markers(): SVGElement {
  const paths = ['network', 'suspect', 'storage', 'returning', 'isolated', 'off', 'unknown'];
  return s(
    'defs',
    {},
    ...paths.map((path) =>
      s(
        'marker',
        { id: `end-${path}`, viewBox: '0 0 8 8', refX: 6, refY: 4, markerWidth: 7, markerHeight: 7, orient: 'auto' },
        s('path', { d: 'M0.5 0.8 7 4 0.5 7.2z', class: 'arrow', 'data-path': path }),
      ),
    ),
  );
}

/** The volume, which is there even while nobody needs it. */
function volume({ x, y }: Point, { storage }: NowView): SVGElement {
  const state = storage.available ? 'ready' : 'out';
  return s(
    'g',
    { class: 'drum', 'data-state': state },
    s('path', { d: `M${x - 30} ${y - 16}v32c0 6 13 11 30 11s30-5 30-11v-32` }),
    s('ellipse', { cx: x, cy: y - 16, rx: 30, ry: 10 }),
  );
}

/** Beside the drum, where the fewest lines come by, and over them. */
function drumWord({ x, y }: Point, { storage }: NowView, nodes: number): SVGElement {
  const place = nodes === 2 ? { x, y: y + 46 } : { x: x + 34, y: y + 14, class: 'beside' };
  return s(
    'g',
    { class: 'drum', 'data-state': storage.available ? 'ready' : 'out' },
    s('text', place, storage.available ? 'storage' : 'storage out'),
  );
}

function line(now: NowView, from: string, to: string, places: ReadonlyMap<string, Point>, centre: Point): SVGElement {
  const [a, b] = [places.get(from) ?? centre, places.get(to) ?? centre];
  const path = wayOf(pairOf(now, from, to)?.path ?? 'unknown').path;
  const byStorage = path === 'storage' || path === 'returning';
  // Each direction keeps to its right.
  const right = unit({ x: -(b.y - a.y), y: b.x - a.x });
  const shift = byStorage ? 7 : 8;
  const half = { x: (a.x + b.x) / 2, y: (a.y + b.y) / 2 };
  // By storage the line comes by the volume; otherwise it bends a little, so that it is nobody's shortest way.
  const bend = byStorage ? { x: 2 * centre.x - half.x, y: 2 * centre.y - half.y } : half;
  const bow = byStorage || places.size === 2 ? 16 : 30;
  const control = { x: bend.x + right.x * bow, y: bend.y + right.y * bow };
  const start = edge(a, control, right, shift);
  const end = edge(b, control, right, shift);
  const middle = { x: (start.x + 2 * control.x + end.x) / 4, y: (start.y + 2 * control.y + end.y) / 4 };
  return s(
    'g',
    { class: 'way', 'data-path': path },
    s('path', {
      d: `M${start.x} ${start.y}Q${control.x} ${control.y} ${end.x} ${end.y}`,
      'marker-end': `url(#end-${path})`,
    }),
    path === 'isolated' ? s('path', { class: 'cross', d: `M${middle.x - 6} ${middle.y - 6}l12 12m0-12l-12 12` }) : null,
  );
}

const unit = ({ x, y }: Point): Point => {
  const length = Math.hypot(x, y) || 1;
  return { x: x / length, y: y / length };
};

/** Where a line meets the node's circle. */
function edge(node: Point, towards: Point, right: Point, shift: number): Point {
  const direction = unit({ x: towards.x - node.x, y: towards.y - node.y });
  const reach = NODE + 5;
  return round({
    x: node.x + direction.x * reach + right.x * shift * 0.6,
    y: node.y + direction.y * reach + right.y * shift * 0.6,
  });
}

const round = ({ x, y }: Point): Point => ({ x: Math.round(x * 10) / 10, y: Math.round(y * 10) / 10 });

function circle(now: NowView, node: string, { x, y }: Point): SVGElement {
  const isOwn = node === now.about.node;
  const peer = now.peers.find((each) => each.node === node);
  const state = isOwn
    ? now.verdict.level
    : peer?.path === 'isolated'
      ? 'bad'
      : peer?.path === 'network'
        ? 'good'
        : 'warn';
  const text = node.length > 6 ? `${node.slice(0, 5)}…` : node;
  return s(
    'g',
    { class: 'node', 'data-level': state, 'data-own': isOwn },
    s('circle', { cx: x, cy: y, r: NODE }),
    s('text', { x, y: y + 5 }, text),
    isOwn ? s('text', { x, y: y - NODE - 9, class: 'own' }, 'this node') : null,
  );
}
