/** `stillbeat copy` (AG8): until a position is on the copy, and the peers that read it say that they have. */
import { setTimeout as delay } from 'node:timers/promises';
import { AgentError } from '../base/errors.ts';
import { systemClock } from '../platform/clock.ts';
import { PEER, PEER_TIME, type SharedState } from '../queue/shared-state.ts';
import type { Seat } from '../threads.ts';
import type { Copying } from './copying.ts';

export interface Wanted {
  /** Null: all that is written now. */
  readonly position: number | null;
  /** It alone is waited for, also when it is not heard by storage; null: all that are. */
  readonly peer: string | null;
  readonly deadlineMs: number;
}

export interface ReadBy {
  readonly position: number;
  readonly copiedMs: number;
  readonly afterMs: number;
  /** Peers that have read it; those that are not heard by storage are not waited for. */
  readonly readBy: readonly string[];
  readonly notHeard: readonly string[];
}

const POLL_MS = 5;

export async function copyAndRead(
  copying: Copying,
  state: SharedState,
  seats: readonly Seat[],
  { position, peer, deadlineMs }: Wanted,
): Promise<ReadBy> {
  const named = seats.filter((seat) => peer === null || seat.peer.node === peer);
  if (named.length === 0) throw new AgentError('usage', `no peer ${peer}: this node's peers are ${namesOf(seats)}`);
  const { written } = copying;
  if (position !== null && position > written.position) {
    throw new AgentError('usage', `position ${position} is not written yet: the newest is ${written.position}`);
  }
  const beganMs = systemClock.monotonicMs();
  const copied = await copying.copyNow(position, deadlineMs);
  if (!copied.ok) throw new AgentError('failed', `position ${copied.position} is not on the copy: ${copied.reason}`);
  // A peer that is not heard by storage says nothing of what it has read.
  const isHeard = ({ seat }: Seat): boolean => Atomics.load(state.peers[seat]?.words ?? NONE, PEER.live) === 1;
  const awaited = peer === null ? named.filter(isHeard) : named;
  const hasRead = ({ seat }: Seat): boolean =>
    (state.peers[seat]?.times[PEER_TIME.peerReadPosition] ?? 0) >= copied.position;
  for (;;) {
    const afterMs = systemClock.monotonicMs() - beganMs;
    const missing = awaited.filter((seat) => !hasRead(seat));
    if (missing.length === 0) {
      const notHeard = named.filter((seat) => !awaited.includes(seat)).map(({ peer: { node } }) => node);
      const readBy = awaited.map(({ peer: { node } }) => node);
      return { position: copied.position, copiedMs: copied.afterMs, afterMs, readBy, notHeard };
    }
    if (afterMs >= deadlineMs) {
      const what = `position ${copied.position} is on the copy, and not read by ${namesOf(missing)}`;
      throw new AgentError('failed', `${what} within ${Math.round(deadlineMs)} ms: see the path to it with status`);
    }
    await delay(POLL_MS);
  }
}

const NONE = new Int32Array(PEER.live + 1);

const namesOf = (seats: readonly Seat[]): string => seats.map(({ peer }) => peer.node).join(', ');
