/**
 * Watches whether one receive volume is read: told once when its reads begin to fail or one hangs, and once when that is
 * over. A volume of which some places fail is bad as long as any read of it fails, whatever the last one was.
 */
import { READER, READER_TIME, type ReaderWords, readingMs, readsInTime } from './queue/reader-words.ts';

/** `errno` is null where nothing failed but hangs, `forMs` since when it does. */
export interface StorageTrouble {
  readonly reason: string;
  readonly errno: number | null;
  readonly forMs: number | null;
}

export type ReadNews =
  | ({ readonly kind: 'read-error'; readonly volume: string } & StorageTrouble)
  | { readonly kind: 'read-good'; readonly volume: string; readonly afterMs: number };

export class ReadWatch {
  readonly volume: string;
  readonly #reader: ReaderWords;
  readonly #deadlineMs: number;
  #errors: number;
  /** Since when it has been bad; -1 when it is not. */
  #badMs = -1;

  /** A read that takes longer than `deadlineMs` hangs. */
  constructor(reader: ReaderWords, volume: string, deadlineMs: number) {
    this.volume = volume;
    this.#reader = reader;
    this.#deadlineMs = deadlineMs;
    this.#errors = this.#errorCount;
  }

  get #errorCount(): number {
    return this.#reader.times[READER_TIME.readErrors] ?? 0;
  }

  #trouble(nowMs: number): StorageTrouble {
    const forMs = readingMs(this.#reader, nowMs);
    if (forMs > this.#deadlineMs) return { reason: 'a read hangs', errno: null, forMs };
    return { reason: 'a read failed', errno: Atomics.load(this.#reader.words, READER.failedErrno), forMs: null };
  }

  /** What an operator should know, if there is something. */
  look(nowMs: number): ReadNews | null {
    const { volume } = this;
    const errors = this.#errorCount;
    const isBad = errors !== this.#errors || !readsInTime(this.#reader, nowMs, this.#deadlineMs);
    this.#errors = errors;
    if (isBad === this.#badMs >= 0) return null;
    if (isBad) {
      this.#badMs = nowMs;
      return { kind: 'read-error', volume, ...this.#trouble(nowMs) };
    }
    const afterMs = nowMs - this.#badMs;
    this.#badMs = -1;
    return { kind: 'read-good', volume, afterMs };
  }
}
