/**
 * The write buffer (AG3): packets on their way to the send volume, queued by type in shared memory. The switch thread
 * submits; the flush thread takes out with `transportData`, in priority order. Filling it to the set point, or a
 * deadline, wakes the flush thread (AG4).
 */
import { BULK, CONTROL, DATA, HEARTBEAT, type TypeIndex } from '../base/packet-type.ts';
import { emptyRingRecord, Ring, ringBytes } from './ring.ts';
import { AGENT, type SharedState } from './shared-state.ts';

/**
 * Small where staleness hurts: what does not fit waits in the switch thread, where the oldest can go first. And small
 * enough for a processor's cache: one largest batch of data, for the bytes are written by one thread and read by another.
 */
const CAPACITY_BYTES: readonly number[] = [262_144, 262_144, 1_048_576, 1_048_576];
/** More than this in the buffer are no mere answers. */
const ANSWERS_BYTES_MAX = 16_384;
const PRIORITY: readonly TypeIndex[] = [CONTROL, HEARTBEAT, DATA, BULK];

export const writeBufferBytes: number = CAPACITY_BYTES.reduce((sum, bytes) => sum + ringBytes(bytes), 0);

/** One packet as it leaves the buffer; reused for every packet. */
export interface BufferedPacket {
  type: TypeIndex;
  /** The target's tenant number on the send volume. */
  peer: number;
  sequence: number;
  enteredMs: number;
  bytes: Uint8Array;
  offset: number;
  length: number;
}

export class WriteBuffer {
  readonly #rings: readonly Ring[];
  readonly #state: SharedState;
  /** The set point, in bytes. */
  thresholdBytes: number;
  readonly #record = emptyRingRecord();
  readonly #packet: BufferedPacket;

  constructor(buffer: SharedArrayBuffer, state: SharedState, thresholdBytes: number) {
    let offset = 0;
    this.#rings = CAPACITY_BYTES.map((capacity) => {
      const ring = new Ring(buffer, offset, capacity);
      offset += ringBytes(capacity);
      return ring;
    });
    this.#state = state;
    this.thresholdBytes = thresholdBytes;
    const first = this.#rings[0] as Ring;
    this.#packet = { type: CONTROL, peer: 0, sequence: 0, enteredMs: 0, bytes: first.bytes, offset: 0, length: 0 };
  }

  #ring(type: TypeIndex): Ring {
    return this.#rings[type] as Ring;
  }

  /** Client thread: puts a packet in; false when the queue of its type is full. Reaching the set point wakes. */
  submit(type: TypeIndex, peer: number, sequence: number, frame: Uint8Array, enteredMs: number): boolean {
    const ring = this.#ring(type);
    const offset = ring.reserve(frame.length);
    if (offset < 0) return false;
    ring.bytes.set(frame, offset);
    ring.commit(frame.length, sequence, peer, enteredMs);
    // The first packet starts the deadline; the one that reaches the set point ends the wait.
    if (this.usedBytes >= this.thresholdBytes) this.#state.wake(AGENT.flushWake);
    else if (!this.isRound) this.#tell();
    return true;
  }

  /**
   * Wakes the flush thread unless it knows. Whether the buffer was empty does not tell that: it may take all there was
   * while a packet is being put in, and go to sleep without having seen it.
   */
  #tell(): void {
    if (Atomics.exchange(this.#state.words, AGENT.flushTold, 1) === 0) this.#state.wake(AGENT.flushWake);
  }

  /**
   * True while the client thread reads its source and will call `flushNow` at the end, within the deadline: the first
   * packet need not wake the flush thread then, and one wake-up serves for all.
   */
  isRound = false;

  /** Client thread: the source has nothing more for now, so that waiting could not fill the batch. */
  flushNow(): void {
    Atomics.store(this.#state.words, AGENT.flushNow, 1);
    this.#state.wake(AGENT.flushWake);
  }

  /**
   * Client thread, at the end of a round: in a flood the few small packets that answer it wait for more of their kind, at
   * most until the flood's deadline; each batch saved is a write here and a read there. Heartbeats never wait.
   */
  endRound(): void {
    this.isRound = false;
    const mayWait = this.#state.isFlood && this.#ring(HEARTBEAT).isEmpty;
    if (!mayWait || this.usedBytes > ANSWERS_BYTES_MAX) this.flushNow();
    else this.#tell();
  }

  get usedBytes(): number {
    let sum = 0;
    for (const ring of this.#rings) sum += ring.usedBytes;
    return sum;
  }

  get isEmpty(): boolean {
    return this.#rings.every((ring) => ring.isEmpty);
  }

  /** Flush thread: what other packets' cost must not hold up is in. */
  get hasUrgent(): boolean {
    return !this.#ring(CONTROL).isEmpty || !this.#ring(HEARTBEAT).isEmpty;
  }

  usedBytesOf(type: TypeIndex): number {
    return this.#ring(type).usedBytes;
  }

  get reachedThreshold(): boolean {
    return this.usedBytes >= this.thresholdBytes;
  }

  /**
   * Flush thread: when the oldest packet of any type entered; Infinity when the buffer is empty. Whoever asks counts the
   * deadline from there and needs no waking for later packets; when it finds none, it does for the first one.
   */
  oldestEnteredMs(): number {
    const { words } = this.#state;
    Atomics.store(words, AGENT.flushTold, 0);
    let oldest = Infinity;
    for (const ring of this.#rings) {
      if (ring.peek(this.#record) && this.#record.time < oldest) oldest = this.#record.time;
    }
    if (oldest !== Infinity) Atomics.store(words, AGENT.flushTold, 1);
    return oldest;
  }

  /**
   * Transport-data function: takes packets out in priority order (control first) and hands each to `take`, until a
   * type's `take` answers false ("no room for this one"), which leaves it and all later ones in. `lowest` is the last
   * type to look at. Answers how many were taken.
   */
  transportData(lowest: TypeIndex, take: (packet: BufferedPacket) => boolean): number {
    let taken = 0;
    // The packets whose deadline was counted go: what comes from now on has to wake again.
    Atomics.store(this.#state.words, AGENT.flushTold, 0);
    const record = this.#record;
    const packet = this.#packet;
    for (const type of PRIORITY) {
      if (type > lowest) break;
      const ring = this.#ring(type);
      packet.type = type;
      packet.bytes = ring.bytes;
      while (ring.peek(record)) {
        packet.sequence = record.a;
        packet.peer = record.b;
        packet.enteredMs = record.time;
        packet.offset = record.offset;
        packet.length = record.length;
        if (!take(packet)) return taken;
        ring.release(record);
        taken++;
      }
    }
    return taken;
  }
}
