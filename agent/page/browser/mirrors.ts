/** Mirrors: what each target has, how far behind it is, and how a resync gets on. */
import { bytesText, countText, durationText, shareText } from '../../view/units.ts';
import type { MirrorTargetView, MirrorView } from '../document.ts';
import { h } from './dom.ts';

const GOOD = new Set(['in-sync', 'replicating', 'source', 'target']);

export const mirrors = (all: readonly MirrorView[]): HTMLElement[] => all.map(mirror);

function mirror({ name, role, state, cut, canBeLost, targets, fault }: MirrorView): HTMLElement {
  return h(
    'article',
    { class: 'card mirror', 'data-key': `${name} ${role}` },
    h('h3', {}, name, h('small', {}, ` ${role}`)),
    h('p', {}, stateOf(state), cut === null ? '' : ` ${role === 'target' ? 'shows' : 'at'} mark ${countText(cut)}`),
    canBeLost === null ? null : h('p', { class: 'note' }, `Can be lost: ${canBeLost}`),
    fault === null ? null : h('p', { class: 'problem' }, fault),
    ...targets.map(target),
  );
}

const stateOf = (state: string): HTMLElement =>
  h(
    'span',
    { class: 'pill', 'data-path': GOOD.has(state) ? 'network' : 'storage' },
    h('span', { class: 'sign', 'aria-hidden': 'true' }, GOOD.has(state) ? '✓' : '!'),
    state,
  );

function target({ name, state, received, applied, lag, outOfSyncBytes, resync }: MirrorTargetView): HTMLElement {
  const words = [
    received === null ? '' : `received ${countText(received)}`,
    applied === null ? '' : `shows ${countText(applied)}`,
    lag
      ? `behind by ${countText(lag.marks)} writes${lag.bytes === null ? '' : `, ${bytesText(lag.bytes)}`}, ${durationText(lag.seconds * 1000)}`
      : '',
    outOfSyncBytes ? `out of sync: no more than ${bytesText(outOfSyncBytes)}` : '',
  ].filter((word) => word !== '');
  return h(
    'div',
    { class: 'target' },
    h('p', {}, h('b', {}, name), ' ', stateOf(state)),
    h('p', { class: 'note' }, words.join(' · ')),
    resync && resync.total > 0
      ? h(
          'label',
          {},
          h('progress', { max: resync.total, value: resync.done }),
          ` resync ${shareText(resync.done / resync.total)}`,
          typeof resync.secondsLeft === 'number' ? `, ${durationText(resync.secondsLeft * 1000)} left` : '',
        )
      : null,
  );
}
