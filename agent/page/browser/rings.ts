/** Volumes as rings: where each node writes, how far the others have read, and what is between. */
import { bytesText, durationText, shareText } from '../../view/units.ts';
import type { RingView, VolumeView } from '../document.ts';
import { h, s } from './dom.ts';

const CENTRE = 80;
const RADIUS = 52;
const OLD_MS = 5000;

export function volumes(all: readonly VolumeView[], own: string): HTMLElement[] {
  return all.map((volume) =>
    h(
      'article',
      { class: 'card volume', 'data-key': volume.path },
      h(
        'h3',
        {},
        h('span', { class: 'path' }, volume.path),
        h('small', {}, ` ${volume.use}; ${bytesText(volume.slotBytes)} for each node`),
      ),
      volume.fault === null ? null : h('p', { class: 'problem' }, volume.fault),
      h('div', { class: 'ring-row' }, ...volume.rings.map((ring) => ringFigure(volume, ring, own))),
    ),
  );
}

function ringFigure({ slotBytes }: VolumeView, ring: RingView, own: string): HTMLElement {
  const fill = slotBytes === 0 ? 0 : ring.unreadBytes / slotBytes;
  const lap = slotBytes === 0 ? 0 : Math.floor(ring.position / slotBytes) + 1;
  const isStopped = ring.state !== 'running';
  const readers = ring.cursors.map(({ node, readPosition }) => {
    const behind = Math.max(0, ring.position - readPosition);
    return behind === 0 ? `${node} has read all` : `${node} is ${bytesText(behind)} behind`;
  });
  const state = isStopped ? `${ring.state}; ` : '';
  const age = ring.agoMs > OLD_MS ? `; its last word is ${durationText(ring.agoMs)} old` : '';
  const said = `${state}${bytesText(ring.position)} written, ${readers.length === 0 ? 'nobody reads it' : readers.join(', ')}${age}`;
  return h(
    'figure',
    { class: 'ring', 'data-state': isStopped ? 'stopped' : fill > 0.75 ? 'full' : 'running' },
    s(
      'svg',
      { viewBox: '0 0 160 160', role: 'img', 'aria-label': `Ring of ${ring.node}: ${said}` },
      s('circle', { cx: CENTRE, cy: CENTRE, r: RADIUS, class: 'track' }),
      arc(ring, slotBytes, fill),
      ...ring.cursors.map((cursor) => cursorMark(cursor.node, angleOf(cursor.readPosition, slotBytes))),
      head(angleOf(ring.position, slotBytes)),
      s(
        'text',
        { x: CENTRE, y: CENTRE - 4, class: 'name' },
        ring.node.length > 9 ? `${ring.node.slice(0, 8)}…` : ring.node,
      ),
      s('text', { x: CENTRE, y: CENTRE + 14, class: 'fill' }, fill === 0 ? 'all read' : `${shareText(fill)} unread`),
      s('text', { x: CENTRE, y: CENTRE + 28, class: 'lap' }, `lap ${lap}`),
    ),
    h('figcaption', {}, h('b', {}, ring.node === own ? `${ring.node} (this node)` : ring.node), ` ${said}`),
  );
}

const angleOf = (position: number, slotBytes: number): number =>
  slotBytes === 0 ? 0 : ((position % slotBytes) / slotBytes) * 2 * Math.PI - Math.PI / 2;

const at = (angle: number, radius: number): string =>
  `${(CENTRE + Math.cos(angle) * radius).toFixed(1)} ${(CENTRE + Math.sin(angle) * radius).toFixed(1)}`;

/** From the slowest reader to the head. */
function arc(ring: RingView, slotBytes: number, fill: number): SVGElement | null {
  if (fill <= 0) return null;
  const end = angleOf(ring.position, slotBytes);
  const start = end - Math.min(fill, 0.9999) * 2 * Math.PI;
  const d = `M${at(start, RADIUS)}A${RADIUS} ${RADIUS} 0 ${fill > 0.5 ? 1 : 0} 1 ${at(end, RADIUS)}`;
  return s('path', { d, class: 'unread' });
}

function head(angle: number): SVGElement {
  const tip = at(angle, RADIUS - 9);
  return s('path', { d: `M${tip}L${at(angle - 0.12, RADIUS + 12)}L${at(angle + 0.12, RADIUS + 12)}z`, class: 'head' });
}

function cursorMark(node: string, angle: number): SVGElement {
  const [x = '', y = ''] = at(angle, RADIUS - 17).split(' ');
  return s(
    'g',
    { class: 'cursor' },
    s('path', { d: `M${at(angle, RADIUS - 7)}L${at(angle, RADIUS + 7)}` }),
    s('text', { x, y: Number(y) + 3 }, node.slice(0, 2)),
  );
}
