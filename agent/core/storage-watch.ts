/**
 * [AG9] Watches that a peer's word is read from storage within its set time. A miss is counted, and told once: when it
 * begins, and when the peer is read again.
 */
export interface StorageNews {
  readonly kind: 'storage-silent' | 'storage-heard';
  readonly silentMs: number;
}

export class StorageWatch {
  readonly #patienceMs: number;
  #fresh = false;
  #misses = 0;
  /** When the peer was last read before the present miss; -1 when there is none. */
  #silentSinceMs = -1;

  constructor(patienceMs: number) {
    this.#patienceMs = patienceMs;
  }

  /** The peer's word was read within its time. */
  get fresh(): boolean {
    return this.#fresh;
  }

  get misses(): number {
    return this.#misses;
  }

  /** `seenMs`: when the peer was last read, 0 for never. Answers what an operator should know, if there is something. */
  look(nowMs: number, seenMs: number): StorageNews | null {
    const wasFresh = this.#fresh;
    this.#fresh = seenMs > 0 && nowMs - seenMs <= this.#patienceMs;
    if (wasFresh === this.#fresh) return null;
    if (wasFresh) {
      this.#misses++;
      this.#silentSinceMs = seenMs;
      return { kind: 'storage-silent', silentMs: nowMs - seenMs };
    }
    if (this.#silentSinceMs < 0) return null;
    const silentMs = nowMs - this.#silentSinceMs;
    this.#silentSinceMs = -1;
    return { kind: 'storage-heard', silentMs };
  }
}
