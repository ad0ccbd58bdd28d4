/**
 * One client, from greeting to leave, without its socket: bytes in through `feed`, effects out through the edge. It
 * keeps no clock either; what stands still is for the server to see.
 *
 * Room: each request takes its cost from this connection's share and from the budget of all, and gives it back when its
 * reply has left. Without room the connection reads no further, so what a client can make us hold is bounded.
 */
import { assert } from '../base/errors.ts';
import type { Budget } from './budget.ts';
import { ByteStream } from './byte-stream.ts';
import { type Agreement, Handshake } from './handshake.ts';
import { Outbox } from './outbox.ts';
import type { Slab, SlabPool } from './slab.ts';
import { Transmission } from './transmission.ts';
import type { Exports } from './volume.ts';

/** Replies are sent before the end of a turn once they are this many bytes, while the processor's cache has them. */
const SEND_BYTES = 256 * 1024;
/** Answers to options that the client has not read; it shall read them before it asks for more. */
const UNREAD_BYTES_MAX = 256 * 1024;

/** What a connection does to its socket. */
export interface ConnectionEdge {
  /** Sends the pieces in order. They are not touched until `sent`, which comes once, also when the socket breaks. */
  send(pieces: readonly Buffer[], sent: () => void): void;
  /** No more bytes are wanted, until `resume`. Some that are under way may still come. */
  pause(): void;
  resume(): void;
  /** From here on all bytes, both ways, go over TLS; `Connection.secured` when it is established. */
  startTls(): void;
  /** Ends the connection when all that was sent has left. */
  end(): void;
  /** Ends the connection at once; one line in the log says why. */
  refuse(why: string): void;
  /** Calls `action` when the present callback is over. */
  soon(action: () => void): void;
}

export interface ConnectionSettings {
  readonly exports: Exports;
  readonly needsTls: boolean;
  readonly pool: SlabPool;
  readonly budget: Budget;
  /** This connection's share of the budget; no less than the largest request. */
  readonly shareBytes: number;
}

export class Connection {
  readonly #edge: ConnectionEdge;
  readonly #settings: ConnectionSettings;
  readonly #stream = new ByteStream();
  readonly #outbox: Outbox;
  readonly #handshake: Handshake;
  #transmission: Transmission | null = null;
  /** Room taken and not given back. */
  #used = 0;
  /** Part of it whose replies wait in the outbox. */
  #answered = 0;
  /** Room that was asked for in vain. */
  #wanted = 0;
  /** Room that the budget has handed to us for the request that waits. */
  #granted = 0;
  #leaveLine: (() => void) | null = null;
  #unread = 0;
  #isSendDue = false;
  #isRunning = false;
  #isPaused = false;
  #isStopping = false;
  #isLeaving = false;
  #isClosed = false;
  /** Grows whenever something moves: who stands in others' way is told by it. */
  progress = 0;

  constructor(settings: ConnectionSettings, edge: ConnectionEdge) {
    this.#settings = settings;
    this.#edge = edge;
    this.#outbox = new Outbox(settings.pool);
    this.#handshake = new Handshake({
      exports: settings.exports,
      needsTls: settings.needsTls,
      outbox: this.#outbox,
      ...this.#common(),
      startTls: () => {
        this.#send();
        edge.startTls();
      },
      enter: (agreement) => this.#enter(agreement),
    });
  }

  get isInHandshake(): boolean {
    return this.#transmission === null;
  }

  /** True while it holds room and waits for its client to send or to read. */
  get waitsForClient(): boolean {
    return this.#transmission?.isInPayload === true || this.#unread > 0;
  }

  /** Bytes of room that it has taken. */
  get used(): number {
    return this.#used;
  }

  /** True when nothing is under way. */
  get isIdle(): boolean {
    return this.#used === 0 && this.#unread === 0;
  }

  greet(): void {
    this.#handshake.greet();
    this.#send();
  }

  /** What the client sent. The chunk is the connection's; one in a slab for as long as it holds that. */
  feed(chunk: Buffer, slab: Slab | null = null): void {
    if (this.#isClosed || this.#isLeaving) return;
    this.#stream.push(chunk, slab);
    this.#run();
  }

  /** TLS is established. */
  secured(): void {
    this.#handshake.secured();
  }

  /** From now on everything new is refused as the protocol says; what is under way is answered. */
  stop(): void {
    this.#isStopping = true;
  }

  /** The socket is gone: nothing is sent any more. What the volume is doing goes on. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#leaveLine?.();
    this.#leaveLine = null;
    this.#stream.clear();
    this.#giveBack(this.#answered + this.#granted + (this.#transmission?.abandon() ?? 0));
    this.#answered = 0;
    this.#granted = 0;
    this.#outbox.close();
  }

  #common() {
    return {
      isStopping: () => this.#isStopping,
      leave: () => this.#leave(),
      refuse: (why: string) => {
        this.#isLeaving = true;
        this.#edge.refuse(why);
      },
    };
  }

  #enter(agreement: Agreement): void {
    this.#transmission = new Transmission(agreement, {
      ...this.#common(),
      outbox: this.#outbox,
      admit: (cost) => this.#admit(cost),
      replied: (cost) => this.#replied(cost),
    });
  }

  #run(): void {
    if (this.#isRunning) return;
    this.#isRunning = true;
    while (!this.#isClosed && !this.#isLeaving && !this.#hasMuchUnread()) {
      if (!(this.#transmission ?? this.#handshake).step(this.#stream)) break;
      if (this.#outbox.length >= SEND_BYTES) this.#send();
    }
    this.#isRunning = false;
    this.#send();
    this.#setPaused(this.#wanted > 0 || this.#hasMuchUnread());
  }

  /** In the transmission the room bounds what is unread; the answers to options are not worth counting one by one. */
  #hasMuchUnread(): boolean {
    return this.isInHandshake && this.#unread > UNREAD_BYTES_MAX;
  }

  #setPaused(isPaused: boolean): void {
    if (this.#isClosed || isPaused === this.#isPaused) return;
    this.#isPaused = isPaused;
    if (isPaused) this.#edge.pause();
    else this.#edge.resume();
  }

  #admit(cost: number): boolean {
    if (this.#granted > 0) {
      assert(this.#granted === cost, 'the room was meant for another request');
      this.#granted = 0;
      return true;
    }
    if (this.#leaveLine) return false;
    const { budget, shareBytes } = this.#settings;
    this.#wanted = cost;
    if (this.#used + cost > shareBytes) return false;
    if (!budget.take(cost)) {
      this.#leaveLine = budget.wait(cost, () => {
        this.#leaveLine = null;
        this.#wanted = 0;
        this.#granted = cost;
        this.#used += cost;
        // Not from within another connection's call.
        this.#edge.soon(() => this.#run());
      });
      return false;
    }
    this.#wanted = 0;
    this.#used += cost;
    return true;
  }

  #replied(cost: number): void {
    if (this.#isClosed) {
      this.#outbox.close();
      return this.#giveBack(cost);
    }
    this.#answered += cost;
    if (this.#isRunning || this.#isSendDue) return;
    // Whoever finishes several requests in one go has their replies sent together.
    this.#isSendDue = true;
    this.#edge.soon(() => {
      this.#isSendDue = false;
      if (!this.#isClosed) this.#send();
    });
  }

  #send(): void {
    const bytes = this.#outbox.length;
    if (bytes === 0 || this.#isClosed) return;
    const cost = this.#answered;
    this.#answered = 0;
    this.#unread += bytes;
    const { pieces, sent } = this.#outbox.takeAll();
    this.#edge.send(pieces, () => {
      sent();
      this.#unread -= bytes;
      this.progress++;
      this.#giveBack(cost);
      this.#goOn();
    });
  }

  /** Room was given back, or the client has read something. */
  #goOn(): void {
    if (this.#isClosed) return;
    if (this.#isLeaving) {
      if (this.isIdle) this.#edge.end();
    } else if (this.#isPaused && !this.#leaveLine) this.#run();
  }

  #giveBack(cost: number): void {
    this.#used -= cost;
    if (cost > 0) this.#settings.budget.give(cost);
  }

  #leave(): void {
    this.#isLeaving = true;
    this.#send();
    if (this.isIdle) this.#edge.end();
  }
}
