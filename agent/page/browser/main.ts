/** The page: takes what the agent says, once a second and at each event, and shows it. */
import type { EventView } from '../../view/status.ts';
import type { BeginView, NowView } from '../document.ts';
import { Charts } from './charts.ts';
import { byId, h, show } from './dom.ts';
import { announcement, eventList } from './events.ts';
import { graph, pairsTable } from './graph.ts';
import { mirrors } from './mirrors.ts';
import { Packets } from './packets.ts';
import { peersTable } from './peers.ts';
import { volumes } from './rings.ts';
import { Store } from './store.ts';
import { changesTable, clock, legend, timeline } from './timeline.ts';

/** Without a word for so long the figures are old, and said to be. */
const SILENT_MS = 4000;

const store = new Store();
const charts = new Charts(byId('charts'));
const packets = new Packets();
const SIGNS = { good: '✓', warn: '!', bad: '×' } as const;
let rangeMs = 300_000;
let heardMs = 0;

function draw(): void {
  const { now } = store;
  if (!now) return;
  drawVerdict(now);
  const picture = graph(now);
  const place = byId('graph');
  place.hidden = picture === null;
  show(place, picture);
  show(byId('pairs'), pairsTable(now));
  show(byId('peers'), peersTable(now));
  drawPast(now);
  show(byId('rings'), ...volumes(now.volumes, now.about.node));
  for (const id of ['mirrors', 'mirrors-link']) byId(id).hidden = now.mirrors.length === 0;
  show(byId('mirror-list'), ...mirrors(now.mirrors));
  show(byId('event-list'), eventList(store.events));
  packets.offer(now);
  drawAbout(now);
}

function drawVerdict({ verdict, about, atMs }: NowView): void {
  const box = byId('verdict');
  box.dataset['level'] = verdict.level;
  show(
    box,
    h(
      'p',
      { class: 'headline' },
      h('span', { class: 'sign', 'aria-hidden': 'true' }, SIGNS[verdict.level]),
      h('span', {}, verdict.headline),
    ),
    verdict.faults.length > 1
      ? h('ul', {}, ...verdict.faults.map(({ level, text }) => h('li', { 'data-level': level }, text)))
      : null,
  );
  byId('cluster').textContent = about.cluster;
  byId('seen-by').textContent = `seen by ${about.node}`;
  const word = { good: 'all well', warn: 'look here', bad: 'trouble' }[verdict.level];
  document.title = `${SIGNS[verdict.level]} ${about.cluster} / ${about.node}: ${word}`;
  byId('live').title = `figures of ${clock(atMs)}`;
}

function drawPast(now: NowView): void {
  const place = byId('timeline');
  show(place, timeline(store, now, rangeMs, Math.max(280, place.clientWidth)));
  show(byId('changes'), changesTable(store, now, rangeMs));
  charts.draw(store, now, rangeMs);
}

function drawAbout({ about, storage }: NowView): void {
  const carrier = about.carrier === false ? ' without carrier' : '';
  const network =
    about.mode === 'none'
      ? 'no primary network'
      : `${about.mode}${about.primary === null ? '' : ` over ${about.primary}`}${carrier}`;
  byId('about').textContent =
    `stillbeat ${about.version}, process ${about.pid}; ${about.vnic} ${about.addresses.join(' ')}; ${network}; ` +
    `${storage.volume}, copy ${storage.copy.kind}. Other nodes’ ways are as they wrote them on the volume.`;
}

function live(state: 'live' | 'lost' | 'waiting', text: string): void {
  const place = byId('live');
  place.dataset['state'] = state;
  if (place.textContent !== text) place.textContent = text;
  document.body.classList.toggle('lost', state === 'lost');
}

function heard(): void {
  heardMs = Date.now();
  live('live', 'live');
}

function listen(): void {
  const source = new EventSource('/live');
  const on = (name: string, take: (data: never) => void): void =>
    source.addEventListener(name, (event) => {
      take(JSON.parse((event as MessageEvent<string>).data) as never);
      heard();
      if (!document.hidden) draw();
    });
  on('begin', (begin: BeginView) => store.begin(begin));
  on('now', (now: NowView) => store.look(now));
  on('event', (event: EventView) => {
    store.event(event);
    const words = announcement(event);
    if (words !== null) byId('announcer').textContent = words;
  });
  source.addEventListener('error', () => {
    // The token has run out, or the agent has others to serve: a new page asks again.
    if (source.readyState === EventSource.CLOSED) live('lost', 'not let in: load the page again');
  });
}

setInterval(() => {
  if (heardMs > 0 && Date.now() - heardMs > SILENT_MS) live('lost', `no word since ${clock(heardMs)}`);
}, 1000);
for (const input of document.querySelectorAll<HTMLInputElement>('input[name="range"]')) {
  input.addEventListener('change', () => {
    rangeMs = Number(input.value);
    draw();
  });
}
document.addEventListener('visibilitychange', draw);
matchMedia('(prefers-color-scheme: dark)').addEventListener('change', draw);
new ResizeObserver(draw).observe(byId('main'));
show(byId('legend'), ...legend());
listen();
