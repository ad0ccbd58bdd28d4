/**
 * The internal thread's logic (AG4), without the thread: when to write, what, and the head block. `step` does what is
 * due and answers how long to sleep; the worker sleeps in Atomics.wait, the simulator moves its clock.
 */
import { assert } from '../base/errors.ts';
import { AGENT, AGENT_TIME, PEER, PEER_TIME, type SharedState } from '../queue/shared-state.ts';
import type { WriteBuffer } from '../queue/write-buffer.ts';
import { BLOCK_BYTES, HEAD_STATE } from '../volume/layout.ts';
import type { SlotWriter, Times } from '../volume/slot-writer.ts';
import { Budget, type Limits } from './budget.ts';
import { Composer, type ComposerSettings, type FlushPeer } from './composer.ts';
import { headEntry } from './head-entry.ts';
import { HEAD_INTERVAL_MS, headIntervalMs, HeadSchedule } from './head-schedule.ts';
import { OwnerWatch } from './owner-watch.ts';

export interface FlushSettings extends ComposerSettings {
  /** Each peer's place in the shared state, its tenant number on our send volume, and which reader reads it. */
  readonly peers: readonly { readonly seat: number; readonly tenant: number; readonly reader: number }[];
  readonly deadlineMs: number;
  readonly beaconMs: number;
  readonly limits: Limits;
}

/** A batch up to this size is a few messages, to which answers may come at once. */
export const QUESTION_BYTES_MAX = 8192;
/** How long answers to a flood may wait for one another. */
const FLOOD_DEADLINE_MS = 0.7;
const RETRY_MS_MIN = 5;
const RETRY_MS_MAX = 200;
/** A batch that fails for this long may have a bad place: a head block then tells whether storage is well elsewhere. */
const STUCK_MS = 2000;

export class FlushLoop {
  readonly #writer: SlotWriter;
  readonly #buffer: WriteBuffer;
  readonly #state: SharedState;
  #settings: FlushSettings;
  #budget: Budget;
  #peers: readonly FlushPeer[] = [];
  readonly #composer: Composer;
  readonly #owner: OwnerWatch;
  readonly #heads: HeadSchedule;
  readonly #now: () => Times & { readonly nowMs: number };
  #retryMs = 0;
  #retryAtMs = -Infinity;
  #sealed = false;
  #closed = false;
  #batchWasLast = false;
  /** Of the write under way: when it began, and what to do when it is done. */
  #beganMs = 0;
  #written: (endedMs: number) => void = () => {};
  #onWritten: (position: number, isHead: boolean) => void = () => {};

  constructor(
    writer: SlotWriter,
    buffer: WriteBuffer,
    state: SharedState,
    settings: FlushSettings,
    now: () => Times & { readonly nowMs: number },
  ) {
    this.#writer = writer;
    this.#buffer = buffer;
    this.#state = state;
    this.#settings = settings;
    this.#now = now;
    this.#budget = new Budget(settings.limits);
    this.#composer = new Composer(writer, buffer, state);
    this.#owner = new OwnerWatch(writer, state, settings.beaconMs);
    this.#heads = new HeadSchedule(settings.beaconMs, headIntervalMs(settings.limits, BLOCK_BYTES));
    this.apply(settings);
  }

  /** Other settings, between two steps. Of the limits only new ones begin with a full measure. */
  apply(settings: FlushSettings): void {
    const { limits } = this.#settings;
    const { bytesPerSecond, operationsPerSecond } = settings.limits;
    if (bytesPerSecond !== limits.bytesPerSecond || operationsPerSecond !== limits.operationsPerSecond) {
      this.#budget = new Budget(settings.limits);
      this.#heads.intervalMs = headIntervalMs(settings.limits, BLOCK_BYTES);
    }
    this.#settings = settings;
    this.#peers = settings.peers.map(({ seat, tenant, reader }) => {
      const words = this.#state.peers[seat];
      assert(words !== undefined, 'the shared state has the seat');
      return { ...words, seat, tenant, reader };
    });
    this.#composer.apply(settings, this.#peers, this.#budget);
    // Who came or went is told to all at once.
    Atomics.store(this.#state.words, AGENT.headWanted, 1);
  }

  /** Does what is due; answers how many milliseconds may pass before the next step (0: at once). */
  step(): number {
    const next = this.begin();
    return typeof next === 'number' ? next : this.end(next());
  }

  /**
   * The first half of a step: either how long to sleep, or one write, which is under way for all to see until `end` gets
   * its result. Between the two only the write happens: whoever drives the halves himself may let time pass there.
   */
  begin(): number | (() => number) {
    const { nowMs } = this.#now();
    Atomics.add(this.#state.words, AGENT.flushBeat, 1);
    if (nowMs < this.#retryAtMs) return this.#retryAtMs - nowMs;
    if (!this.#owner.mayWrite(nowMs)) return RETRY_MS_MAX;
    if (this.#sealed) return this.#beginSealed(nowMs);
    if (!this.#writer.hasMarks) return this.#beginHead(nowMs);
    // Batches that follow one another at once must not put the head off for ever.
    const headWait = this.#headWait(nowMs);
    if (this.#batchWasLast && headWait <= 0) return this.#beginHead(nowMs);
    const wait = this.#batchWait(nowMs);
    if (wait <= 0 && this.#compose(nowMs)) return this.#beginBatch();
    if (headWait <= 0) return this.#beginHead(nowMs);
    return Math.min(headWait, wait > 0 ? wait : HEAD_INTERVAL_MS);
  }

  /** The second half: the result of the write that `begin` answered. */
  end(result: number): number {
    this.#ended(result);
    return result < 0 ? this.#retryMs : 0;
  }

  /** How long until a batch is to be written; 0 or less: now. */
  #batchWait(nowMs: number): number {
    const paused = this.#budget.waitMs(nowMs);
    if (paused > 0) return this.#buffer.hasUrgent ? this.#budget.waitMs(nowMs, true) : paused;
    const { words } = this.#state;
    if (Atomics.exchange(words, AGENT.flushNow, 0) === 1) return 0;
    if (this.#buffer.reachedThreshold) return 0;
    const deadlineMs = this.#state.isFlood
      ? Math.max(FLOOD_DEADLINE_MS, this.#settings.deadlineMs)
      : this.#settings.deadlineMs;
    return this.#buffer.oldestEnteredMs() + deadlineMs - nowMs;
  }

  #addTime(index: number, by: number): void {
    this.#state.times[index] = (this.#state.times[index] ?? 0) + by;
  }

  /** Puts together and seals a batch; false when there is nothing to write, or no room. */
  #compose(nowMs: number, isLast = false): boolean {
    if (!this.#composer.compose(nowMs, isLast)) return false;
    this.#writer.seal(this.#now());
    this.#sealed = true;
    return true;
  }

  /** Called when the write buffer has got room and the switch waits for it. */
  set onRoom(onRoom: () => void) {
    this.#composer.onRoom = onRoom;
  }

  /** Called when a batch or the head block is on the volume, with the ring position behind the newest batch. */
  set onWritten(onWritten: (position: number, isHead: boolean) => void) {
    this.#onWritten = onWritten;
  }

  /**
   * The sealed batch goes first, unless it has failed for long: then beacons go on between the tries, and a place that
   * still fails after a head block was written is given up. One bad place must not end the way by storage.
   */
  #beginSealed(nowMs: number): number | (() => number) {
    if (!this.#batchWasLast || nowMs - this.#failingSinceMs < STUCK_MS) return this.#beginBatch();
    if (this.#headWentWell && this.#hasRoomBehind) {
      this.#writer.skipPlace(this.#now());
      this.#failingSinceMs = Infinity;
      return this.#beginBatch();
    }
    return this.#heads.isDue(nowMs) ? this.#beginHead(nowMs) : this.#beginBatch();
  }
  /** Since when the sealed batch fails; Infinity when it does not. */
  #failingSinceMs = Infinity;
  /** A head block was written since then. */
  #headWentWell = false;

  /** [RING1] Also with the place that is given up, the ring's end and a wrap, no live reader is overrun. */
  get #hasRoomBehind(): boolean {
    return (
      this.#writer.hasMarks && this.#composer.space(this.#now().nowMs) >= 3 * this.#writer.pendingBytes + BLOCK_BYTES
    );
  }

  /** Puts the sealed batch on the volume. */
  #beginBatch(): () => number {
    const bytes = this.#writer.pendingBytes;
    const wraps = this.#writer.isWrapPending;
    this.#batchWasLast = true;
    return this.#publish(
      () => this.#writer.writePending(),
      (endedMs) => {
        this.#sealed = false;
        this.#failingSinceMs = Infinity;
        this.#addTime(AGENT_TIME.batches, 1);
        if (wraps) this.#spent(BLOCK_BYTES);
        this.#spent(bytes);
        if (bytes <= QUESTION_BYTES_MAX) this.#noteQuestion(endedMs);
      },
    );
  }

  /** Counts one write. */
  #spent(bytes: number): void {
    this.#addTime(AGENT_TIME.writes, 1);
    this.#addTime(AGENT_TIME.bytesWritten, bytes);
    this.#budget.spent(bytes, 1);
  }

  /** Those who were written to may answer at once: their rings are worth a look. */
  #noteQuestion(endedMs: number): void {
    for (const { times, tenant } of this.#peers) {
      if (this.#composer.isAddressed(tenant)) times[PEER_TIME.questionMs] = endedMs;
    }
  }

  /** Publishes that a write is under way: a hang must be visible. */
  #publish(write: () => number, written: (endedMs: number) => void): () => number {
    const { words, times } = this.#state;
    this.#beganMs = this.#now().nowMs;
    times[AGENT_TIME.writeBeganMs] = this.#beganMs;
    Atomics.store(words, AGENT.writing, 1);
    this.#written = written;
    return write;
  }

  /** Publishes how the write under way ended. */
  #ended(result: number): void {
    const { words, times } = this.#state;
    Atomics.store(words, AGENT.writing, 0);
    const ended = this.#now().nowMs;
    Atomics.store(words, AGENT.writeErrno, result < 0 ? -result : 0);
    if (result < 0) {
      this.#addTime(AGENT_TIME.writeErrors, 1);
      this.#retryMs = Math.min(RETRY_MS_MAX, Math.max(RETRY_MS_MIN, this.#retryMs * 2));
      this.#retryAtMs = ended + this.#retryMs;
      const isFirst = this.#batchWasLast && this.#failingSinceMs === Infinity;
      if (isFirst) this.#failingSinceMs = this.#beganMs;
      if (isFirst || !this.#batchWasLast) this.#headWentWell = false;
      return;
    }
    times[AGENT_TIME.lastWriteMs] = ended - this.#beganMs;
    times[AGENT_TIME.writtenMs] = ended;
    this.#retryMs = 0;
    this.#retryAtMs = -Infinity;
    this.#written(ended);
    this.#onWritten(this.#writer.position, !this.#batchWasLast);
  }

  /** How long until the head block is to be written; 0 or less: now. */
  #headWait(nowMs: number): number {
    const isWanted = Atomics.load(this.#state.words, AGENT.headWanted) === 1;
    return this.#heads.waitMs(nowMs, isWanted || this.#writer.wantsMarks || !this.#isFollowed);
  }

  /** True when every live peer has read to the end, or can see the end in the head block: none waits for a new one. */
  get #isFollowed(): boolean {
    const { position } = this.#writer;
    if (this.#heads.names(position)) return true;
    return this.#peers.every(
      ({ words, times }) =>
        Atomics.load(words, PEER.live) !== 1 || (times[PEER_TIME.peerReadPosition] ?? 0) >= position,
    );
  }

  #beginHead(nowMs: number, state: number = HEAD_STATE.running): number | (() => number) {
    Atomics.store(this.#state.words, AGENT.headWanted, 0);
    this.#batchWasLast = false;
    if (state === HEAD_STATE.running && !this.#owner.stillOurs(nowMs)) return RETRY_MS_MAX;
    const { position } = this.#writer;
    const entries = this.#peers.map((peer) => headEntry(peer, peer.tenant, nowMs));
    return this.#publish(
      () => this.#writer.writeHead(this.#now(), state, entries),
      () => {
        this.#heads.written(nowMs, position);
        this.#owner.hasBegun = true;
        this.#headWentWell = true;
        this.#addTime(AGENT_TIME.headWrites, 1);
        this.#spent(BLOCK_BYTES);
      },
    );
  }

  /** Writes what is left and a head that says "stopped in order". Does not insist when storage does not answer. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    const { nowMs } = this.#now();
    if (!this.#owner.mayWrite(nowMs)) {
      Atomics.store(this.#state.words, AGENT.flushClosed, 1);
      return;
    }
    if (this.#sealed) this.#ended(this.#beginBatch()());
    while (!this.#sealed && this.#writer.hasMarks && !this.#buffer.isEmpty && this.#compose(nowMs, true)) {
      this.#ended(this.#beginBatch()());
    }
    const head = this.#sealed ? 0 : this.#beginHead(nowMs, HEAD_STATE.stopped);
    if (typeof head !== 'number') this.#ended(head());
    Atomics.store(this.#state.words, AGENT.flushClosed, 1);
  }
}
