/**
 * The way of messages and reports from the hub to the agent that runs now. Always true: they go in order, and what has to
 * wait (no agent, no room) waits until its deadline, in bounded memory.
 */
import type { TypeIndex } from '../base/packet-type.ts';
import { encodeProgramMessage, type ProgramMessage } from '../wire/program-message.ts';
import type { OnArrival } from './exchange.ts';

/** The running agent, as far as messages need it. */
export interface Road {
  readonly node: string;
  readonly peers: readonly string[];
  /** Without a wish of the writer: how long a report is waited for. */
  readonly deadlineMs: number;
  readonly maxAgeMs: number;
  /** Where the agent keeps this peer; -1: no such peer. */
  seatOf(name: string): number;
  send(seat: number, type: TypeIndex, frame: Uint8Array, enteredMs: number, deadlineMs: number): boolean;
  listen(onArrival: OnArrival): void;
}

export interface Parcel {
  readonly peer: string;
  readonly type: TypeIndex;
  readonly message: ProgramMessage;
  readonly enteredMs: number;
  readonly untilMs: number;
}

const TRY_AGAIN_MS = 2;
/** Programs may have less than this on their way together; reports beyond it are lost, and their writers count misses. */
const WAITING_MAX = 16_384;

export class Dispatch {
  readonly #now: () => number;
  readonly #waiting: Parcel[] = [];
  #road: Road | null = null;
  #timer: NodeJS.Timeout | null = null;

  constructor(now: () => number) {
    this.#now = now;
  }

  join(road: Road | null): void {
    this.#road = road;
    this.#goOn();
  }

  send(parcel: Parcel): void {
    if (this.#waiting.length === 0 && this.#leaves(parcel)) return;
    if (this.#waiting.length >= WAITING_MAX) return;
    this.#waiting.push(parcel);
    this.#timer ??= setInterval(() => this.#goOn(), TRY_AGAIN_MS);
  }

  /** True when it is done with: sent, or for nobody. */
  #leaves({ peer, type, message, enteredMs, untilMs }: Parcel): boolean {
    if (this.#now() >= untilMs) return true;
    const road = this.#road;
    if (!road) return false;
    const seat = road.seatOf(peer);
    if (seat < 0) return true;
    const frame = encodeProgramMessage({ ...message, from: road.node });
    return road.send(seat, type, frame, enteredMs, Math.ceil(untilMs - enteredMs));
  }

  #goOn(): void {
    for (let first = this.#waiting[0]; first && this.#leaves(first); first = this.#waiting[0]) this.#waiting.shift();
    if (this.#waiting.length === 0) this.close();
  }

  close(): void {
    if (this.#timer !== null) clearInterval(this.#timer);
    this.#timer = null;
  }
}
