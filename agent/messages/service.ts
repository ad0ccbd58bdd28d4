/** Messages of programs in one agent process: the hub, its socket, and the agent that carries them now. */
import { randomInt } from 'node:crypto';
import { systemClock } from '../platform/clock.ts';
import type { Settings } from '../settings/settings.ts';
import type { MessageExchange } from './exchange.ts';
import { MessageHub } from './hub.ts';
import { MessageServer } from './server.ts';

type OnCut = (why: string) => void;

export class MessageService {
  readonly #hub: MessageHub;
  readonly #onCut: OnCut;
  #server: MessageServer;

  private constructor(hub: MessageHub, server: MessageServer, onCut: OnCut) {
    this.#hub = hub;
    this.#server = server;
    this.#onCut = onCut;
  }

  /** Listens; what programs write waits for `join`. `onCut` hears why a program was cut off. */
  static async open(path: string, onCut: OnCut): Promise<MessageService> {
    const hub = new MessageHub(() => systemClock.monotonicMs(), randomInt(2 ** 40, 2 ** 47));
    return new MessageService(hub, await MessageServer.open(path, hub, onCut), onCut);
  }

  /** An agent runs with these settings, whose socket may be another one: then its programs have to connect anew. */
  async join(settings: Settings, exchange: MessageExchange, seatOf: (node: string) => number): Promise<void> {
    const names = settings.peers.map(({ node }) => node);
    this.#hub.join({
      node: settings.node,
      peers: names,
      deadlineMs: settings.messages.deadlineMs,
      maxAgeMs: settings.storage.maxAgeMs,
      seatOf,
      send: (...message) => exchange.send(...message),
      listen: (onArrival) => exchange.listen(onArrival),
    });
    const { socket } = settings.messages;
    if (socket === this.#server.path) return;
    const former = this.#server;
    this.#server = await MessageServer.open(socket, this.#hub, this.#onCut);
    former.close();
  }

  /** The agent ends: what is written waits for the next one, until its deadline. */
  part(): void {
    this.#hub.join(null);
  }

  get figures(): Readonly<Record<string, number>> {
    return { ...this.#hub.counters, waiting: this.#hub.waiting, clients: this.#server.clients };
  }

  close(): void {
    this.#server.close();
    this.#hub.close();
  }
}
