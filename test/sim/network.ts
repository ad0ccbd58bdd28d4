/**
 * The primary network between the nodes, each direction of each pair for itself: up or cut, loss, delay, duplicates; and
 * each node's carrier. Someone listens on the wire too: old datagrams can be sent again, altered ones and noise thrown in.
 */
import { at, makePairs, others, pair, type NodeIndex, type Pairs } from './pairs.ts';
import type { World } from './world.ts';

/** What the network does with datagrams from one node to another. */
export interface Direction {
  up: boolean;
  lossPerMille: number;
  duplicatesPerMille: number;
  delayMs: number;
  /** Up to this much more, drawn for each datagram: they overtake one another. */
  jitterMs: number;
}

export const GOOD_NETWORK: Readonly<Direction> = {
  up: true,
  lossPerMille: 0,
  duplicatesPerMille: 0,
  delayMs: 0.1,
  jitterMs: 0.02,
};

const RECORDED = 256;
const FULL_MS = 20;

interface Wire {
  readonly way: Direction;
  readonly recorded: Uint8Array[];
  /** When the last datagram arrives: without jitter a wire keeps order. */
  lastMs: number;
}

/** One node's socket and cable. */
interface Port {
  carrier: boolean;
  /** How often the socket takes no more, for up to FULL_MS. */
  fullPerMille: number;
  fullUntilMs: number;
}

export class Network {
  readonly count: number;
  readonly #world: World;
  readonly #wires: Pairs<Wire>;
  readonly #ports: readonly Port[];
  readonly #onRoom: (node: NodeIndex) => void;
  readonly #arrive: (to: NodeIndex, datagram: Uint8Array) => void;
  #recordAt = 0;

  constructor(
    world: World,
    count: number,
    arrive: (to: NodeIndex, datagram: Uint8Array) => void,
    onRoom: (node: NodeIndex) => void,
  ) {
    this.#world = world;
    this.count = count;
    this.#arrive = arrive;
    this.#onRoom = onRoom;
    this.#wires = makePairs(count, () => ({ way: { ...GOOD_NETWORK }, recorded: [], lastMs: 0 }));
    this.#ports = Array.from({ length: count }, () => ({ carrier: true, fullPerMille: 0, fullUntilMs: 0 }));
  }

  way(from: NodeIndex, to: NodeIndex): Direction {
    return pair(this.#wires, from, to).way;
  }

  port(node: NodeIndex): Port {
    return at(this.#ports, node);
  }

  /** Something can get from one to the other. */
  isUp(from: NodeIndex, to: NodeIndex): boolean {
    return this.way(from, to).up && this.port(from).carrier && this.port(to).carrier;
  }

  hasRoom(from: NodeIndex): boolean {
    return this.#world.nowMs >= this.port(from).fullUntilMs;
  }

  /** What one send call hands over: `length` bytes in segments of `segmentBytes`. False: the socket is full. */
  send(from: NodeIndex, to: NodeIndex, bytes: Uint8Array, length: number, segmentBytes: number): boolean {
    const { fullPerMille } = this.port(from);
    if (this.hasRoom(from) && fullPerMille > 0 && this.#world.prng.chance(fullPerMille, 1000)) this.#fill(from);
    if (!this.hasRoom(from)) return false;
    for (let start = 0; start < length; start += segmentBytes) {
      this.#carry(from, to, bytes.slice(start, Math.min(length, start + segmentBytes)));
    }
    return true;
  }

  #fill(from: NodeIndex): void {
    const ms = this.#world.within(0.1, FULL_MS);
    this.port(from).fullUntilMs = this.#world.nowMs + ms;
    this.#world.after(ms, () => this.#onRoom(from));
  }

  #carry(from: NodeIndex, to: NodeIndex, datagram: Uint8Array): void {
    const { prng } = this.#world;
    const { way, recorded } = pair(this.#wires, from, to);
    this.#record(recorded, datagram);
    if (!this.isUp(from, to) || (way.lossPerMille > 0 && prng.chance(way.lossPerMille, 1000))) return;
    this.#deliverLater(from, to, datagram);
    if (way.duplicatesPerMille > 0 && prng.chance(way.duplicatesPerMille, 1000)) this.#deliverLater(from, to, datagram);
  }

  #deliverLater(from: NodeIndex, to: NodeIndex, datagram: Uint8Array): void {
    const wire = pair(this.#wires, from, to);
    const { delayMs, jitterMs } = wire.way;
    let atMs = this.#world.nowMs + delayMs + this.#world.fraction() * jitterMs;
    if (jitterMs <= GOOD_NETWORK.jitterMs) atMs = wire.lastMs = Math.max(atMs, wire.lastMs);
    this.#world.at(atMs, () => this.#arrive(to, datagram.slice()));
  }

  #record(kept: Uint8Array[], datagram: Uint8Array): void {
    if (kept.length < RECORDED) kept.push(datagram);
    else if (this.#world.prng.chance(1, 8)) kept[this.#recordAt++ % RECORDED] = datagram;
  }

  /** Sends `count` recorded datagrams of `from` to each of its peers once more, and as many with some bits turned. */
  replay(from: NodeIndex, count: number): void {
    for (const to of others(this.count, from)) {
      const kept = pair(this.#wires, from, to).recorded;
      for (let i = 0; i < count && kept.length > 0; i++) {
        const datagram = (kept[this.#world.prng.below(kept.length)] as Uint8Array).slice();
        this.#arrive(to, datagram.slice());
        const place = this.#world.prng.below(datagram.length);
        datagram[place] = (datagram[place] ?? 0) ^ (1 << this.#world.prng.below(8));
        this.#arrive(to, datagram);
      }
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
}
