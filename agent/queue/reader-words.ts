/**
 * The words of one reader thread. Each reads one receive volume, so each has words of its own: a volume that hangs or
 * fails must not hide behind another that answers, and a total has one writer. Written by that reader, but for what main
 * does before it gives the number to another one.
 */

/** 32-bit words of one reader. */
export const READER = {
  /** Beats, to be seen alive. */
  beat: 0,
  /** Errno of the last read, 0 when it was good. */
  errno: 1,
  /** Errno of the last read that failed, whatever came after it. */
  failedErrno: 2,
  /** 1 while large batches come: what we send meanwhile are confirmations, and may share a batch. */
  flood: 3,
  /** Number of the plan that it has taken over. */
  plan: 4,
} as const;
const READER_WORDS = 8;

/** 64-bit floats of one reader. */
export const READER_TIME = {
  /** Monotonic ms at which the read under way began, 0 when none. */
  beganMs: 0,
  /** Totals. */
  reads: 1,
  bytesRead: 2,
  readErrors: 3,
} as const;
const READER_TIMES = 4;

export const READER_BYTES: number = READER_WORDS * 4 + READER_TIMES * 8;

/** One reader's words. */
export interface ReaderWords {
  readonly words: Int32Array;
  readonly times: Float64Array;
}

/** The words of the reader whose block begins at byte `start`. */
export const readerWordsAt = (buffer: SharedArrayBuffer, start: number): ReaderWords => ({
  words: new Int32Array(buffer, start, READER_WORDS),
  times: new Float64Array(buffer, start + READER_WORDS * 4, READER_TIMES),
});

/** How long the read under way has taken, in ms; 0 when there is none. */
export function readingMs({ times }: ReaderWords, nowMs: number): number {
  const beganMs = times[READER_TIME.beganMs] ?? 0;
  return beganMs > 0 ? Math.max(0, nowMs - beganMs) : 0;
}

/** The last read was good, and the one under way is not late. */
export const readsInTime = (reader: ReaderWords, nowMs: number, deadlineMs: number): boolean =>
  Atomics.load(reader.words, READER.errno) === 0 && readingMs(reader, nowMs) <= deadlineMs;
