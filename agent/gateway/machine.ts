/**
 * Decides about the gateway. Pure: what was seen comes in with its time, and a change comes out when there is one.
 *
 * Everything hangs on one judgement, whether this node's own way to the outside is good:
 *
 *   no carrier, or no route over the uplink ............................ out
 *   addresses to ping are set: none answered ........................... out       one answered ... good
 *   a peer is heard over the network (the judge has held it stable) .... good
 *   no peer is heard: the next router does not answer, or is unknown ... out       answers ........ good
 *
 * Only a node whose own way is good offers it, and only one whose own way is out uses that of a peer. So nobody does
 * both, what the peers do does not enter the judgement, and two nodes that have each other as gateways cannot chase one
 * another: with both out neither offers, and the first that is good again is taken by the other.
 *
 * The gateway that is taken stays the same while it offers and packets go to it, also when the own way is good again,
 * because the flows that began over it go on over it: their other end knows them by that gateway's address. After a
 * minute without a packet the first in order is chosen again.
 */

/** What pinging found: `none` when there is nothing to ping, `pending` while no answer can be there yet. */
export type PingResult = 'answered' | 'silent' | 'pending' | 'none';

export interface Seen {
  /** The uplink has a carrier. */
  readonly carrier: boolean;
  /** A route leads over the uplink beyond its own subnet. */
  readonly route: boolean;
  /** A peer is heard over the network; null when the uplink is another interface, and peers say nothing about it. */
  readonly peersHeard: boolean | null;
  readonly ping: PingResult;
  /** Packets given to the gateway so far: flows keep to it while this grows. */
  readonly frames: number;
  /** For each peer in the order of preference: reachable by any way, and its own word that it offers. */
  readonly candidates: readonly { readonly peer: number; readonly offers: boolean }[];
}

export interface GatewayRules {
  readonly offer: boolean;
  readonly use: boolean;
  /** There are addresses to ping: they alone tell. */
  readonly pingTells: boolean;
  /** How long an own way that was out must be good before it is believed. */
  readonly stableForMs: number;
}

export type Outside = 'unknown' | 'good' | 'out';

export interface GatewayState {
  readonly outside: Outside;
  readonly offering: boolean;
  /** Seat of the peer that takes what leaves by the cluster address; -1: none. */
  readonly gateway: number;
  /** New connections go through it. */
  readonly using: boolean;
  readonly reason: string;
}

/** Peers need a moment to be heard after a start. */
const START_MS = 2000;
/** Flows that say nothing for so long are taken for ended. */
const QUIET_MS = 60_000;

type Verdict = readonly [verdict: 'good' | 'out' | 'unknown', reason: string];

export class GatewayMachine {
  #rules: GatewayRules;
  readonly #startMs: number;
  #goodSinceMs = Infinity;
  #frames = 0;
  #framesMs = -Infinity;
  #state: GatewayState = { outside: 'unknown', offering: false, gateway: -1, using: false, reason: 'starting' };

  constructor(rules: GatewayRules, nowMs: number) {
    this.#rules = rules;
    this.#startMs = nowMs;
  }

  /** Another time to hold, from the next look on. */
  hold(stableForMs: number): void {
    this.#rules = { ...this.#rules, stableForMs };
  }

  get state(): GatewayState {
    return this.#state;
  }

  /** Answers the new state when it differs from the former one. */
  tick(seen: Seen, nowMs: number): GatewayState | null {
    const [outside, reason] = this.#outside(seen, nowMs);
    const gateway = this.#rules.use ? this.#choose(seen, nowMs) : -1;
    const using = this.#rules.use && outside === 'out' && gateway >= 0;
    const offering = this.#rules.offer && outside === 'good';
    const old = this.#state;
    const isSame =
      old.outside === outside && old.gateway === gateway && old.using === using && old.offering === offering;
    if (isSame) return null;
    // What went to the former one holds nobody.
    if (old.gateway !== gateway) this.#framesMs = -Infinity;
    this.#state = { outside, offering, gateway, using, reason };
    return this.#state;
  }

  #outside(seen: Seen, nowMs: number): [Outside, string] {
    const [verdict, reason] = this.#verdict(seen, nowMs);
    const { outside, reason: former } = this.#state;
    if (verdict !== 'good') this.#goodSinceMs = Infinity;
    if (verdict === 'unknown') return [outside, former];
    if (verdict === 'out') return ['out', reason];
    this.#goodSinceMs = Math.min(this.#goodSinceMs, nowMs);
    // Peers that are heard have been held stable by their judges; nothing else has.
    const isHeld = outside !== 'out' || (seen.peersHeard === true && !this.#rules.pingTells);
    if (isHeld || nowMs - this.#goodSinceMs >= this.#rules.stableForMs) return ['good', reason];
    return ['out', reason];
  }

  #verdict(seen: Seen, nowMs: number): Verdict {
    if (!seen.carrier) return ['out', 'carrier lost'];
    if (!seen.route) return ['out', 'no route leads outside over the uplink'];
    if (this.#rules.pingTells) {
      if (seen.ping === 'answered') return ['good', 'ping is answered'];
      return seen.ping === 'silent' ? ['out', 'ping is not answered'] : ['unknown', 'ping is under way'];
    }
    if (seen.peersHeard === true) return ['good', 'a peer is heard over the network'];
    if (seen.peersHeard === null) return ['good', 'carrier and route are there'];
    if (seen.ping === 'answered') return ['good', 'the next router answers'];
    if (seen.ping === 'pending' || nowMs - this.#startMs < START_MS) return ['unknown', 'no peer is heard yet'];
    if (seen.ping === 'silent') return ['out', 'neither a peer nor the next router is heard'];
    return ['out', 'no peer is heard over the network'];
  }

  #choose({ candidates, frames }: Seen, nowMs: number): number {
    if (frames !== this.#frames) this.#framesMs = nowMs;
    this.#frames = frames;
    const offering = candidates.filter(({ offers }) => offers);
    // Whoever speaks first after a start is not held: the first in the list may need a moment longer.
    const isSettled = nowMs - this.#startMs >= START_MS;
    const isBusy = isSettled && nowMs - this.#framesMs < QUIET_MS;
    const isHeld = isBusy && offering.some(({ peer }) => peer === this.#state.gateway);
    return isHeld ? this.#state.gateway : (offering[0]?.peer ?? -1);
  }
}
