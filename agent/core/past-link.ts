/**
 * What is left of the link to a node that was taken out of the settings, for the day it comes back: numbers go on where
 * they were (a peer that never took us out would drop what begins at 1 again), and nothing that was delivered of the same
 * incarnation is delivered twice.
 */
import type { TypeIndex } from '../base/packet-type.ts';
import { seqAfter } from '../base/serial.ts';
import { isSameIncarnation } from './acquaintance.ts';
import type { Received } from './incoming-lanes.ts';
import type { NextNumbers } from './outgoing-lanes.ts';

export interface PastLink {
  readonly sent: NextNumbers;
  /** The peer's incarnation that was accepted last; null: none. */
  readonly incarnation: Uint8Array | null;
  /** What was to be delivered next of it. */
  readonly received: Received;
}

/**
 * What a link leaves: the numbers it sent, and what it delivered of the incarnation that it accepted. One that accepted
 * nobody (`accepted` null) has delivered nothing: what the link before it left (`past`) still holds.
 */
export function leaveBehind(
  sent: NextNumbers,
  received: Received,
  accepted: Uint8Array | null,
  past: PastLink | null,
): PastLink {
  if (accepted) return { sent, incarnation: accepted, received };
  return { sent, incarnation: past?.incarnation ?? null, received: past?.received ?? {} };
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
