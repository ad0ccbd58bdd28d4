/** The report as one HTML file: what an administrator sends to whoever asks what has happened. */
import { eventText } from '../view/event-text.ts';
import { missedOf } from '../view/status.ts';
import { bytesText, countText, durationText, listText, msText, shareText } from '../view/units.ts';
import { wayOf } from '../view/ways.ts';
import { type Curve, plot, timeline, timeText } from './draw.ts';
import type { PeerReport, Range, ReportData } from './gather.ts';
import { Html, html, table } from './html.ts';
import { STYLE } from './style.ts';

export interface About {
  readonly cluster: string;
  readonly node: string;
  readonly madeMs: number;
  /** The settings without secrets, as YAML. */
  readonly settings: string;
  readonly versions: readonly (readonly [what: string, which: string])[];
  /** False: no agent runs now. */
  readonly isRunning: boolean;
  /** Where events are kept, and how many bytes of them at most. */
  readonly kept: { readonly file: string; readonly bytes: number };
}

const TOLD_MAX = 1000;

/** Whether a file that begins so is one of these. */
export const isReport = (beginning: string): boolean =>
  /^<!doctype html>/i.test(beginning) && beginning.includes('<title>stillbeat report: ');

export function reportHtml(data: ReportData, about: About): string {
  const { cluster, node } = about;
  const { fromMs, toMs } = data.asked;
  const body = html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <meta http-equiv="content-security-policy" content="default-src 'none'; style-src 'unsafe-inline'" />
        <title>stillbeat report: ${cluster}, ${timeText(fromMs)} to ${timeText(toMs)} UTC</title>
        <style>
          ${new Html(STYLE)}
        </style>
      </head>
      <body>
        <header>
          <h1>What the cluster ${cluster} did</h1>
          <p>
            ${timeText(fromMs)} to ${timeText(toMs)} UTC (${durationText(toMs - fromMs)}), as node <b>${node}</b> saw
            it. All times are UTC.
          </p>
        </header>
        <main>
          <section>
            <h2>In short</h2>
            ${inShort(data, about)}
          </section>
          <section>
            <h2>Which way, when</h2>
            ${timeline(data.peers, shownOf(data))} ${shares(data)}
          </section>
          <section>
            <h2>Changes of ways</h2>
            ${changes(data)}
          </section>
          <section>
            <h2>Lost and late</h2>
            ${losses(data)}
          </section>
          <section>
            <h2>Figures</h2>
            ${figures(data)}
          </section>
          <section>
            <h2>Events</h2>
            ${events(data)}
          </section>
          <section>
            <h2>Versions</h2>
            ${table(['what', 'which'], about.versions)}
          </section>
          <section>
            <h2>Settings, without secrets</h2>
            <pre>${about.settings}</pre>
          </section>
        </main>
        <footer>
          Made by stillbeat on ${node}, ${timeText(about.madeMs)} UTC${about.isRunning ? null : '; no agent ran then'}.
          Events and figures are kept in ${about.kept.file},
          ${about.kept.bytes === 0 ? 'switched off' : `${bytesText(about.kept.bytes)} at most`}.
        </footer>
      </body>
    </html> `;
  return body.text;
}

/** Pictures begin where something is known: three minutes in the picture of a day are a line. */
const shownOf = ({ asked, knownFromMs }: ReportData): Range =>
  knownFromMs === null ? asked : { fromMs: Math.max(asked.fromMs, knownFromMs), toMs: asked.toMs };

/** The sentences that somebody reads who reads nothing else. */
function inShort(data: ReportData, about: About): Html {
  const { peers, asked } = data;
  const away = peers.filter(({ shares }) => (shares.get('storage') ?? 0) + (shares.get('returning') ?? 0) > 0);
  const isolated = peers.filter(({ longestIsolationMs }) => longestIsolationMs !== null);
  const lost = peers.reduce((sum, peer) => sum + missedOf(peer), 0);
  const sentences: (Html | string)[] = [];
  if (data.knownFromMs === null) sentences.push(html`<b>Nothing is kept of this time.</b>`);
  else if (data.knownFromMs > asked.fromMs + 1000) {
    sentences.push(
      html`<b>Nothing is kept of the time before ${timeText(data.knownFromMs)}</b>: of the
        ${durationText(asked.toMs - asked.fromMs)} that were asked for, the last
        ${durationText(asked.toMs - data.knownFromMs)} are reported.`,
    );
  }
  for (const peer of away) sentences.push(awayText(peer));
  for (const { node, longestIsolationMs } of isolated) {
    sentences.push(
      html`<b>${node} was isolated</b>, with neither network nor storage, for ${durationText(longestIsolationMs ?? 0)}
        at the longest.`,
    );
  }
  if (data.knownFromMs !== null && away.length === 0 && isolated.length === 0) {
    sentences.push(html`The network to ${listText(peers.map(({ node }) => node))} was never out.`);
  }
  if (data.minutes.length > 0) {
    sentences.push(
      lost === 0
        ? 'No packet to this node is known to be lost or late.'
        : html`<b>${countText(lost)} packets</b> to this node were lost or too old; see below.`,
    );
  }
  if (data.copyMisses > 0) sentences.push(`The copy of the send volume was late ${countText(data.copyMisses)} times.`);
  if (data.stops > 0)
    sentences.push(`The agent began ${data.stops === 1 ? 'once' : `${data.stops} times`} in this time.`);
  if (!about.isRunning) sentences.push(html`<b>No agent runs on ${about.node} now.</b>`);
  return html`<ul>
    ${sentences.map((sentence) => html`<li>${sentence}</li>`)}
  </ul>`;
}

function awayText({ node, shares, spans }: PeerReport): Html {
  const awayMs = (shares.get('storage') ?? 0) + (shares.get('returning') ?? 0);
  const cuts = spans.filter(({ path }, i) => path === 'storage' && spans[i - 1]?.path !== 'returning');
  const first = cuts[0];
  const times = cuts.length === 1 ? 'once' : `${cuts.length} times`;
  const why = first ? `, first at ${timeText(first.fromMs)} (${first.reason})` : '';
  return html`The network to <b>${node}</b> was out ${times}${why}; packets went by storage for ${durationText(awayMs)}
    in all.`;
}

function shares({ peers }: ReportData): Html {
  const paths = ['network', 'storage', 'returning', 'isolated', 'off', 'unknown'];
  const head = ['peer', ...paths.map((path) => wayOf(path).text), 'changes'];
  const cell = (peer: PeerReport, path: string): string => {
    const known = [...peer.shares.values()].reduce((sum, ms) => sum + ms, 0);
    // A late probe is no change of the way.
    const ms = (peer.shares.get(path) ?? 0) + (path === 'network' ? (peer.shares.get('suspect') ?? 0) : 0);
    return ms === 0 ? '–' : `${durationText(ms)} (${shareText(ms / known)})`;
  };
  const rows = peers.map((peer) => [peer.node, ...paths.map((path) => cell(peer, path)), peer.changes]);
  return table(head, rows, [1, 2, 3, 4, 5, 6, 7]);
}

function changes({ peers, events }: ReportData): Html {
  const diagnoses = events.filter(({ kind }) => kind === 'diagnosis');
  const rows = peers
    .flatMap(({ node, spans }) => spans.slice(1).map((span, i) => ({ node, span, former: spans[i]?.path ?? '' })))
    .toSorted((one, other) => one.span.fromMs - other.span.fromMs)
    .map(({ node, span, former }) => {
      const said = diagnoses.find(
        (event) => event['peer'] === node && Math.abs(Date.parse(event.at) - span.fromMs) < 5000,
      );
      const isOut = span.path === 'storage' || span.path === 'isolated';
      const meaning = isOut && said ? `; ${String(said['meaning'])}` : '';
      return [
        timeText(span.fromMs),
        node,
        `${former} → ${span.path}`,
        durationText(span.toMs - span.fromMs),
        `${span.reason}${meaning}`,
      ];
    });
  if (rows.length === 0) return html`<p>None.</p>`;
  return table(['at', 'peer', 'change', 'it lasted', 'why'], rows, [3]);
}

function losses({ peers, minutes }: ReportData): Html {
  if (minutes.length === 0) return html`<p>No figures are kept of this time.</p>`;
  const rows = peers.map(({ node, lost, tooOld, dropped }) => [
    node,
    countText(lost),
    countText(tooOld),
    countText(dropped),
  ]);
  const bad = minutes.filter((minute) =>
    Object.values(minute.peers).some(({ lost, tooOld, dropped }) => lost + tooOld + dropped > 0),
  );
  const when = bad.map((minute) => timeText(Date.parse(minute.at))).slice(0, 20);
  return html`${table(
    ['peer', 'lost on the way here', 'too old when they came', 'dropped here on the way there'],
    rows,
    [1, 2, 3],
  )}${when.length === 0 ? null : html`<p>In the minutes before ${listText(when)}${bad.length > 20 ? ' and others' : null}.</p>`}`;
}

function figures(data: ReportData): Html {
  const { minutes, peers, write, copyLag } = data;
  const asked = shownOf(data);
  if (minutes.length === 0) return html`<p>No figures are kept of this time.</p>`;
  const curve = (
    name: string,
    of: (minute: (typeof minutes)[number]) => readonly [number, number] | null | undefined,
  ): Curve => ({
    name,
    points: minutes.flatMap((minute) => {
      const spread = of(minute);
      if (!spread) return [];
      const atMs = Date.parse(minute.at);
      return [{ fromMs: Math.max(atMs - minute.forMs, asked.fromMs), atMs, mean: spread[0], max: spread[1] }];
    }),
  });
  const rows = [
    ...peers.flatMap(({ node, rttMs, lagMs }) => [
      [`${node}: round trip on the network`, msText(rttMs?.mean), msText(rttMs?.max)],
      [`${node}: age of what is read from storage`, msText(lagMs?.mean), msText(lagMs?.max)],
    ]),
    ['own writes to storage', msText(write?.mean), msText(write?.max)],
    ...(copyLag === null ? [] : [['lag of the copy', msText(copyLag.mean), msText(copyLag.max)]]),
  ];
  const shown = peers.slice(0, 4);
  return html`${table(['', 'mean', 'highest'], rows, [1, 2])}
  ${plot(
    'Round trip on the network',
    shown.map(({ node }) => curve(node, (minute) => minute.peers[node]?.rttMs)),
    asked,
    'ms',
    msText,
  )}
  ${plot(
    'Age of what is read from storage',
    shown.map(({ node }) => curve(node, (minute) => minute.peers[node]?.lagMs)),
    asked,
    'ms',
    msText,
  )}
  ${plot(
    'Packets out a second',
    shown.map(({ node }) => curve(node, (minute) => minute.peers[node]?.outPerS)),
    asked,
    'count',
    (value) => countText(value),
  )}
  ${plot(
    'Waiting, or kept until confirmed',
    shown.map(({ node }) => curve(node, (minute) => minute.peers[node]?.waitingBytes)),
    asked,
    'bytes',
    bytesText,
  )}`;
}

const levelOf = ({ level }: ReportData['events'][number]): string => (typeof level === 'string' ? level : 'info');

function events({ events: all }: ReportData): Html {
  if (all.length === 0) return html`<p>None.</p>`;
  const told = all.slice(-TOLD_MAX);
  const rows = told.map((event) => [event.at.replace('T', ' ').slice(0, 23), levelOf(event), eventText(event)]);
  const note = told.length < all.length ? html`<p>The last ${told.length} of ${all.length}.</p>` : null;
  return html`${note}${table(['at', 'level', 'what'], rows)}`;
}
