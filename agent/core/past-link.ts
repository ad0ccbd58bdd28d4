/**
 * What is left of the link to a node that was taken out of the settings, for the day it comes back: numbers go on where
 * they were (a peer that never took us out would drop what begins at 1 again), and nothing that was delivered of the same
 * incarnation is delivered twice.
 */
import type { TypeIndex } from '../base/packet-type.ts';

export interface PastLink {
  /** The number of the next frame in each lane. */
  readonly sent: { readonly heartbeat: number; readonly data: number; readonly bulk: number };
  /** The peer's incarnation that was accepted last; null: none. */
  readonly incarnation: Uint8Array | null;
  /** What was to be delivered next of it, by type. */
  readonly received: Readonly<Partial<Record<TypeIndex, number>>>;
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
