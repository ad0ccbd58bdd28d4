/** What the page is given, as types alone: the agent makes it, the browser shows it. */
import type { Minute, Moment } from '../view/figures.ts';
import type { CopyStatus, EventView, PeerStatus } from '../view/status.ts';
import type { Verdict } from '../view/verdict.ts';

/** What one node says of its way to another, in its own head block. */
export interface PairView {
  readonly from: string;
  readonly to: string;
  readonly path: string;
  /** How long ago this node last saw a new word of `from`; 0: it is this node. */
  readonly agoMs: number;
}

export interface CursorView {
  readonly node: string;
  readonly readPosition: number;
}

export interface RingView {
  readonly node: string;
  readonly state: string;
  /** How far it has written in all, and how much of that its slowest reader has not read. */
  readonly position: number;
  readonly unreadBytes: number;
  readonly cursors: readonly CursorView[];
  readonly agoMs: number;
}

export interface VolumeView {
  readonly path: string;
  /** `send`, `receive`, or both of a volume that is shared. */
  readonly use: string;
  readonly slotBytes: number;
  readonly rings: readonly RingView[];
  /** Why nothing of it is known; null: it is read. */
  readonly fault: string | null;
}

export interface MirrorTargetView {
  readonly name: string;
  readonly state: string;
  readonly received: number | null;
  readonly applied: number | null;
  readonly lag: { readonly marks: number; readonly bytes: number | null; readonly seconds: number } | null;
  readonly outOfSyncBytes: number | null;
  readonly resync: { readonly done: number; readonly total: number; readonly secondsLeft?: number | null } | null;
}

export interface MirrorView {
  readonly name: string;
  readonly role: string;
  readonly state: string;
  readonly cut: number | null;
  readonly canBeLost: string | null;
  readonly targets: readonly MirrorTargetView[];
  readonly fault: string | null;
}

/** What does not change from second to second. */
export interface AboutView {
  readonly cluster: string;
  readonly node: string;
  readonly version: string;
  readonly pid: number;
  readonly vnic: string;
  readonly addresses: readonly string[];
  readonly mode: string;
  readonly primary: string | null;
  readonly carrier: boolean | null;
}

export interface NowView {
  readonly atMs: number;
  readonly verdict: Verdict;
  readonly about: AboutView;
  readonly peers: readonly PeerStatus[];
  readonly storage: {
    readonly available: boolean;
    readonly volume: string;
    readonly lastWriteMs: number;
    readonly writeError: string | null;
    readonly copy: CopyStatus;
  };
  readonly queues: Readonly<Record<string, number>> | null;
  readonly moment: Moment;
  readonly pairs: readonly PairView[];
  readonly volumes: readonly VolumeView[];
  readonly mirrors: readonly MirrorView[];
}

/** The first word to a viewer; then come `now` and `event`. */
export interface BeginView {
  readonly events: readonly EventView[];
  readonly minutes: readonly Minute[];
  readonly now: NowView | null;
}

export interface PacketView {
  readonly time: string;
  readonly orderMark: number;
  readonly from: string;
  readonly to: string;
  readonly type: string;
  readonly sequence: number;
  readonly bytes: number;
  readonly text: string;
}

export interface PacketsView {
  readonly volume: string;
  readonly node: string;
  /** Newest first. */
  readonly packets: readonly PacketView[];
  /** What could not be shown, and why: sealed with another key, damaged. */
  readonly notes: readonly string[];
}
