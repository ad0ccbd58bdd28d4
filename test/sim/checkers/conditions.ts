/**
 * What the world was like, and when: the ground for saying what a node owed its applications. Kept by those who make the
 * faults; the agents never see it. All of it is told for a pair, by sender and receiver: each pair is judged on its own.
 */
import { at, makePairs, pair, type NodeIndex, type Pairs } from '../pairs.ts';
import { Spells } from './spells.ts';

/** Both nodes know each other when a way was good in both directions for so long. */
const ACQUAINTANCE_MS = 3000;

export type Way = 'network' | 'storage';

export class Conditions {
  readonly #count: number;
  readonly #ringIsSmall: boolean;
  /** From, to: the network did not carry everything in good time. */
  readonly network: Pairs<Spells>;
  /** From, to: the network carries nothing. */
  readonly cut: Pairs<Spells>;
  /** From, to: the network loses some, or is slow, and may yet count as healthy. */
  readonly lossy: Pairs<Spells>;
  readonly delayed: Pairs<Spells>;
  /** Somebody sends recorded datagrams; one that was lost the first time is as good as new. */
  readonly replays = new Spells();
  /** By node: its writes failed, hung, were slow or missed. */
  readonly writes: readonly Spells[];
  /** Writer, reader: its reads failed, hung, were slow or showed the past. */
  readonly reads: Pairs<Spells>;
  /** By node: no agent, or one that was stopped. */
  readonly down: readonly Spells[];
  /** Node, peer: an operator had chosen the way. */
  readonly override: Pairs<Spells>;

  /** `ringIsSmall`: it fills before a reader counts as dead, so that confirmations must come back for it to be good. */
  constructor(count: number, ringIsSmall: boolean) {
    const spells = (): Spells => new Spells();
    const each = (): Spells[] => Array.from({ length: count }, spells);
    this.#count = count;
    this.#ringIsSmall = ringIsSmall;
    this.network = makePairs(count, spells);
    this.cut = makePairs(count, spells);
    this.lossy = makePairs(count, spells);
    this.delayed = makePairs(count, spells);
    this.reads = makePairs(count, spells);
    this.override = makePairs(count, spells);
    this.writes = each();
    this.down = each();
  }

  networkGood(from: NodeIndex, to: NodeIndex, fromMs: number, untilMs: number): boolean {
    return pair(this.network, from, to).none(fromMs, untilMs);
  }

  storageGood(from: NodeIndex, to: NodeIndex, fromMs: number, untilMs: number): boolean {
    if (!this.carries(from, to, fromMs, untilMs)) return false;
    if (this.#ringIsSmall && !this.carries(to, from, fromMs, untilMs)) return false;
    return this.#othersKeepUp(from, to, fromMs, untilMs);
  }

  /** All readers share the writer's ring: one whose beacons come but who does not read holds up the others. */
  #othersKeepUp(from: NodeIndex, to: NodeIndex, fromMs: number, untilMs: number): boolean {
    for (let third = 0; third < this.#count; third++) {
      if (third === from || third === to) continue;
      if (!pair(this.reads, from, third).none(fromMs, untilMs)) return false;
      if (!this.#ringIsSmall) continue;
      if (!this.carries(third, from, fromMs, untilMs) || !at(this.down, third).none(fromMs, untilMs)) return false;
    }
    return true;
  }

  /** Storage carries `from`'s words, confirmations not needed. */
  carries(from: NodeIndex, to: NodeIndex, fromMs: number, untilMs: number): boolean {
    return at(this.writes, from).none(fromMs, untilMs) && pair(this.reads, from, to).none(fromMs, untilMs);
  }

  bothUp(a: NodeIndex, b: NodeIndex, fromMs: number, untilMs: number): boolean {
    return at(this.down, a).none(fromMs, untilMs) && at(this.down, b).none(fromMs, untilMs);
  }

  noOverride(a: NodeIndex, b: NodeIndex, fromMs: number, untilMs: number): boolean {
    return this.#neither(this.override, a, b, fromMs, untilMs);
  }

  #neither(spells: Pairs<Spells>, a: NodeIndex, b: NodeIndex, fromMs: number, untilMs: number): boolean {
    return pair(spells, a, b).none(fromMs, untilMs) && pair(spells, b, a).none(fromMs, untilMs);
  }

  /** True when one way was good in both directions over the whole time. */
  someWayGood(a: NodeIndex, b: NodeIndex, fromMs: number, untilMs: number): boolean {
    return this.bothWays('network', a, b, fromMs, untilMs) || this.bothWays('storage', a, b, fromMs, untilMs);
  }

  /** True when this way was good in both directions over the whole time. */
  bothWays(way: Way, a: NodeIndex, b: NodeIndex, fromMs: number, untilMs: number): boolean {
    const isGood = way === 'network' ? this.networkGood.bind(this) : this.storageGood.bind(this);
    return isGood(a, b, fromMs, untilMs) && isGood(b, a, fromMs, untilMs);
  }

  /** True when one direction of the pair carried nothing over the whole time. */
  wasCut(a: NodeIndex, b: NodeIndex, fromMs: number, untilMs: number): boolean {
    return pair(this.cut, a, b).throughout(fromMs, untilMs) || pair(this.cut, b, a).throughout(fromMs, untilMs);
  }

  /**
   * True when a packet of `datagrams` datagrams gets through a network that is healthy or cut: one that loses some owes
   * no packet that all of many datagrams must arrive for, and none whose few repetitions take long.
   */
  repeatable(datagrams: number, a: NodeIndex, b: NodeIndex, fromMs: number, untilMs: number): boolean {
    if (this.#neither(this.lossy, a, b, fromMs, untilMs)) return true;
    return datagrams === 1 && this.#neither(this.delayed, a, b, fromMs, untilMs);
  }

  /** True when the nodes have had what they need to know each other by `atMs`, and nothing has parted them since. */
  acquainted(a: NodeIndex, b: NodeIndex, atMs: number): boolean {
    for (let start = atMs - ACQUAINTANCE_MS; start >= 0; start -= 500) {
      if (!this.bothUp(a, b, start, atMs)) return false;
      if (this.someWayGood(a, b, start, start + ACQUAINTANCE_MS)) return true;
    }
    return false;
  }
}
