/**
 * What the flush thread says of the send volume, and the copying thread of its copy: who waits for the copy, and who judges
 * it, compares the two. Of its own memory, for a copy lives longer than a thread that writes or copies.
 */

/** 32-bit words. */
const COPY = {
  /** Raised by anybody who wants the copying thread to look; it waits on this word. */
  wake: 0,
  /** main: what is left is to be copied, then end. */
  stop: 1,
  /** main: the ring's position is known: what `written` says holds. */
  known: 2,
  /** flush: how often the head block was written (wraps). */
  heads: 3,
  /** copier: how many of these the copy has. */
  headsCopied: 4,
  /** copier: errno of the last call to the volumes, 0 when it was good. */
  errno: 5,
  /** flush, with a mirror: number of its newest write (wraps). */
  asked: 6,
  /** main: number of the newest that is answered, and how: 0 or a negative errno. */
  answered: 7,
  answer: 8,
} as const;
const WORDS = 10;

/** 64-bit floats. */
const TIME = {
  /** flush: the ring's position behind the newest batch. */
  written: 0,
  /** copier: everything before this ring position is on the copy. */
  copied: 1,
  /** copier: monotonic ms at which the call under way began, 0 when none. */
  beganMs: 2,
  /** copier: totals. */
  writes: 3,
  bytes: 4,
  errors: 5,
  /** copier: ring bytes that were written over before they were copied. */
  skippedBytes: 6,
} as const;
const TIMES = 8;

export const copyStateBytes: number = WORDS * 4 + TIMES * 8;

/** How far a volume is: ring position, and number of head blocks. */
export interface CopyPoint {
  readonly position: number;
  readonly heads: number;
}

export class CopyState {
  readonly #words: Int32Array;
  readonly #times: Float64Array;

  constructor(memory: SharedArrayBuffer) {
    this.#words = new Int32Array(memory, 0, WORDS);
    this.#times = new Float64Array(memory, WORDS * 4, TIMES);
  }

  /** main: a writer begins at this position. */
  begin(position: number): void {
    this.#times[TIME.written] = position;
    Atomics.store(this.#words, COPY.known, 1);
    this.wake();
  }

  get isKnown(): boolean {
    return Atomics.load(this.#words, COPY.known) === 1;
  }

  /** flush: the send volume has it. */
  wrote(position: number, isHead: boolean): void {
    this.#times[TIME.written] = position;
    if (isHead) Atomics.add(this.#words, COPY.heads, 1);
    this.wake();
  }

  get written(): CopyPoint {
    return { position: this.#times[TIME.written] ?? 0, heads: Atomics.load(this.#words, COPY.heads) };
  }

  get copied(): CopyPoint {
    return { position: this.#times[TIME.copied] ?? 0, heads: Atomics.load(this.#words, COPY.headsCopied) };
  }

  copiedTo(position: number): void {
    this.#times[TIME.copied] = position;
  }

  copiedHead(heads: number): void {
    Atomics.store(this.#words, COPY.headsCopied, heads);
  }

  /** copier: a call to a volume begins. */
  began(nowMs: number): void {
    this.#times[TIME.beganMs] = nowMs;
  }

  /** copier: it has ended; 0, or a negative errno. `writtenBytes`: of a write. */
  ended(result: number, writtenBytes = 0): void {
    this.#times[TIME.beganMs] = 0;
    Atomics.store(this.#words, COPY.errno, result < 0 ? -result : 0);
    if (result < 0) this.#add(TIME.errors, 1);
    else if (writtenBytes > 0) {
      this.#add(TIME.writes, 1);
      this.#add(TIME.bytes, writtenBytes);
    }
  }

  skipped(bytes: number): void {
    this.#add(TIME.skippedBytes, bytes);
  }

  get errno(): number {
    return Atomics.load(this.#words, COPY.errno);
  }

  /** How long the call under way has taken; 0 when there is none. */
  callingMs(nowMs: number): number {
    const beganMs = this.#times[TIME.beganMs] ?? 0;
    return beganMs > 0 ? Math.max(0, nowMs - beganMs) : 0;
  }

  get totals(): {
    readonly writes: number;
    readonly bytes: number;
    readonly errors: number;
    readonly skippedBytes: number;
  } {
    const at = (index: number): number => this.#times[index] ?? 0;
    return {
      writes: at(TIME.writes),
      bytes: at(TIME.bytes),
      errors: at(TIME.errors),
      skippedBytes: at(TIME.skippedBytes),
    };
  }

  stop(): void {
    Atomics.store(this.#words, COPY.stop, 1);
    this.wake();
  }

  get isStopping(): boolean {
    return Atomics.load(this.#words, COPY.stop) === 1;
  }

  /** flush: a number for a write that the mirror is asked for. */
  askWrite(): number {
    return (Atomics.add(this.#words, COPY.asked, 1) + 1) | 0;
  }

  /** main: the write of this number is answered. */
  answerWrite(id: number, result: number): void {
    // One that a dead thread asked for is nobody's.
    if (id !== Atomics.load(this.#words, COPY.asked)) return;
    Atomics.store(this.#words, COPY.answer, result);
    Atomics.store(this.#words, COPY.answered, id);
    Atomics.notify(this.#words, COPY.answered);
  }

  /** flush: what the write of this number was answered with; null when it was not within `ms`. */
  awaitWrite(id: number, ms: number): number | null {
    const answered = Atomics.load(this.#words, COPY.answered);
    if (answered !== id) Atomics.wait(this.#words, COPY.answered, answered, ms);
    return Atomics.load(this.#words, COPY.answered) === id ? Atomics.load(this.#words, COPY.answer) : null;
  }

  wake(): void {
    Atomics.add(this.#words, COPY.wake, 1);
    Atomics.notify(this.#words, COPY.wake);
  }

  /** For {@link sleep}: what was seen before looking. */
  get bell(): number {
    return Atomics.load(this.#words, COPY.wake);
  }

  sleep(seen: number, ms: number): void {
    Atomics.wait(this.#words, COPY.wake, seen, ms);
  }

  #add(index: number, by: number): void {
    this.#times[index] = (this.#times[index] ?? 0) + by;
  }
}

/** Whether a copy that is at `copied` has what `wanted` names. Counts of head blocks wrap. */
export const hasCopied = (copied: CopyPoint, wanted: CopyPoint): boolean =>
  copied.position >= wanted.position && ((copied.heads - wanted.heads) | 0) >= 0;
