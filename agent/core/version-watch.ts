/**
 * Watches that a peer speaks a version that this agent understands, in its datagrams and in its head block. Nothing of
 * another version is read beyond its number; an operator is told once of each, and what to do about it.
 */
export type VersionedThing = 'tunnel' | 'volume';

/** What this agent understands, from the oldest to the newest, which it speaks. */
export interface VersionRange {
  readonly min: number;
  readonly max: number;
}

export interface VersionNews {
  readonly kind: 'version';
  readonly what: VersionedThing;
  readonly theirs: number;
  readonly ours: string;
  /** The sentence for the operator. */
  readonly advice: string;
}

/** A datagram's version is nobody's proven word: whoever makes them up by the dozen fills no log. */
const TELL_EVERY_MS = 60_000;

export class VersionWatch {
  readonly #peer: string;
  readonly #what: VersionedThing;
  readonly #range: VersionRange;
  #told = 0;
  #toldMs = -Infinity;

  constructor(peer: string, what: VersionedThing, range: VersionRange) {
    this.#peer = peer;
    this.#what = what;
    this.#range = range;
  }

  /** `theirs`: the version that was last seen and not understood, 0 for none. */
  look(theirs: number, nowMs: number): VersionNews | null {
    if (theirs === 0 || theirs === this.#told || nowMs - this.#toldMs < TELL_EVERY_MS) return null;
    this.#told = theirs;
    this.#toldMs = nowMs;
    const { min, max } = this.#range;
    const ours = min === max ? String(max) : `${min} to ${max}`;
    const where = theirs > max ? 'this node' : `node ${this.#peer}`;
    const advice = `peer ${this.#peer} speaks ${this.#what} version ${theirs}, this agent ${ours}: upgrade stillbeat on ${where}`;
    return { kind: 'version', what: this.#what, theirs, ours, advice };
  }
}
