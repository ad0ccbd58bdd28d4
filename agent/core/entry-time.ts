/**
 * [AGE1] When a frame from the interface entered. Nothing on it tells, so it is the time at which it is read; but what is
 * read after a standstill (SIGSTOP, a starved host) may have waited as long as that lasted, and counts as if it had.
 */

/** Shorter standstills are those of a busy host, and far below any age that matters. */
const STANDSTILL_MS = 250;
/** No interface's queue holds more: what is read behind so many has come since. */
const QUEUED_FRAMES_MAX = 4096;

export class EntryTime {
  #sinceMs = 0;
  /** How many more frames may have waited. */
  #doubtful = 0;

  /** A round begins `standstillMs` after the last one. */
  roundBegins(standstillMs: number, nowMs: number): void {
    if (standstillMs <= STANDSTILL_MS) return;
    // After two in a row the queue may still hold frames from the first.
    if (this.#doubtful === 0) this.#sinceMs = nowMs - standstillMs;
    this.#doubtful = QUEUED_FRAMES_MAX;
  }

  /** The interface had nothing more to read: what comes next is new. */
  queueEmpty(): void {
    this.#doubtful = 0;
  }

  /** A frame has been taken. */
  taken(): void {
    if (this.#doubtful > 0) this.#doubtful--;
  }

  enteredMs(nowMs: number): number {
    return this.#doubtful > 0 ? this.#sinceMs : nowMs;
  }
}
