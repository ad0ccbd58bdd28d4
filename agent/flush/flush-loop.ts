/**
 * The internal thread's logic (AG4), without the thread: when to write, what, and the head block. `step` does what is
 * due and answers how long to sleep; the worker sleeps in Atomics.wait, the simulator moves its clock.
 */
import { BULK, DATA, HEARTBEAT } from '../base/packet-type.ts';
import { assert } from '../base/errors.ts';
import { AGENT, AGENT_TIME, PEER, PEER_TIME, type PeerWords, type SharedState } from '../queue/shared-state.ts';
import type { BufferedPacket, WriteBuffer } from '../queue/write-buffer.ts';
import { BATCH, BATCH_BYTES_MAX, BATCH_TAIL_BYTES, BLOCK_BYTES, HEAD_STATE } from '../volume/layout.ts';
import type { SlotWriter, Times } from '../volume/slot-writer.ts';
import { recordBytes, type RecordHeader } from '../wire/record.ts';
import { Budget } from './budget.ts';
import { gateNext, headEntry } from './head-entry.ts';

export interface FlushSettings {
  readonly deadlineMs: number;
  readonly beaconMs: number;
  readonly maxAgeMs: number;
  readonly slotBytes: number;
  readonly limits: { readonly bytesPerSecond: number; readonly operationsPerSecond: number };
  /** Each peer's place in the shared state, and its tenant number on our send volume. */
  readonly peers: readonly { readonly seat: number; readonly tenant: number }[];
}

interface FlushPeer extends PeerWords {
  readonly tenant: number;
}

/** While batches flow the head block follows at this distance, for readers that poll the heads only. */
const HEAD_INTERVAL_MS = 20;
/** A batch up to this size is a few messages, to which answers may come at once. */
export const QUESTION_BYTES_MAX = 8192;
/** How long answers to a flood may wait for one another. */
const FLOOD_DEADLINE_MS = 0.7;
const RETRY_MS_MIN = 5;
const RETRY_MS_MAX = 200;
/** A batch that fails for this long may have a bad place: a head block then tells whether storage is well elsewhere. */
const STUCK_MS = 2000;
/** The owner of the slot is looked at with every beacon; after this many without a look nothing is written before one. */
const OWNER_BEACONS = 2;
/** This share of the ring is for heartbeats and control when data fills it. */
const RESERVED_SHARE = 8;

export class FlushLoop {
  readonly #writer: SlotWriter;
  readonly #buffer: WriteBuffer;
  readonly #state: SharedState;
  #settings: FlushSettings;
  #budget: Budget;
  #peers: readonly FlushPeer[] = [];
  readonly #now: () => Times & { readonly nowMs: number };
  readonly #record: RecordHeader = { frameBytes: 0, type: 0, peer: 0, sequence: 0, ageMs: 0 };
  #headDueMs = -Infinity;
  #headMs = -Infinity;
  #positionInHead = -1;
  #retryMs = 0;
  #retryAtMs = -Infinity;
  #sealed = false;
  #closed = false;
  #batchWasLast = false;
  /** Of the write under way: when it began, and what to do when it is done. */
  #beganMs = 0;
  #written: (endedMs: number) => void = () => {};

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
    this.apply(settings);
  }

  /** Other settings, between two steps. Of the limits only new ones begin with a full measure. */
  apply(settings: FlushSettings): void {
    const { limits } = this.#settings;
    const { bytesPerSecond, operationsPerSecond } = settings.limits;
    if (bytesPerSecond !== limits.bytesPerSecond || operationsPerSecond !== limits.operationsPerSecond) {
      this.#budget = new Budget(settings.limits);
    }
    this.#settings = settings;
    this.#peers = settings.peers.map(({ seat, tenant }) => {
      const words = this.#state.peers[seat];
      assert(words !== undefined, 'the shared state has the seat');
      return { ...words, tenant };
    });
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
    if (!this.#mayWrite(nowMs)) return RETRY_MS_MAX;
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
    if (paused > 0) return paused;
    const { words } = this.#state;
    if (Atomics.exchange(words, AGENT.flushNow, 0) === 1) return 0;
    if (this.#buffer.reachedThreshold) return 0;
    const isFlood = Atomics.load(words, AGENT.flood) === 1;
    const deadlineMs = isFlood ? Math.max(FLOOD_DEADLINE_MS, this.#settings.deadlineMs) : this.#settings.deadlineMs;
    return this.#buffer.oldestEnteredMs() + deadlineMs - nowMs;
  }

  /** Fills and seals a batch from the write buffer; false when there is nothing to write, or no room in the ring. */
  #compose(nowMs: number): boolean {
    const { builder } = this.#writer;
    builder.begin();
    this.#acknowledge();
    const used = this.#buffer.usedBytes;
    const space = this.#ringSpace();
    const limit = Math.min(BATCH_BYTES_MAX, this.#budget.bytesAllowed());
    const isLow = space < this.#settings.slotBytes / RESERVED_SHARE;
    const room = Math.min(limit, this.#spaceUsable(space));
    Atomics.store(this.#state.words, AGENT.ringFull, room < limit ? 1 : 0);
    if (room < BLOCK_BYTES) return false;
    this.#buffer.transportData(isLow ? HEARTBEAT : BULK, (packet) => this.#take(packet, room, nowMs));
    if (Atomics.load(this.#state.words, AGENT.roomWanted) === 1 && this.#buffer.usedBytes < used) this.onRoom();
    const acknowledgeOnly = Atomics.exchange(this.#state.words, AGENT.acknowledgeWanted, 0) === 1;
    if (builder.recordCount === 0 && !acknowledgeOnly) return false;
    this.#writer.seal(this.#now());
    this.#sealed = true;
    return true;
  }

  /** Called when the write buffer has got room and the switch waits for it. */
  onRoom: () => void = () => {};

  #take(packet: BufferedPacket, room: number, nowMs: number): boolean {
    const ageMs = nowMs - packet.enteredMs;
    if (ageMs > this.#settings.maxAgeMs) {
      this.#addTime(AGENT_TIME.expired, 1);
      return true;
    }
    const { builder } = this.#writer;
    if (!builder.hasRoom(packet.length, room)) {
      // A frame that does not even fit into an empty batch of the present budget must not block for ever.
      return builder.recordCount === 0 && recordBytes(packet.length) > BATCH_BYTES_MAX - BATCH.bytes - BATCH_TAIL_BYTES;
    }
    const record = this.#record;
    record.frameBytes = packet.length;
    record.type = packet.type;
    record.peer = packet.peer;
    record.sequence = packet.sequence;
    record.ageMs = ageMs;
    builder.add(record, packet.bytes, packet.offset);
    return true;
  }

  #addTime(index: number, by: number): void {
    this.#state.times[index] = (this.#state.times[index] ?? 0) + by;
  }

  #acknowledge(): void {
    this.#peers.forEach((peer) => {
      if (Atomics.load(peer.words, PEER.accepted) !== 1) return;
      this.#writer.builder.acknowledge({
        peerIndex: peer.tenant,
        incarnationTag: (peer.words[PEER.tag] ?? 0) >>> 0,
        readPosition: peer.times[PEER_TIME.readPosition] ?? 0,
        nextData: gateNext(peer.words, DATA),
        nextBulk: gateNext(peer.words, BULK),
      });
    });
  }

  /** [RING1] Ring bytes before the slowest live reader. */
  #ringSpace(): number {
    const { position } = this.#writer;
    let oldest = position;
    for (const { words, times } of this.#peers) {
      const read = times[PEER_TIME.peerReadPosition] ?? 0;
      // A newcomer that has not said yet where it reads begins near our head: nothing of the past is kept for it.
      if (read > 0 && Atomics.load(words, PEER.live) === 1) oldest = Math.min(oldest, read);
    }
    return this.#settings.slotBytes - (position - oldest);
  }

  /** The largest batch that fits into the ring, what is lost at its end taken into account. */
  #spaceUsable(space: number): number {
    for (let bytes = BATCH_BYTES_MAX; bytes >= BLOCK_BYTES; bytes /= 2) {
      if (this.#writer.spaceFor(bytes) + BLOCK_BYTES <= space) return bytes;
    }
    return 0;
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
    return nowMs < this.#headDueMs ? this.#beginBatch() : this.#beginHead(nowMs);
  }
  /** Since when the sealed batch fails; Infinity when it does not. */
  #failingSinceMs = Infinity;
  /** A head block was written since then. */
  #headWentWell = false;

  /** [RING1] Also with the place that is given up, the ring's end and a wrap, no live reader is overrun. */
  get #hasRoomBehind(): boolean {
    return this.#writer.hasMarks && this.#ringSpace() >= 3 * this.#writer.pendingBytes + BLOCK_BYTES;
  }

  /** Puts the sealed batch on the volume. */
  #beginBatch(): () => number {
    const bytes = this.#writer.pendingBytes;
    this.#batchWasLast = true;
    return this.#publish(
      () => this.#writer.writePending(),
      (endedMs) => {
        this.#sealed = false;
        this.#failingSinceMs = Infinity;
        this.#addTime(AGENT_TIME.batches, 1);
        this.#addTime(AGENT_TIME.bytesWritten, bytes);
        if (bytes <= QUESTION_BYTES_MAX) this.#state.times[AGENT_TIME.questionMs] = endedMs;
        this.#budget.spent(bytes, 1);
      },
    );
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
    this.#addTime(AGENT_TIME.writes, 1);
    this.#retryMs = 0;
    this.#retryAtMs = -Infinity;
    this.#written(ended);
  }

  /** How long until the head block is to be written; 0 or less: now. */
  #headWait(nowMs: number): number {
    const isWanted = Atomics.load(this.#state.words, AGENT.headWanted) === 1;
    const isBehind = isWanted || this.#writer.wantsMarks || !this.#isFollowed;
    const due = isBehind ? Math.min(this.#headDueMs, this.#headMs + HEAD_INTERVAL_MS) : this.#headDueMs;
    return due - nowMs;
  }

  /** True when every live peer has read to the end, or can see the end in the head block: none waits for a new one. */
  get #isFollowed(): boolean {
    const { position } = this.#writer;
    if (this.#positionInHead === position) return true;
    return this.#peers.every(
      ({ words, times }) =>
        Atomics.load(words, PEER.live) !== 1 || (times[PEER_TIME.peerReadPosition] ?? 0) >= position,
    );
  }

  #beginHead(nowMs: number, state: number = HEAD_STATE.running): number | (() => number) {
    Atomics.store(this.#state.words, AGENT.headWanted, 0);
    this.#batchWasLast = false;
    if (state === HEAD_STATE.running && !this.#stillOurs(nowMs)) return this.#retryMs;
    const { position } = this.#writer;
    const entries = this.#peers.map((peer) => headEntry(peer, peer.tenant, nowMs));
    return this.#publish(
      () => this.#writer.writeHead(this.#now(), state, entries),
      () => {
        this.#positionInHead = position;
        this.#headMs = nowMs;
        this.#headDueMs = nowMs + this.#settings.beaconMs;
        this.#headWentWell = true;
        this.#addTime(AGENT_TIME.headWrites, 1);
        this.#budget.spent(BLOCK_BYTES, 1);
      },
    );
  }

  /**
   * [ONE1] A slot that another agent has taken over is not written any more. After a standstill (SIGSTOP, a suspended
   * machine) that may have happened, so the head block is looked at before anything is written.
   */
  #mayWrite(nowMs: number): boolean {
    if (this.#isTaken) return false;
    const isLate = nowMs - this.#ownerCheckedMs > OWNER_BEACONS * this.#settings.beaconMs;
    return !isLate || this.#stillOurs(nowMs);
  }

  get #isTaken(): boolean {
    return Atomics.load(this.#state.words, AGENT.slotTaken) === 1;
  }

  /** [ONE1] Once for each beacon: a head block of another incarnation means that a second agent writes our slot. */
  #stillOurs(nowMs: number): boolean {
    if (this.#headMs === -Infinity || nowMs - this.#ownerCheckedMs < this.#settings.beaconMs) return true;
    this.#ownerCheckedMs = nowMs;
    if (this.#writer.ownsHead()) return true;
    Atomics.store(this.#state.words, AGENT.slotTaken, 1);
    this.#retryMs = RETRY_MS_MAX;
    this.#retryAtMs = nowMs + RETRY_MS_MAX;
    return false;
  }
  #ownerCheckedMs = -Infinity;

  /** Writes what is left and a head that says "stopped in order". Does not insist when storage does not answer. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    const { nowMs } = this.#now();
    if (!this.#mayWrite(nowMs)) {
      Atomics.store(this.#state.words, AGENT.flushClosed, 1);
      return;
    }
    if (this.#sealed) this.#ended(this.#beginBatch()());
    while (!this.#sealed && this.#writer.hasMarks && !this.#buffer.isEmpty && this.#compose(nowMs)) {
      this.#ended(this.#beginBatch()());
    }
    const head = this.#sealed ? 0 : this.#beginHead(nowMs, HEAD_STATE.stopped);
    if (typeof head !== 'number') this.#ended(head());
    Atomics.store(this.#state.words, AGENT.flushClosed, 1);
  }
}
