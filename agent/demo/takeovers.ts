/**
 * From the paths that agents reported over time to what the report says about them: takeovers, each with the longest
 * silence around it, and which round trips were of which way.
 */
import type { Path } from '../base/paths.ts';
import { rounded } from './figures.ts';

/** A change of one node's path to a peer, as seen in its status. Times are ms of the monotonic clock. */
export interface PathChange {
  readonly atMs: number;
  readonly node: string;
  /** To whom; left out where there is only one. */
  readonly peer?: string;
  readonly from: Path;
  readonly to: Path;
}

export type PhaseKind = 'healthy' | 'silent' | 'carrier' | 'return';

export interface Phase {
  readonly kind: PhaseKind;
  readonly startMs: number;
}

/** Which way data takes on a path: a suspected network is still in use, and so is storage until the return is over. */
export type Way = 'network' | 'storage' | 'isolated';
const WAY: Readonly<Record<Path, Way>> = {
  network: 'network',
  suspect: 'network',
  storage: 'storage',
  returning: 'storage',
  isolated: 'isolated',
};

export const wayOf = (path: Path): Way => WAY[path];

export interface Takeover {
  /** What made it happen; `unexpected` when nothing had been done to the network. */
  readonly kind: 'silent' | 'carrier' | 'return' | 'unexpected';
  readonly from: Way;
  readonly to: Way;
  /** Longest silence of a heartbeat stream from its cause until shortly after; null when nothing was heard. */
  readonly blackoutMs: number | null;
}

export type Silences = readonly (readonly [atMs: number, longMs: number])[];

/** Silences still count this long after the last node changed its way. */
const AFTER_MS = 500;
/** An unexpected takeover has no known cause: silences count from this long before it. */
const BEFORE_MS = 1000;

/** All nodes' changes between the same two ways in one phase are one takeover, unless a node makes the change twice. */
export function takeovers(changes: readonly PathChange[], phases: readonly Phase[], silences: Silences): Takeover[] {
  const groups = new Map<string, { change: PathChange; phase: Phase | undefined; lastMs: number }>();
  const times = new Map<string, number>();
  for (const change of changes.toSorted((a, b) => a.atMs - b.atMs)) {
    if (WAY[change.from] === WAY[change.to]) continue;
    const phase = phases.findLast(({ startMs }) => startMs <= change.atMs);
    const what = `${phase?.startMs} ${WAY[change.from]} ${WAY[change.to]}`;
    const nth = (times.get(`${what} ${change.node}`) ?? 0) + 1;
    times.set(`${what} ${change.node}`, nth);
    const group = groups.get(`${what} ${nth}`);
    if (group === undefined) groups.set(`${what} ${nth}`, { change, phase, lastMs: change.atMs });
    else group.lastMs = change.atMs;
  }
  return [...groups.values()].map(({ change, phase, lastMs }) => {
    const kind = phase === undefined || phase.kind === 'healthy' ? 'unexpected' : phase.kind;
    const firstMs = kind === 'unexpected' || phase === undefined ? change.atMs - BEFORE_MS : phase.startMs;
    return {
      kind,
      from: WAY[change.from],
      to: WAY[change.to],
      blackoutMs: longest(silences, firstMs, lastMs + AFTER_MS),
    };
  });
}

/** The longest silence that ended in this time; null when nothing was heard. */
export function longest(silences: Silences, firstMs: number, lastMs: number): number | null {
  const within = silences.filter(([atMs]) => atMs >= firstMs && atMs <= lastMs).map(([, longMs]) => longMs);
  return within.length === 0 ? null : rounded(Math.max(...within));
}

export interface RoundTrip {
  readonly atMs: number;
  readonly rttMs: number;
}

/** A status is up to this old when it is seen: round trips so close to a change are of neither way. */
const MARGIN_MS = 150;

/** The round trips made wholly on one way, with every node on the same one. */
export function roundTripsByWay(
  trips: readonly RoundTrip[],
  changes: readonly PathChange[],
  nodes: readonly string[],
): { network: number[]; storage: number[] } {
  const result: { network: number[]; storage: number[] } = { network: [], storage: [] };
  for (const { atMs, rttMs } of trips) {
    const near = ({ atMs: changeMs }: PathChange): boolean =>
      changeMs > atMs - rttMs - MARGIN_MS && changeMs < atMs + MARGIN_MS;
    if (changes.some(near)) continue;
    const paths = new Set(nodes.map((node) => pathAt(changes, node, atMs)));
    const [path] = paths;
    if (paths.size === 1 && (path === 'network' || path === 'storage')) result[path].push(rttMs);
  }
  return result;
}

function pathAt(changes: readonly PathChange[], node: string, atMs: number): Path {
  const own = changes.filter((change) => change.node === node);
  return own.findLast((change) => change.atMs <= atMs)?.to ?? own[0]?.from ?? 'network';
}
