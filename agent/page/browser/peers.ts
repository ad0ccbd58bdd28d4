/** Each peer with its figures. */
import { bytesText, countText, durationText, msText, rateText } from '../../view/units.ts';
import type { PeerStatus } from '../../view/status.ts';
import type { NowView } from '../document.ts';
import { isLosing } from '../../view/verdict.ts';
import { h } from './dom.ts';
import { pairOf, pill } from './graph.ts';
import { table } from './table.ts';

const COLUMNS = [
  { title: 'peer' },
  { title: 'there' },
  { title: 'back' },
  { title: 'since' },
  { title: 'network', isNumber: true },
  { title: 'storage', isNumber: true },
  { title: 'out /s', isNumber: true },
  { title: 'in /s', isNumber: true },
  { title: 'waiting', isNumber: true },
  { title: 'unread', isNumber: true },
  { title: 'lost so far', isNumber: true },
];

export function peersTable(now: NowView): HTMLElement {
  return h(
    'div',
    {},
    h('h3', {}, 'Peers of this node'),
    table(
      'Peers of this node, with figures',
      COLUMNS,
      now.peers.map((peer) => row(now, peer)),
      'cards',
    ),
  );
}

function row(now: NowView, peer: PeerStatus): (Node | string)[] {
  const { node, path, override, since, network, storage } = peer;
  const figures = now.moment.peers[node];
  const back = pairOf(now, node, now.about.node);
  const sinceMs = now.atMs - Date.parse(since);
  const lost = peer.lost + peer.tooOld;
  return [
    node,
    h('span', {}, pill(path), override === 'auto' ? null : h('span', { class: 'note' }, ' held by an operator')),
    back ? pill(back.path) : pill('unknown'),
    durationText(Math.max(0, sinceMs)),
    network.reachable ? msText(network.rttMs) : 'no answer',
    storage.fresh ? msText(storage.lagMs) : 'silent',
    rateText(figures?.outPerS),
    rateText(figures?.inPerS),
    waitingText(figures?.waiting ?? 0, figures?.waitingBytes ?? 0),
    bytesText(storage.behindBytes),
    // Red as long as it goes on: then the headline says so too.
    isLosing(figures) ? h('strong', { class: 'bad' }, countText(lost)) : countText(lost),
  ];
}

const waitingText = (packets: number, bytes: number): string =>
  packets === 0 ? '0' : `${countText(packets)} (${bytesText(bytes)})`;
