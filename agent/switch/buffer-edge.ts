/** Joins the core to the flush thread: what goes into the write buffer in a round, and what is asked for beside it. */
import type { TypeIndex } from '../base/packet-type.ts';
import { AGENT, type SharedState } from '../queue/shared-state.ts';
import type { WriteBuffer } from '../queue/write-buffer.ts';

export class BufferEdge {
  readonly #buffer: WriteBuffer;
  readonly #state: SharedState;
  #submitted = false;

  constructor(buffer: WriteBuffer, state: SharedState) {
    this.#buffer = buffer;
    this.#state = state;
  }

  /** The flush thread is woken for what comes now when the round ends, not before: the batch may still grow. */
  beginRound(): void {
    this.#buffer.isRound = true;
  }

  endRound(): void {
    if (this.#submitted) this.#buffer.endRound();
    this.#submitted = false;
  }

  /** False when the type's queue is full: the flush thread rings the bell when it has room. */
  submit(type: TypeIndex, tenant: number, sequence: number, frame: Uint8Array, enteredMs: number): boolean {
    const taken = this.#buffer.submit(type, tenant, sequence, frame, enteredMs);
    if (taken) this.#submitted = true;
    else Atomics.store(this.#state.words, AGENT.roomWanted, 1);
    return taken;
  }

  /** The bell rang: there is room, and nobody waits for it any more. */
  roomCame(): void {
    Atomics.store(this.#state.words, AGENT.roomWanted, 0);
  }

  wantHead(): void {
    Atomics.store(this.#state.words, AGENT.headWanted, 1);
    this.#state.wake(AGENT.flushWake);
  }
}
