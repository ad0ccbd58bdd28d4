/** What the page shows, as lines for a terminal. Pure: what is seen, and how large the terminal is. */
import type { BeginView, MirrorView, NowView, RingView, VolumeView } from '../page/document.ts';
import { withoutControls } from '../base/text.ts';
import { columnsOf, padEnd, padStart, type Paint } from '../demo/terminal.ts';
import { eventText } from '../view/event-text.ts';
import { spansOf } from '../view/spans.ts';
import { bytesText, countText, durationText, msText, rateText, shareText } from '../view/units.ts';
import { isLosing } from '../view/verdict.ts';
import { wayOf } from '../view/ways.ts';

const RANGE_MS = 300_000;
/** What a cell of the time line is drawn as: different without colour too. */
const CELLS: Readonly<Record<string, string>> = {
  network: '─',
  suspect: '~',
  storage: '▒',
  returning: '░',
  isolated: '×',
  off: '.',
  unknown: ' ',
};
const SIGNS = { good: '✓', warn: '!', bad: '×' } as const;
/** Columns of the peers' table, in its order. A narrow terminal has not all of them. */
const COLUMNS = [
  { title: 'PEER', width: 8 },
  { title: 'THERE', width: 12 },
  { title: 'BACK', width: 11 },
  { title: 'SINCE', width: 13, isWide: true },
  { title: 'NETWORK', width: 9, isNumber: true },
  { title: 'STORAGE', width: 9, isNumber: true },
  { title: 'OUT/S', width: 6, isNumber: true, isWide: true },
  { title: 'IN/S', width: 6, isNumber: true, isWide: true },
  { title: 'WAITING', width: 12, isNumber: true },
  { title: 'LOST', width: 5, isNumber: true },
];
const WIDE = 100;

export interface Room {
  readonly columns: number;
  readonly rows: number;
}

/** The whole picture, no wider and no higher than the room; the newest events get what is left of it. */
export function watchLines({ now, events }: BeginView, room: Room, paint: Paint): string[] {
  if (!now) return ['waiting for the agent’s first word'];
  const lines = [
    ...head(now, room, paint),
    '',
    cells(
      COLUMNS.map(({ title }) => paint.dim(title)),
      room,
    ),
    ...now.peers.map((_, i) => peerLine(now, i, room, paint)),
    '',
    paint.dim(`LAST ${durationText(RANGE_MS).toUpperCase()}`),
    ...timelines(now, events, room, paint),
    '',
    ...now.volumes.flatMap((volume) => volumeLines(volume, paint)),
    ...mirrorLines(now.mirrors, paint),
    '',
    paint.dim('LAST EVENTS'),
  ];
  const left = Math.max(1, room.rows - lines.length);
  const newest = events.slice(-left).map((event) => {
    const level = event['level'];
    const text = `${event.at.slice(11, 19)}  ${withoutControls(eventText(event))}`;
    return level === 'error' ? paint.red(text) : level === 'warn' ? paint.yellow(text) : text;
  });
  return [...lines, ...newest].slice(0, room.rows).map((line) => clipped(line, room.columns));
}

function head({ about, verdict, atMs, pairs }: NowView, { columns }: Room, paint: Paint): string[] {
  const tone = { good: paint.green, warn: paint.yellow, bad: paint.red }[verdict.level];
  const title = `${paint.bold(`${about.cluster} / ${about.node}`)}  stillbeat ${about.version}  ${about.vnic} ${about.addresses.join(' ')}`;
  const clock = new Date(atMs).toISOString().slice(11, 19);
  const others = pairs.filter(({ from, to, path }) => from !== about.node && to !== about.node && path !== 'network');
  return [
    `${padEnd(title, columns - 13)} ${clock} UTC`,
    tone(paint.bold(`${SIGNS[verdict.level]} ${verdict.headline}`)),
    ...(verdict.faults.length > 1 ? verdict.faults.map(({ text }) => `  ${text}`) : []),
    ...others.map(({ from, to, path }) =>
      paint.dim(`  ${from} → ${to} ${wayOf(path).text}, as ${from} wrote on the volume`),
    ),
  ];
}

const coloured = (path: string, paint: Paint): string => {
  const text = `${wayOf(path).sign} ${path}`;
  if (path === 'network') return paint.green(text);
  if (path === 'isolated') return paint.red(text);
  return path === 'storage' || path === 'suspect' ? paint.yellow(text) : paint.cyan(text);
};

function cells(texts: readonly string[], { columns }: Room): string {
  return COLUMNS.flatMap(({ width, isNumber, isWide }, i) => {
    if (isWide === true && columns < WIDE) return [];
    const text = texts[i] ?? '';
    return [isNumber === true ? padStart(text, width) : padEnd(text, width)];
  }).join(' ');
}

function peerLine(now: NowView, index: number, room: Room, paint: Paint): string {
  const peer = now.peers[index];
  if (!peer) return '';
  const figures = now.moment.peers[peer.node];
  const back = now.pairs.find(({ from, to }) => from === peer.node && to === now.about.node)?.path ?? 'unknown';
  const lost = peer.lost + peer.tooOld;
  const waiting = figures?.waiting ?? 0;
  const texts = [
    peer.node,
    `${coloured(peer.path, paint)}${peer.override === 'auto' ? '' : '*'}`,
    coloured(back, paint),
    durationText(Math.max(0, now.atMs - Date.parse(peer.since))),
    peer.network.reachable ? msText(peer.network.rttMs) : 'no answer',
    peer.storage.fresh ? msText(peer.storage.lagMs) : 'silent',
    rateText(figures?.outPerS),
    rateText(figures?.inPerS),
    waiting === 0 ? '0' : `${countText(waiting)} ${bytesText(figures?.waitingBytes)}`,
    isLosing(figures) ? paint.red(countText(lost)) : countText(lost),
  ];
  return cells(texts, room);
}

function timelines(now: NowView, events: BeginView['events'], { columns }: Room, paint: Paint): string[] {
  const width = Math.max(10, columns - 12);
  const fromMs = now.atMs - RANGE_MS;
  return now.peers.map(({ node, path, since }) => {
    const spans = spansOf(events, node, fromMs, now.atMs, { path, sinceMs: Date.parse(since) });
    const drawn = Array.from({ length: width }, (_, i) => {
      const [start, end] = [fromMs + (i * RANGE_MS) / width, fromMs + ((i + 1) * RANGE_MS) / width];
      const inside = spans.filter((span) => span.fromMs < end && span.toMs > start).map((span) => span.path);
      // The worst of what a cell holds is what is seen of it.
      const worst = ['isolated', 'storage', 'returning', 'off', 'suspect', 'network'].find((each) =>
        inside.includes(each),
      );
      const cell = CELLS[worst ?? 'unknown'] ?? ' ';
      if (worst === 'network') return paint.green(cell);
      return worst === 'isolated' ? paint.red(cell) : paint.yellow(cell);
    });
    return `${padEnd(node, 10)} ${drawn.join('')}`;
  });
}

const BAR = 20;

function volumeLines({ path, use, slotBytes, rings, fault }: VolumeView, paint: Paint): string[] {
  const line = ({ node, position, unreadBytes, cursors }: RingView): string => {
    const fill = slotBytes === 0 ? 0 : unreadBytes / slotBytes;
    const bar = '#'.repeat(Math.ceil(fill * BAR)).padEnd(BAR, '.');
    const behind = cursors
      .filter(({ readPosition }) => readPosition < position)
      .map((cursor) => `${cursor.node} ${bytesText(position - cursor.readPosition)} behind`);
    const readers = behind.length > 0 ? behind.join(', ') : cursors.length > 0 ? 'read by all' : 'nobody reads it';
    return `  ${padEnd(node, 8)} [${bar}] ${shareText(fill)} unread, ${bytesText(position)} written, ${readers}`;
  };
  return [
    `${paint.dim('VOLUME')} ${withoutControls(path)}  ${use}${fault === null ? '' : paint.red(`  ${fault}`)}`,
    ...rings.map(line),
  ];
}

const mirrorLines = (mirrors: readonly MirrorView[], paint: Paint): string[] =>
  mirrors.flatMap(({ name, role, state, cut, targets, fault }) => [
    `${paint.dim('MIRROR')} ${name}  ${role}  ${state}${cut === null ? '' : `  mark ${countText(cut)}`}${fault === null ? '' : paint.red(`  ${fault}`)}`,
    ...targets.map((target) => {
      const { lag, resync } = target;
      const behind = lag ? `  behind ${countText(lag.marks)} writes, ${durationText(lag.seconds * 1000)}` : '';
      const done = resync && resync.total > 0 ? `  resync ${shareText(resync.done / resync.total)}` : '';
      return `  ${target.name}  ${target.state}${behind}${done}`;
    }),
  ]);

/** No wider than the terminal: a line that wraps would shift all others. Colours are kept whole. */
function clipped(line: string, columns: number): string {
  if (columnsOf(line) <= columns) return line;
  let out = '';
  let used = 0;
  // oxlint-disable-next-line no-control-regex -- escape sequences begin with a control character
  for (const part of line.match(/\u001B\[[0-9;]*m|[^\u001B]/gu) ?? []) {
    if (part.startsWith('\u001B')) out += part;
    else if (used < columns) {
      out += part;
      used++;
    }
  }
  return out;
}

/** For what is no terminal: a line for each event and each new verdict, nothing for what stays as it is. */
export class PlainWatch {
  #headline = '';
  #seen = '';

  lines({ now, events }: BeginView): string[] {
    if (!now) return [];
    const where = `${now.about.cluster} / ${now.about.node} `;
    const from = this.#seen;
    const news = this.#headline === '' ? [] : events.filter(({ at }) => at > from);
    const lines = news.map((event) => `${where} ${event.at}  ${withoutControls(eventText(event))}`);
    this.#seen = events.at(-1)?.at ?? this.#seen;
    const { level, headline } = now.verdict;
    if (headline === this.#headline) return lines;
    this.#headline = headline;
    return [...lines, `${where} ${new Date(now.atMs).toISOString()}  ${level}: ${headline}`];
  }
}
