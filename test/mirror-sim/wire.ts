/** One connection of simulated machines: two ways of frames between two sockets. */
import type { SimMachine } from './machine.ts';
import type { SimSocket } from './socket.ts';
import { Way, type Own, type Wires } from './way.ts';

/** The two ways of a connection. */
export class Pair {
  readonly link: string;
  /** The site that dialled. */
  readonly by: string;
  readonly own: Own;
  readonly #ends: readonly [SimSocket, SimSocket];
  readonly #ways: readonly [Way, Way];
  #orphan: SimSocket | null = null;

  constructor(network: Wires, link: string, client: SimSocket, server: SimSocket, delayMs: number) {
    this.link = link;
    this.by = client.machine.name;
    this.#ends = [client, server];
    this.own = { delayMs, isSilent: false };
    const { own } = this;
    this.#ways = [new Way(network, link, client, server, 0, own), new Way(network, link, server, client, 1, own)];
    [client.way, server.way] = this.#ways;
    [this.#ways[0].other, this.#ways[1].other] = [this.#ways[1], this.#ways[0]];
  }

  get isOpen(): boolean {
    return this.#ends.every((end) => !end.isDestroyed && end.machine.isAlive);
  }

  get isDead(): boolean {
    return this.#ends.every((end) => end.isDestroyed || !end.machine.isAlive);
  }

  wake(): void {
    for (const way of this.#ways) way.wake();
  }

  inject(frame: Uint8Array): void {
    this.#ways[0].inject(frame);
  }

  /** What is under way arrives in part, then both ends fail. */
  reset(): void {
    for (const way of this.#ways) way.breakOff();
    for (const end of this.#ends) end.destroy(new Error('read ECONNRESET'));
  }

  orphan(machine: SimMachine, isTold: boolean): void {
    const [client, server] = this.#ends;
    if (client.machine !== machine && server.machine !== machine) return;
    const [gone, left] = client.machine === machine ? [client, server] : [server, client];
    gone.isDestroyed = true;
    this.#orphan = left;
    if (isTold) gone.way?.abandon();
  }

  tellOrphan(): void {
    if (this.#orphan) this.#orphan.way?.other?.abandon();
  }
}
