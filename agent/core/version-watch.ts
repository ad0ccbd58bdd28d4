/**
 * Watches that a peer speaks a version that this agent understands, in its datagrams and in its head block. Nothing of
 * another version is read beyond its number; an operator is told once of each, and what to do about it.
 */
import { PEER, type PeerWords } from '../queue/shared-state.ts';
import { TUNNEL_VERSION_MAX, TUNNEL_VERSION_MIN, type TunnelReceiver } from '../wire/tunnel.ts';
import type { CoreEvent } from './ports.ts';

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
  #told: number | null = null;
  #toldMs = -Infinity;

  constructor(peer: string, what: VersionedThing, range: VersionRange) {
    this.#peer = peer;
    this.#what = what;
    this.#range = range;
  }

  /** `theirs`: the version that was last seen and not understood, null for none. */
  look(theirs: number | null, nowMs: number): VersionNews | null {
    // Who was understood again in between is told again when it is not any more.
    if (theirs === null) this.#told = null;
    if (theirs === null || theirs === this.#told || nowMs - this.#toldMs < TELL_EVERY_MS) return null;
    this.#told = theirs;
    this.#toldMs = nowMs;
    const { min, max } = this.#range;
    const ours = min === max ? String(max) : `${min} to ${max}`;
    const where = theirs > max ? 'this node' : `node ${this.#peer}`;
    const advice = `peer ${this.#peer} speaks ${this.#what} version ${theirs}, this agent ${ours}: upgrade stillbeat on ${where}`;
    return { kind: 'version', what: this.#what, theirs, ours, advice };
  }
}

/** Both watches over one peer. `volumeVersion`: the major version of volumes that this agent reads and writes. */
export class PeerVersions {
  readonly #peer: string;
  readonly #words: Int32Array;
  readonly #event: (event: CoreEvent) => void;
  readonly #tunnel: VersionWatch;
  readonly #volume: VersionWatch;
  /** How many datagrams were refused for their version, and how many messages understood, at the last look. */
  #refused = 0;
  #understood = 0;
  #tunnelVersion: number | null = null;

  constructor(peer: string, volumeVersion: number, { words }: PeerWords, event: (event: CoreEvent) => void) {
    this.#peer = peer;
    this.#words = words;
    this.#event = event;
    this.#tunnel = new VersionWatch(peer, 'tunnel', { min: TUNNEL_VERSION_MIN, max: TUNNEL_VERSION_MAX });
    this.#volume = new VersionWatch(peer, 'volume', { min: volumeVersion, max: volumeVersion });
  }

  look(receiver: TunnelReceiver | null, nowMs: number): void {
    if (receiver) this.#lookAt(receiver);
    this.#tell(this.#tunnel.look(this.#tunnelVersion, nowMs), nowMs);
    this.#tell(this.#volume.look(Atomics.load(this.#words, PEER.headVersion) || null, nowMs), nowMs);
  }

  /** Who is understood, and says nothing else meanwhile, speaks our version (again): its next change is news. */
  #lookAt({ counters, foreignVersion }: TunnelReceiver): void {
    if (counters.version !== this.#refused) this.#tunnelVersion = foreignVersion;
    else if (counters.messages !== this.#understood) this.#tunnelVersion = null;
    this.#refused = counters.version;
    this.#understood = counters.messages;
  }

  #tell(news: VersionNews | null, atMs: number): void {
    if (news) this.#event({ ...news, peer: this.#peer, atMs });
  }
}
