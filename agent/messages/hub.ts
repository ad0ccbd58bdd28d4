/**
 * Joins programs on this node with those on the peers: numbers what they write, waits for the report on each, and gives
 * what arrives to whoever listens on its channel. Lives as long as the process; the agent below it may be exchanged.
 *
 * Always true:
 * - [AG9] every message that is written ends in one of two ways, told to its writer and counted: delivered, when a program
 *   on the peer has read it within the deadline, or missed. What is read later counts as late besides.
 * - What was handed to a program is given to no other one afterwards: twice is worse than lost.
 */
import { PACKET_TYPES } from '../base/packet-type.ts';
import { decodeProgramMessage, PROGRAM_KIND, PROGRAM_OUTCOME, type ProgramMessage } from '../wire/program-message.ts';
import { Dispatch, type Road } from './dispatch.ts';
import type { Listener, ReceivedMessage, WriteRequest, WriteResult, Writer } from './program.ts';
import { WaitingRoom } from './waiting-room.ts';

/** Misses that are remembered, so that a late report is known for one. */
const MISSED_MAX = 4096;
const SWEEP_EVERY_MS = 50;

interface Outstanding {
  readonly writer: Writer;
  readonly number: number;
  readonly writtenMs: number;
  readonly timer: NodeJS.Timeout;
  /** The peer says that no program listens. */
  isUnheard: boolean;
}

interface Subscription {
  readonly listener: Listener;
  readonly channel: string;
  /** How many messages it still wants. */
  left: number;
}

interface Arrived extends ProgramMessage {
  readonly bornMs: number;
}

export class MessageHub {
  readonly counters = { sent: 0, delivered: 0, missed: 0, late: 0, received: 0, untaken: 0 };
  readonly #now: () => number;
  readonly #dispatch: Dispatch;
  readonly #outstanding = new Map<number, Outstanding>();
  readonly #missed = new Set<number>();
  readonly #subscriptions = new Set<Subscription>();
  /** What was handed to programs and not yet read by any, by the number under which they know it. */
  readonly #given = new Map<number, { readonly message: Arrived; holders: number }>();
  readonly #room = new WaitingRoom<Arrived>();
  #sweep: NodeJS.Timeout | null = null;
  #nextId: number;
  #nextGiven = 1;
  #road: Road | null = null;
  /** The last road's: without it a restart in place would throw away what waits for a program. */
  #maxAgeMs = 0;

  /** `firstId`: drawn at random, so that a report on a former process's message is not taken for one on ours. */
  constructor(now: () => number, firstId: number) {
    this.#now = now;
    this.#nextId = firstId;
    this.#dispatch = new Dispatch(now);
  }

  /** An agent runs: what waited goes. Null: none does; what is written waits for the next one, until its deadline. */
  join(road: Road | null): void {
    this.#road = road;
    this.#maxAgeMs = road?.maxAgeMs ?? this.#maxAgeMs;
    road?.listen((frame, bornMs) => this.#onFrame(frame, bornMs));
    this.#dispatch.join(road);
  }

  /** Messages that wait for a program to listen. */
  get waiting(): number {
    return this.#room.count;
  }

  /** Answers what is wrong with the request, or null: the report comes by `writer.report`. */
  write(writer: Writer, request: WriteRequest): string | null {
    const road = this.#road;
    if (road && road.seatOf(request.peer) < 0) {
      return `no peer ${request.peer}: this node's peers are ${road.peers.join(', ')}`;
    }
    const { number, peer, channel, bytes } = request;
    const deadlineMs = request.deadlineMs ?? road?.deadlineMs ?? DEADLINE_MS;
    const writtenMs = this.#now();
    const id = this.#nextId++;
    const timer = setTimeout(() => this.#miss(id), deadlineMs);
    this.#outstanding.set(id, { writer, number, writtenMs, timer, isUnheard: false });
    this.counters.sent++;
    const header = { kind: PROGRAM_KIND.message, outcome: 0, from: road?.node ?? '', channel, type: request.type, id };
    this.#dispatch.send({
      peer,
      type: request.type,
      message: { ...header, bytes },
      enteredMs: writtenMs,
      untilMs: writtenMs + deadlineMs,
    });
    return null;
  }

  /** The program gets what comes on the channel, at most `count` messages; first what waits. */
  subscribe(listener: Listener, channel: string, count: number): void {
    this.#expire();
    const waiting = this.#room.take(channel, count);
    if (waiting.length < count) {
      this.#subscriptions.add({ listener, channel, left: count - waiting.length });
    }
    for (const message of waiting) this.#give([listener], message);
  }

  /** A program has read what it was given under this number. */
  taken(given: number): void {
    const message = this.#given.get(given)?.message;
    if (!message) return;
    this.#given.delete(given);
    this.#report(message, PROGRAM_OUTCOME.taken);
  }

  /** A program is gone; `unread`: the numbers of what it was given and will not read. */
  forget(program: Listener, unread: Iterable<number>): void {
    for (const subscription of this.#subscriptions) {
      if (subscription.listener === program) this.#subscriptions.delete(subscription);
    }
    for (const number of unread) {
      const given = this.#given.get(number);
      if (!given || --given.holders > 0) continue;
      this.#given.delete(number);
      this.counters.untaken++;
    }
  }

  #onFrame(frame: Uint8Array, bornMs: number): void {
    const message = decodeProgramMessage(frame);
    if (!message) return;
    if (message.kind === PROGRAM_KIND.report) this.#onReport(message);
    else if (message.kind === PROGRAM_KIND.message) this.#onMessage({ ...message, bornMs });
  }

  #onMessage(message: Arrived): void {
    this.counters.received++;
    const listeners = [...this.#subscriptions].filter(({ channel }) => channel === message.channel);
    if (listeners.length === 0) {
      this.#keep(message);
      return;
    }
    for (const subscription of listeners) {
      subscription.left--;
      if (subscription.left === 0) this.#subscriptions.delete(subscription);
    }
    this.#give(
      listeners.map(({ listener }) => listener),
      message,
    );
  }

  #keep(message: Arrived): void {
    this.#expire();
    const isKept = this.#room.keep(message);
    if (!isKept) this.counters.untaken++;
    this.#report(message, isKept ? PROGRAM_OUTCOME.waiting : PROGRAM_OUTCOME.refused);
    this.#sweep ??= setInterval(() => this.#expire(), SWEEP_EVERY_MS);
  }

  /** [AGE1] What has become too old while it waited is given to nobody. */
  #expire(): void {
    if (this.#room.count > 0) {
      this.counters.untaken += this.#room.expire(this.#now() - this.#maxAgeMs);
    }
    if (this.#room.count > 0 || this.#sweep === null) return;
    clearInterval(this.#sweep);
    this.#sweep = null;
  }

  #give(listeners: readonly Listener[], message: Arrived): void {
    const number = this.#nextGiven++;
    this.#given.set(number, { message, holders: listeners.length });
    const { from, channel, type, bytes, bornMs } = message;
    const ageMs = Math.max(0, this.#now() - bornMs);
    const received: ReceivedMessage = { number, peer: from, type: PACKET_TYPES[type], channel, ageMs, bytes };
    for (const listener of listeners) listener.give(received);
  }

  #report(about: Arrived, outcome: number): void {
    const nowMs = this.#now();
    const { from: peer, type, id } = about;
    const header = { kind: PROGRAM_KIND.report, outcome, from: this.#road?.node ?? '', channel: '', type, id };
    const untilMs = nowMs + this.#maxAgeMs;
    this.#dispatch.send({ peer, type, message: { ...header, bytes: NOTHING }, enteredMs: nowMs, untilMs });
  }

  #onReport({ id, outcome }: ProgramMessage): void {
    const outstanding = this.#outstanding.get(id);
    if (!outstanding) {
      if (outcome === PROGRAM_OUTCOME.taken && this.#missed.delete(id)) this.counters.late++;
      return;
    }
    if (outcome === PROGRAM_OUTCOME.taken) {
      this.counters.delivered++;
      this.#settle(id, outstanding, { delivered: true, afterMs: this.#now() - outstanding.writtenMs });
      return;
    }
    outstanding.isUnheard = true;
    if (outcome === PROGRAM_OUTCOME.refused) this.#miss(id);
  }

  #miss(id: number): void {
    const outstanding = this.#outstanding.get(id);
    if (!outstanding) return;
    this.counters.missed++;
    this.#missed.add(id);
    for (const oldest of this.#missed) {
      if (this.#missed.size <= MISSED_MAX) break;
      this.#missed.delete(oldest);
    }
    this.#settle(id, outstanding, { delivered: false, reason: outstanding.isUnheard ? 'no receiver' : 'deadline' });
  }

  #settle(id: number, outstanding: Outstanding, result: WriteResult): void {
    clearTimeout(outstanding.timer);
    this.#outstanding.delete(id);
    outstanding.writer.report(outstanding.number, result);
  }

  /** The process ends: no timer keeps it. */
  close(): void {
    this.join(null);
    if (this.#sweep !== null) clearInterval(this.#sweep);
    for (const { timer } of this.#outstanding.values()) clearTimeout(timer);
    this.#dispatch.close();
  }
}

const NOTHING = new Uint8Array(0);
/** Until the first agent runs, whose settings say it. */
const DEADLINE_MS = 1000;
