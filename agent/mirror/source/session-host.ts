/** What the session with a target is given, and what it tells. */
import type { Meeting, Rival, SourceView } from '../core/meeting.ts';
import type { SourcePolicy } from '../link/greeting.ts';
import type { Address } from '../link/tls.ts';
import type { Machine } from '../machine.ts';
import type { TargetOrder } from '../store/orders.ts';
import type { RingPlace } from '../store/ring.ts';
import type { ComparedHost } from './resync.ts';
import type { LiveRing, ReadFile } from './ring-cursor.ts';
import type { VerifyLimits } from './verify.ts';

/** What of the source a session needs. */
export interface SessionHost {
  readonly machine: Machine;
  readonly ring: LiveRing;
  readonly readFile: ReadFile;
  readonly group: string;
  /** Group, volumes, generation and its ancestry. */
  readonly shape: Pick<SourceView, 'group' | 'volumes' | 'generation' | 'ancestry'>;
  /** What a target without a link has to think of us. */
  readonly policy: SourcePolicy;
  /** Somebody else is, or was, a source of what we are. */
  rival(rival: Rival, reason: string): void;
  /** The oldest place that the ring keeps. */
  readonly oldest: RingPlace;
  /** The last mark that was given. */
  readonly newest: number;
  /** Where the journal ended when this process began. */
  readonly begun: RingPlace;
  placeBefore(mark: number): RingPlace | null;
  /** Keeps what lies behind this position, though it was let go of; false when it is too late. */
  keepFrom(position: number): boolean;
  /** Makes durable what was appended so far; rejects when the journal fails. */
  durable(): Promise<RingPlace>;
  /** Whether checkpoints will refer to what was sent. */
  readonly keepsTransfers: boolean;
  /** The cluster key that seals now. */
  key(): Uint8Array;
  readonly compared: ComparedHost;
  /** Of a scrub. */
  readonly verify: VerifyLimits;
  /** Resolves when all before this position is on the send volumes. */
  stored(position: number): Promise<void>;
  /** The same, and flushed: no failure of theirs takes it back. Resolves too when `isOver`: they may hang for longer than a session lasts. */
  flushed(position: number, isOver: () => boolean): Promise<void>;
  /** Ends the open cycle; its last mark and its number. Resolves when there was room for that. */
  cut(): Promise<{ readonly mark: number; readonly cycle: number }>;
  /** Something that answers or commits may hang on is not as it was. */
  changed(): void;
  /** What an operator asked for is done, or all of it was compared. */
  ordered(): void;
  tell(event: SessionEvent): void;
}

export type SessionEvent =
  | { readonly kind: 'target-linked'; readonly target: string; readonly how: Meeting['how']; readonly from: number }
  /** Answers wait for it again; `ms`: since it was linked. */
  | { readonly kind: 'target-in-sync'; readonly target: string; readonly ms: number }
  | { readonly kind: 'target-lost'; readonly target: string; readonly reason: string }
  | { readonly kind: 'target-refused'; readonly target: string; readonly reason: string }
  /** One of several: the session goes on without it. */
  | { readonly kind: 'target-connection-lost'; readonly target: string; readonly reason: string }
  /** A scan found it to be other than it must be. */
  | { readonly kind: 'target-differs'; readonly target: string; readonly reason: string }
  /** Of a recorder: `target` is its name. */
  | { readonly kind: 'recorder-linked'; readonly target: string; readonly how: string; readonly from: number }
  | { readonly kind: 'recorder-lost'; readonly target: string; readonly reason: string };

export interface SessionOptions {
  readonly name: string;
  readonly address: Address;
  /** The direct question: how often, and how many missing answers are a lost link. */
  readonly inquiry: { readonly intervalMs: number; readonly misses: number };
  /** That carry transfers, beside the inquiry's. */
  readonly connections: number;
  /** Of what goes to it over all of them; 0: no bound. */
  readonly bytesPerSecond: number;
  /** What an operator has said of it, at the start. */
  readonly order: TargetOrder;
}
