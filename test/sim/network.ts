/**
 * The primary network between two nodes, each direction for itself: up or cut, loss, delay, duplicates. Someone listens
 * on the wire too: old datagrams can be sent again, altered ones and noise thrown in.
 */
import type { World } from './world.ts';

export type NodeIndex = 0 | 1;
export const other = (node: NodeIndex): NodeIndex => (node === 0 ? 1 : 0);

/** What the network does with datagrams of one sender. */
export interface Direction {
  up: boolean;
  lossPerMille: number;
  duplicatesPerMille: number;
  delayMs: number;
  /** Up to this much more, drawn for each datagram: they overtake one another. */
  jitterMs: number;
  /** How often the sender's socket takes no more, for up to FULL_MS. */
  fullPerMille: number;
}

export const GOOD_NETWORK: Readonly<Direction> = {
  up: true,
  lossPerMille: 0,
  duplicatesPerMille: 0,
  delayMs: 0.1,
  jitterMs: 0.02,
  fullPerMille: 0,
};

const RECORDED = 256;
const FULL_MS = 20;

export class Network {
  /** By sender. */
  readonly from: readonly [Direction, Direction] = [{ ...GOOD_NETWORK }, { ...GOOD_NETWORK }];
  readonly #world: World;
  /** Until when the socket of each sender is full. */
  readonly #fullUntilMs: [number, number] = [0, 0];
  readonly #onRoom: (node: NodeIndex) => void;
  readonly #arrive: (to: NodeIndex, datagram: Uint8Array) => void;
  readonly #recorded: readonly [Uint8Array[], Uint8Array[]] = [[], []];
  #recordAt = 0;
  #pairMs: [number, number] = [0, 0];

  constructor(world: World, arrive: (to: NodeIndex, datagram: Uint8Array) => void, onRoom: (node: NodeIndex) => void) {
    this.#world = world;
    this.#arrive = arrive;
    this.#onRoom = onRoom;
  }

  hasRoom(from: NodeIndex): boolean {
    return this.#world.nowMs >= this.#fullUntilMs[from];
  }

  /** What one send call hands over: `length` bytes in segments of `segmentBytes`. False: the socket is full. */
  send(from: NodeIndex, bytes: Uint8Array, length: number, segmentBytes: number): boolean {
    const { fullPerMille } = this.from[from];
    if (this.hasRoom(from) && fullPerMille > 0 && this.#world.prng.chance(fullPerMille, 1000)) this.#fill(from);
    if (!this.hasRoom(from)) return false;
    for (let start = 0; start < length; start += segmentBytes) {
      this.#carry(from, bytes.slice(start, Math.min(length, start + segmentBytes)));
    }
    return true;
  }

  #fill(from: NodeIndex): void {
    const ms = this.#world.within(0.1, FULL_MS);
    this.#fullUntilMs[from] = this.#world.nowMs + ms;
    this.#world.after(ms, () => this.#onRoom(from));
  }

  #carry(from: NodeIndex, datagram: Uint8Array): void {
    const { prng } = this.#world;
    const way = this.from[from];
    this.#record(from, datagram);
    if (!way.up || (way.lossPerMille > 0 && prng.chance(way.lossPerMille, 1000))) return;
    this.#deliverLater(from, datagram);
    if (way.duplicatesPerMille > 0 && prng.chance(way.duplicatesPerMille, 1000)) this.#deliverLater(from, datagram);
  }

  #deliverLater(from: NodeIndex, datagram: Uint8Array): void {
    const way = this.from[from];
    // Without jitter a wire keeps order.
    let atMs = this.#world.nowMs + way.delayMs + this.#world.fraction() * way.jitterMs;
    if (way.jitterMs <= GOOD_NETWORK.jitterMs) atMs = this.#pairMs[from] = Math.max(atMs, this.#pairMs[from]);
    this.#world.at(atMs, () => this.#arrive(from === 0 ? 1 : 0, datagram.slice()));
  }

  #record(from: NodeIndex, datagram: Uint8Array): void {
    const kept = this.#recorded[from];
    if (kept.length < RECORDED) kept.push(datagram);
    else if (this.#world.prng.chance(1, 8)) kept[this.#recordAt++ % RECORDED] = datagram;
  }

  /** Sends `count` recorded datagrams of `from` once more, and as many with some bits turned. */
  replay(from: NodeIndex, count: number): void {
    const kept = this.#recorded[from];
    for (let i = 0; i < count && kept.length > 0; i++) {
      const datagram = (kept[this.#world.prng.below(kept.length)] as Uint8Array).slice();
      this.#arrive(other(from), datagram.slice());
      const at = this.#world.prng.below(datagram.length);
      datagram[at] = (datagram[at] ?? 0) ^ (1 << this.#world.prng.below(8));
      this.#arrive(other(from), datagram);
    }
  }

  /** Noise to `to`'s port. */
  garbage(to: NodeIndex, count: number): void {
    for (let i = 0; i < count; i++) {
      const noise = new Uint8Array(this.#world.prng.between(1, 1500));
      this.#world.prng.fill(noise);
      if (this.#world.prng.chance(1, 2)) noise[0] = 0x5b;
      this.#arrive(to, noise);
    }
  }

  set(from: NodeIndex, change: Partial<Direction>): void {
    Object.assign(this.from[from], change);
  }

  heal(): void {
    for (const way of this.from) Object.assign(way, GOOD_NETWORK);
  }
}
