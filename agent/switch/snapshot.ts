/** What `status` shows of the switch thread's knowledge, as plain values for the main thread. */
import { BULK, CONTROL, DATA, HEARTBEAT } from '../base/packet-type.ts';
import type { NodeCore } from '../core/node-core.ts';
import type { PeerLink } from '../core/peer-link.ts';
import type { LinkWatch } from '../platform/link-watch.ts';
import { PEER, PEER_TIME, type PeerWords, type SharedState } from '../queue/shared-state.ts';
import type { WriteBuffer } from '../queue/write-buffer.ts';
import { HELLO_FLAG } from '../wire/message.ts';
import { type BypassEdge, type BypassFigures, NO_BYPASS } from './bypass-edge.ts';
import type { TunnelEdge } from './tunnel-edge.ts';

export interface QueueSnapshot {
  /** Frames of this type that entered the interface for the peer. */
  readonly sent: number;
  readonly depth: number;
  readonly bytes: number;
  readonly dropped: number;
  readonly expired: number;
  readonly resent: number;
}

export interface PeerSnapshot {
  readonly node: string;
  /** Its place in the shared state. */
  readonly seat: number;
  /** The peer has us among its peers; null: not known. */
  readonly knowsUs: boolean | null;
  /** The addresses that the peer says it has, when those of our settings are not among them. */
  readonly otherAddresses: readonly string[] | null;
  readonly path: string;
  readonly override: string;
  readonly sinceMs: number;
  readonly holdMs: number;
  readonly accepted: boolean;
  readonly acceptedByPeer: boolean;
  readonly network: {
    readonly reachable: boolean;
    readonly hearsUs: boolean;
    readonly rttMs: number | null;
    readonly clockOffsetMs: number | null;
    readonly unauthentic: number;
    readonly replayed: number;
    readonly garbage: number;
    /** Datagrams of a tunnel version that this agent does not understand. */
    readonly otherVersion: number;
  };
  readonly storage: {
    readonly fresh: boolean;
    /** How often the peer's word was not read within its time. */
    readonly misses: number;
    /** Head blocks of a format that this agent does not understand. */
    readonly otherVersion: number;
    readonly lagMs: number | null;
    readonly behindBytes: number;
  };
  readonly bypass: BypassFigures;
  readonly sent: number;
  readonly received: number;
  readonly lost: number;
  readonly duplicates: number;
  readonly tooOld: number;
  readonly queues: Readonly<Record<'heartbeat' | 'data' | 'bulk', QueueSnapshot>>;
}

export interface SwitchSnapshot {
  readonly nowMs: number;
  readonly carrier: boolean | null;
  readonly frames: number;
  readonly unaddressed: number;
  readonly stale: number;
  readonly writeBuffer: Readonly<Record<'control' | 'heartbeat' | 'data' | 'bulk', number>>;
  readonly tunnel: { readonly datagramBytes: number; readonly strangers: number; readonly sendErrors: number } | null;
  readonly peers: readonly PeerSnapshot[];
}

export function snapshot(
  core: NodeCore,
  edge: TunnelEdge | null,
  carrier: LinkWatch | null,
  state: SharedState,
  buffer: WriteBuffer,
  bypass: BypassEdge | null,
  nowMs: number,
): SwitchSnapshot {
  return {
    nowMs,
    carrier: carrier?.up ?? null,
    ...core.counters,
    writeBuffer: {
      control: buffer.usedBytesOf(CONTROL),
      heartbeat: buffer.usedBytesOf(HEARTBEAT),
      data: buffer.usedBytesOf(DATA),
      bulk: buffer.usedBytesOf(BULK),
    },
    tunnel: edge && {
      datagramBytes: edge.segmentBytes,
      strangers: edge.counters.strangers,
      sendErrors: edge.counters.sendErrors,
    },
    peers: core.links.map((link) => {
      const { seat } = link.settings;
      return peerSnapshot(link, state.peers[seat] as PeerWords, bypass?.figures(seat) ?? NO_BYPASS, nowMs);
    }),
  };
}

function peerSnapshot(link: PeerLink, { words, times }: PeerWords, bypass: BypassFigures, nowMs: number): PeerSnapshot {
  const { clock, judge, incoming } = link;
  const lanes = [HEARTBEAT, DATA, BULK].map((type) => incoming.of(type));
  const sum = (field: 'delivered' | 'lost' | 'duplicates' | 'tooOld') =>
    lanes.reduce((n, lane) => n + (lane?.[field] ?? 0), 0);
  const tunnel = link.receiver?.counters;
  const { heartbeat, data, bulk } = link.outgoing;
  return {
    node: link.settings.name,
    seat: link.settings.seat,
    knowsUs: link.claims.knowsUs,
    otherAddresses: link.claims.otherAddresses,
    path: judge.path,
    override: judge.override,
    sinceMs: judge.sinceMs,
    holdMs: judge.holdMs,
    accepted: link.accepted !== null,
    acceptedByPeer: link.peerAccepts,
    network: {
      reachable: judge.hears(nowMs),
      hearsUs: (link.peerFlags & HELLO_FLAG.hearsNetwork) !== 0,
      rttMs: clock.known ? clock.roundTripUs / 1000 : null,
      clockOffsetMs: clock.known ? clock.offsetUs / 1000 : null,
      unauthentic: tunnel?.unauthentic ?? 0,
      replayed: tunnel?.replayed ?? 0,
      garbage: tunnel?.garbage ?? 0,
      otherVersion: tunnel?.version ?? 0,
    },
    storage: {
      fresh: link.storage.fresh,
      misses: link.storage.misses,
      otherVersion: words[PEER.foreignHeads] ?? 0,
      lagMs: lagMs(times, nowMs),
      behindBytes: Math.max(0, (times[PEER_TIME.headPosition] ?? 0) - (times[PEER_TIME.readPosition] ?? 0)),
    },
    bypass,
    sent: heartbeat.counters.sent + data.counters.sent + bulk.counters.sent,
    received: sum('delivered') - incoming.refused + (words[PEER.delivered] ?? 0),
    lost: sum('lost') + incoming.refused + (words[PEER.refused] ?? 0),
    duplicates: sum('duplicates') + (words[PEER.duplicates] ?? 0),
    tooOld: link.counters.tooOld + sum('tooOld') + (words[PEER.tooOld] ?? 0),
    queues: {
      heartbeat: queue(heartbeat.waiting, heartbeat.waitingBytes, heartbeat.counters),
      data: queue(data.keptFrames, data.keptBytes, data.counters),
      bulk: queue(bulk.keptFrames, bulk.keptBytes, bulk.counters),
    },
  };
}

/** How long ago a lag may have been measured and still be told. */
const LAG_KEPT_MS = 60_000;

function lagMs(times: Float64Array, nowMs: number): number | null {
  const seenMs = times[PEER_TIME.lagSeenMs] ?? 0;
  return seenMs === 0 || nowMs - seenMs > LAG_KEPT_MS ? null : (times[PEER_TIME.lagMs] ?? 0);
}

function queue(depth: number, bytes: number, counters: Omit<QueueSnapshot, 'depth'>): QueueSnapshot {
  const { sent, dropped, expired, resent } = counters;
  return { sent, depth, bytes, dropped, expired, resent };
}
