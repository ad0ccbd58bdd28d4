/** Pictures of a report, as SVG: which way was used when, and figures over time. */
import type { Span } from '../view/spans.ts';
import { axisTicks, axisTop, type AxisKind } from '../view/ticks.ts';
import { durationText } from '../view/units.ts';
import { html, type Html } from './html.ts';
import type { PeerReport, Range } from './gather.ts';

const WIDTH = 920;
const LABEL = 90;
const ROW = 30;
const BAR = 20;
const PLOT = 110;

const scale =
  ({ fromMs, toMs }: Range) =>
  (ms: number): number =>
    Math.round((LABEL + ((ms - fromMs) / Math.max(1, toMs - fromMs)) * (WIDTH - LABEL - 4)) * 10) / 10;

export const timeText = (ms: number): string => new Date(ms).toISOString().replace('T', ' ').slice(0, 19);

export function timeline(peers: readonly PeerReport[], range: Range): Html {
  const x = scale(range);
  const height = peers.length * ROW + 22;
  const row = ({ node, spans }: PeerReport, i: number): Html =>
    html`<text x="${LABEL - 8}" y="${i * ROW + 15}" class="label">${node}</text
      >${spans.map((span) => bar(span, x, i * ROW))}`;
  return html`<svg
    viewBox="0 0 ${WIDTH} ${height}"
    role="img"
    aria-label="Which way each peer was reached by, over time"
  >
    <defs>
      <pattern id="hatch" width="6" height="6" patternUnits="userSpaceOnUse">
        <path d="M-1 7 7-1M-1 1 1-1M5 7 7 5" stroke="currentColor" opacity=".3" />
      </pattern>
    </defs>
    ${axis(range, x, height)}${peers.map(row)}
  </svg>`;
}

function bar(span: Span, x: (ms: number) => number, y: number): Html {
  const left = x(span.fromMs);
  const width = Math.max(1.5, Math.round((x(span.toMs) - left) * 10) / 10);
  const title = `${timeText(span.fromMs)}: ${span.path} for ${durationText(span.toMs - span.fromMs)}, ${span.reason}`;
  const isOut = ['storage', 'returning', 'isolated'].includes(span.path);
  return html`<g class="span ${span.path}"
    ><title>${title}</title><rect x="${left}" y="${y}" width="${width}" height="${BAR}" />${
      isOut
        ? html`<rect x="${left}" y="${y}" width="${width}" height="${BAR}" fill="url(#hatch)" class="hatch" />`
        : null
    }${width > 64 ? html`<text x="${left + 6}" y="${y + 14}">${span.path}</text>` : null}</g
  >`;
}

const STEPS_MS = [1, 2, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 7200, 14_400, 43_200, 86_400, 604_800].map(
  (s) => s * 1000,
);

function axis({ fromMs, toMs }: Range, x: (ms: number) => number, height: number): Html {
  const step = STEPS_MS.find((each) => (toMs - fromMs) / each <= 8) ?? (toMs - fromMs) / 6;
  const ticks: number[] = [];
  for (let at = Math.ceil(fromMs / step) * step; at <= toMs; at += step) ticks.push(at);
  const text = (at: number): string => {
    const all = timeText(at);
    return step >= 86_400_000 ? all.slice(0, 10) : step >= 60_000 ? all.slice(11, 16) : all.slice(11);
  };
  return html`<g class="axis"
    >${ticks.map(
      (at) => html`<path d="M${x(at)} 0V${height - 18}" /><text x="${x(at)}" y="${height - 4}">${text(at)}</text>`,
    )}</g
  >`;
}

export interface Curve {
  readonly name: string;
  /** Mean and highest of each stretch. Where one does not begin at the end of the one before, nothing is known. */
  readonly points: readonly Point[];
}

interface Point {
  readonly fromMs: number;
  readonly atMs: number;
  readonly mean: number;
  readonly max: number;
}

/** Between two stretches: a timer is a little late. */
const SEAM_MS = 2000;

/** From end to end of the stretches; broken where nothing was measured. */
function lineOf(points: readonly Point[], of: 'mean' | 'max', x: (ms: number) => number, y: (v: number) => number) {
  const parts = points.map((point, i) => {
    const former = points[i - 1];
    const isJoined = former !== undefined && point.fromMs - former.atMs <= SEAM_MS;
    const level = y(point[of]);
    return `${isJoined ? '' : `M${x(point.fromMs)} ${level}`}L${x(point.atMs)} ${level}`;
  });
  return parts.join('');
}

/** The mean as a line, the highest as a shade above it. */
export function plot(
  title: string,
  curves: readonly Curve[],
  range: Range,
  kind: AxisKind,
  text: (value: number) => string,
): Html {
  const x = scale(range);
  const top = axisTop(Math.max(...curves.flatMap(({ points }) => points.map(({ max }) => max)), 0) * 1.1, kind);
  const y = (value: number): number => Math.round((PLOT - (value / top) * PLOT) * 10) / 10;
  const line = (points: readonly Point[], of: 'mean' | 'max'): string => lineOf(points, of, x, y);
  return html`<figure>
    <figcaption>${title}: ${curves.map(({ name }, i) => html`<span class="key c${i % 4}">${name}</span> `)}</figcaption>
    <svg viewBox="0 -6 ${WIDTH} ${PLOT + 32}" role="img" aria-label="${title}">
      <g class="axis">
        ${axisTicks(top, kind).map((level) => html`<path d="M${LABEL} ${y(level)}H${WIDTH}" /><text x="${LABEL - 8}" y="${y(level) + 4}" class="left">${text(level)}</text>`)}
      </g>
      <g transform="translate(0 0)">${axis(range, x, PLOT + 22)}</g>
      ${curves.map(({ points }, i) => html`<path d="${line(points, 'max')}" class="curve max c${i % 4}" /><path d="${line(points, 'mean')}" class="curve c${i % 4}" />`)}
    </svg>
  </figure>`;
}
