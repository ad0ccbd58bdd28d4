/**
 * What the world was like, and when: the ground for saying what a node owed its applications. Kept by those who make the
 * faults; the agents never see it.
 */
import { other, type NodeIndex } from '../network.ts';
import { Spells } from './spells.ts';

const pair = (): readonly [Spells, Spells] => [new Spells(), new Spells()];

/** Both nodes know each other when a way was good in both directions for so long. */
const ACQUAINTANCE_MS = 3000;

export class Conditions {
  readonly #ringIsSmall: boolean;
  /** By sender: the network did not carry everything in good time. */
  readonly network: readonly [Spells, Spells] = pair();
  /** By sender: the network carries nothing. */
  readonly cut: readonly [Spells, Spells] = pair();
  /** Somebody sends recorded datagrams; one that was lost the first time is as good as new. */
  readonly replays = new Spells();
  /** By sender: the network loses some, or is slow, and may yet count as healthy. */
  readonly lossy: readonly [Spells, Spells] = pair();
  readonly delayed: readonly [Spells, Spells] = pair();
  /** By node: its writes or reads failed, hung, were slow, missed or showed the past. */
  readonly writes: readonly [Spells, Spells] = pair();
  readonly reads: readonly [Spells, Spells] = pair();
  /** By node: no agent, or one that was stopped. */
  readonly down: readonly [Spells, Spells] = pair();
  /** By node: an operator had chosen the way. */
  readonly override: readonly [Spells, Spells] = pair();

  /** `ringIsSmall`: it fills before a reader counts as dead, so that confirmations must come back for it to be good. */
  constructor(ringIsSmall: boolean) {
    this.#ringIsSmall = ringIsSmall;
  }

  networkGood(from: NodeIndex, fromMs: number, untilMs: number): boolean {
    return this.network[from].none(fromMs, untilMs);
  }

  storageGood(from: NodeIndex, fromMs: number, untilMs: number): boolean {
    const there = this.carries(from, fromMs, untilMs);
    return there && (!this.#ringIsSmall || this.carries(other(from), fromMs, untilMs));
  }

  /** Storage carries `from`'s words, confirmations not needed. */
  carries(from: NodeIndex, fromMs: number, untilMs: number): boolean {
    return this.writes[from].none(fromMs, untilMs) && this.reads[other(from)].none(fromMs, untilMs);
  }

  bothUp(fromMs: number, untilMs: number): boolean {
    return this.down[0].none(fromMs, untilMs) && this.down[1].none(fromMs, untilMs);
  }

  noOverride(fromMs: number, untilMs: number): boolean {
    return this.override[0].none(fromMs, untilMs) && this.override[1].none(fromMs, untilMs);
  }

  /** True when one way was good in both directions over the whole time. */
  someWayGood(fromMs: number, untilMs: number): boolean {
    return this.bothWays('network', fromMs, untilMs) || this.bothWays('storage', fromMs, untilMs);
  }

  /** True when this way was good in both directions over the whole time. */
  bothWays(way: 'network' | 'storage', fromMs: number, untilMs: number): boolean {
    const isGood = way === 'network' ? this.networkGood.bind(this) : this.storageGood.bind(this);
    return isGood(0, fromMs, untilMs) && isGood(1, fromMs, untilMs);
  }

  /**
   * True when a packet of `datagrams` datagrams gets through a network that is healthy or cut: one that loses some owes
   * no packet that all of many datagrams must arrive for, and none whose few repetitions take long.
   */
  repeatable(datagrams: number, fromMs: number, untilMs: number): boolean {
    const none = (spells: readonly [Spells, Spells]) => spells.every((side) => side.none(fromMs, untilMs));
    return none(this.lossy) || (datagrams === 1 && none(this.delayed));
  }

  /** True when the nodes have had what they need to know each other by `atMs`, and nothing has parted them since. */
  acquainted(atMs: number): boolean {
    for (let start = atMs - ACQUAINTANCE_MS; start >= 0; start -= 500) {
      if (!this.bothUp(start, atMs)) return false;
      if (this.someWayGood(start, start + ACQUAINTANCE_MS)) return true;
    }
    return false;
  }
}
