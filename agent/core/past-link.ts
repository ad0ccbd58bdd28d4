/**
 * What is left of the link to a node that was taken out of the settings, for the day it comes back: numbers go on where
 * they were (a peer that never took us out would drop what begins at 1 again), and nothing that was delivered of the same
 * incarnation is delivered twice.
 */
import { BULK, DATA, HEARTBEAT, type TypeIndex } from '../base/packet-type.ts';
import { seqAfter } from '../base/serial.ts';
import { PEER, PEER_TIME, type PeerWords } from '../queue/shared-state.ts';
import { isSameIncarnation } from './acquaintance.ts';
import type { Resequencer } from './resequencer.ts';

export interface PastLink {
  /** The number of the next frame in each lane. */
  readonly sent: { readonly heartbeat: number; readonly data: number; readonly bulk: number };
  /** The peer's incarnation that was accepted last; null: none. */
  readonly incarnation: Uint8Array | null;
  /** What was to be delivered next of it, by type. */
  readonly received: Readonly<Partial<Record<TypeIndex, number>>>;
}

interface Lanes {
  readonly heartbeat: { readonly next: number };
  readonly data: { readonly next: number };
  readonly bulk: { readonly next: number };
  readonly receive: ReadonlyMap<TypeIndex, Resequencer>;
}

/**
 * Closes a seat: from now on nobody delivers by its words, whatever a reader still has in hand. A link that accepted
 * nobody has delivered nothing: what the one before it left (`past`) still holds.
 */
export function leaveSeat(
  { words, times, incarnation }: PeerWords,
  lanes: Lanes,
  isAccepted: boolean,
  past: PastLink | null,
): PastLink {
  words[PEER.accepted] = 0;
  words[PEER.live] = 0;
  times[PEER_TIME.startPosition] = -1;
  Atomics.add(words, PEER.epoch, 1);
  const received = (type: TypeIndex) => lanes.receive.get(type)?.gate.close() ?? 1;
  const delivered = { [HEARTBEAT]: received(HEARTBEAT), [DATA]: received(DATA), [BULK]: received(BULK) };
  const sent = { heartbeat: lanes.heartbeat.next, data: lanes.data.next, bulk: lanes.bulk.next };
  if (!isAccepted) return { sent, incarnation: past?.incarnation ?? null, received: past?.received ?? {} };
  return { sent, incarnation: incarnation.slice(), received: delivered };
}

/** Where a lane from this incarnation begins: at its floor, and behind what an earlier link has delivered of it. */
export function beginsAt(past: PastLink | null, incarnation: Uint8Array, type: TypeIndex, floor: number): number {
  const delivered = past && isSameIncarnation(incarnation, past.incarnation) ? past.received[type] : undefined;
  return delivered !== undefined && seqAfter(delivered, floor) ? delivered : floor;
}

const NAMES_MAX = 256;

export class PastLinks {
  readonly #byName = new Map<string, PastLink>();

  keep(name: string, link: PastLink): void {
    this.#byName.delete(name);
    this.#byName.set(name, link);
    const [oldest] = this.#byName.keys();
    if (this.#byName.size > NAMES_MAX && oldest !== undefined) this.#byName.delete(oldest);
  }

  of(name: string): PastLink | null {
    return this.#byName.get(name) ?? null;
  }
}
