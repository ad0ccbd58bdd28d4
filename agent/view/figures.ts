/**
 * Status documents as figures over time: a moment out of two of them, a minute out of many moments. Pure.
 * Rates and counts are of the time since the document before; the first one has none.
 */
import type { PeerStatus, StatusView } from './status.ts';

export interface PeerMoment {
  readonly rttMs: number | null;
  readonly lagMs: number | null;
  readonly outPerS: number | null;
  readonly inPerS: number | null;
  /** Packets and bytes that wait for the peer, or are kept until it confirms them. */
  readonly waiting: number;
  readonly waitingBytes: number;
  /** Written by the peer to its volume, not yet read here. */
  readonly behindBytes: number;
  /** Packets since the moment before: from the peer and missing, too old; to the peer and dropped here. */
  readonly lost: number;
  readonly tooOld: number;
  readonly dropped: number;
}

export interface NodeMoment {
  readonly writeMs: number | null;
  readonly writtenPerS: number | null;
  readonly readPerS: number | null;
  readonly copyLagMs: number | null;
  readonly bufferBytes: number;
}

export interface Moment {
  readonly atMs: number;
  readonly node: NodeMoment;
  readonly peers: Readonly<Record<string, PeerMoment>>;
}

const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);
const queuesOf = ({ queues }: PeerStatus) => [queues.heartbeat, queues.data, queues.bulk];
const droppedOf = (peer: PeerStatus): number => sum(queuesOf(peer).map(({ dropped, expired }) => dropped + expired));

export class MomentMaker {
  #former: { readonly status: StatusView; readonly atMs: number } | null = null;

  /** The figures of now; `atMs`: milliseconds since 1970. */
  next(status: StatusView, atMs: number): Moment {
    const former = this.#former?.status.pid === status.pid ? this.#former : null;
    this.#former = { status, atMs };
    const seconds = former ? (atMs - former.atMs) / 1000 : 0;
    const rate = (now: number, then: number | undefined): number | null =>
      then === undefined || seconds <= 0 ? null : Math.max(0, now - then) / seconds;
    const then = former?.status.storage;
    const { storage, queues } = status;
    const { copy } = storage;
    return {
      atMs,
      node: {
        writeMs: storage.available ? storage.lastWriteMs : null,
        writtenPerS: rate(storage.bytesWritten, then?.bytesWritten),
        readPerS: rate(storage.bytesRead, then?.bytesRead),
        copyLagMs: copy.kind === 'shared' ? null : copy.lagMs,
        bufferBytes: sum(Object.values(queues ?? {})),
      },
      peers: Object.fromEntries(
        status.peers.map((peer) => {
          const was = former?.status.peers.find(({ node }) => node === peer.node);
          return [peer.node, peerMoment(peer, was, rate)];
        }),
      ),
    };
  }
}

function peerMoment(
  peer: PeerStatus,
  was: PeerStatus | undefined,
  rate: (now: number, then: number | undefined) => number | null,
): PeerMoment {
  const since = (now: number, then: number | undefined): number => Math.max(0, now - (then ?? now));
  return {
    rttMs: peer.network.reachable ? peer.network.rttMs : null,
    lagMs: peer.storage.fresh ? peer.storage.lagMs : null,
    outPerS: rate(peer.sent, was?.sent),
    inPerS: rate(peer.received, was?.received),
    waiting: sum(queuesOf(peer).map(({ depth }) => depth)),
    waitingBytes: sum(queuesOf(peer).map(({ bytes }) => bytes)),
    behindBytes: peer.storage.behindBytes,
    lost: since(peer.lost, was?.lost),
    tooOld: since(peer.tooOld, was?.tooOld),
    dropped: since(droppedOf(peer), was ? droppedOf(was) : undefined),
  };
}

/** Mean and highest of a minute; null: was never known in it. */
export type Spread = readonly [mean: number, max: number] | null;

const COUNTS = ['lost', 'tooOld', 'dropped'] as const;
type Count = (typeof COUNTS)[number];

export type PeerMinute = { readonly [Key in Exclude<keyof PeerMoment, Count>]: Spread } & {
  readonly [Key in Count]: number;
};

/** What is kept of a stretch of time. An event among others, so that it lies in the same file. */
export interface Minute {
  readonly at: string;
  readonly kind: 'figures';
  readonly forMs: number;
  readonly node: { readonly [Key in keyof NodeMoment]: Spread };
  readonly peers: Readonly<Record<string, PeerMinute>>;
  readonly [figure: string]: unknown;
}

/** The moments of one stretch as one line; `at` is its end. Needs one moment at least. */
export function minuteOf(moments: readonly Moment[], fromMs: number): Minute | null {
  const last = moments.at(-1);
  if (!last) return null;
  const names = new Set(moments.flatMap(({ peers }) => Object.keys(peers)));
  const minuteOfPeer = (name: string): PeerMinute => {
    const all = moments.flatMap(({ peers }) => (peers[name] ? [peers[name]] : []));
    const keys = Object.keys(all[0] ?? {}) as (keyof PeerMoment)[];
    return Object.fromEntries(
      keys.map((key) => {
        const isCount = (COUNTS as readonly string[]).includes(key);
        return [key, isCount ? sum(all.map((moment) => moment[key] ?? 0)) : spread(all.map((moment) => moment[key]))];
      }),
    ) as unknown as PeerMinute;
  };
  const nodeKeys = Object.keys(last.node) as (keyof NodeMoment)[];
  return {
    at: new Date(last.atMs).toISOString(),
    kind: 'figures',
    forMs: Math.round(last.atMs - fromMs),
    node: Object.fromEntries(
      nodeKeys.map((key) => [key, spread(moments.map(({ node }) => node[key]))]),
    ) as unknown as Minute['node'],
    peers: Object.fromEntries([...names].map((name) => [name, minuteOfPeer(name)])),
  };
}

function spread(values: readonly (number | null)[]): Spread {
  const known = values.filter((value) => value !== null);
  if (known.length === 0) return null;
  return [rounded(sum(known) / known.length), rounded(Math.max(...known))];
}

/** Three digits are enough for a picture, and short in a file. */
const rounded = (value: number): number => Number(value.toPrecision(3));
