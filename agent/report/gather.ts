/** What a report is made of: events and minutes that are kept, and what the running agent says. Pure but for `read`. */
import type { KeptEvent } from '../operate/event-file.ts';
import type { Minute, Spread } from '../view/figures.ts';
import { type Present, type Span, spansOf, timeOn } from '../view/spans.ts';
import type { StatusView } from '../view/status.ts';

export interface Range {
  readonly fromMs: number;
  readonly toMs: number;
}

export interface PeerReport {
  readonly node: string;
  readonly spans: readonly Span[];
  /** Milliseconds on each path. */
  readonly shares: ReadonlyMap<string, number>;
  readonly changes: number;
  /** The longest that there was no way at all; null: never. */
  readonly longestIsolationMs: number | null;
  readonly rttMs: Summary | null;
  readonly lagMs: Summary | null;
  readonly lost: number;
  readonly tooOld: number;
  readonly dropped: number;
}

export interface Summary {
  readonly mean: number;
  readonly max: number;
}

export interface ReportData {
  readonly asked: Range;
  /** What of it is known: from the first line that is kept. Null: nothing. */
  readonly knownFromMs: number | null;
  readonly events: readonly KeptEvent[];
  readonly minutes: readonly Minute[];
  readonly peers: readonly PeerReport[];
  readonly write: Summary | null;
  readonly copyLag: Summary | null;
  readonly copyMisses: number;
  readonly stops: number;
}

/** `kept`: oldest first; `status`: what the agent says now, null while none runs. `settingsPeers`: who is in the settings. */
export function gather(
  kept: readonly KeptEvent[],
  status: StatusView | null,
  settingsPeers: readonly string[],
  asked: Range,
): ReportData {
  const isIn = ({ at }: KeptEvent): boolean => Date.parse(at) >= asked.fromMs && Date.parse(at) <= asked.toMs;
  const firstMs = kept[0] ? Date.parse(kept[0].at) : null;
  const minutes = kept.filter((event): event is Minute => event.kind === 'figures');
  const inside = minutes.filter(isIn);
  const events = kept.filter((event) => event.kind !== 'figures');
  // What was heard before tells what held at the beginning.
  const early = minutes.filter(({ at }) => Date.parse(at) <= asked.toMs);
  const ordered = [...events, ...early].toSorted((one, other) => (one.at < other.at ? -1 : one.at > other.at ? 1 : 0));
  const told = events.filter(isIn);
  const named = told.flatMap((event) => (event.kind === 'path' ? [String(event['peer'])] : []));
  const peers = [...new Set([...settingsPeers, ...named])];
  return {
    asked,
    knownFromMs: firstMs === null || firstMs > asked.toMs ? null : Math.max(firstMs, asked.fromMs),
    events: told,
    minutes: inside,
    peers: peers.map((node) => peerReport(node, ordered, inside, presentOf(status, node), asked)),
    write: summary(inside.map(({ node }) => node.writeMs)),
    copyLag: summary(inside.map(({ node }) => node.copyLagMs)),
    copyMisses: told.filter(({ kind }) => kind === 'copy-late').length,
    stops: told.filter(({ kind }) => kind === 'running').length,
  };
}

function presentOf(status: StatusView | null, node: string): Present | null {
  const peer = status?.peers.find((each) => each.node === node);
  return peer ? { path: peer.path, sinceMs: Date.parse(peer.since) } : null;
}

function peerReport(
  node: string,
  events: readonly KeptEvent[],
  minutes: readonly Minute[],
  present: Present | null,
  { fromMs, toMs }: Range,
): PeerReport {
  const spans = spansOf(events, node, fromMs, toMs, present);
  const isolated = spans.filter(({ path }) => path === 'isolated').map((span) => span.toMs - span.fromMs);
  const figures = minutes.flatMap(({ peers }) => (peers[node] ? [peers[node]] : []));
  const sum = (key: 'lost' | 'tooOld' | 'dropped'): number => figures.reduce((total, each) => total + each[key], 0);
  return {
    node,
    spans,
    shares: timeOn(spans),
    changes: Math.max(0, spans.filter(({ path }) => path !== 'unknown' && path !== 'off').length - 1),
    longestIsolationMs: isolated.length === 0 ? null : Math.max(...isolated),
    rttMs: summary(figures.map(({ rttMs }) => rttMs)),
    lagMs: summary(figures.map(({ lagMs }) => lagMs)),
    lost: sum('lost'),
    tooOld: sum('tooOld'),
    dropped: sum('dropped'),
  };
}

function summary(spreads: readonly (Spread | undefined)[]): Summary | null {
  const known = spreads.filter((spread) => spread !== null && spread !== undefined);
  if (known.length === 0) return null;
  return {
    mean: known.reduce((total, [mean]) => total + mean, 0) / known.length,
    max: Math.max(...known.map(([, max]) => max)),
  };
}
