/** The payload of one write while it arrives: as the chunks that the socket gave, without a copy, if they are no crumbs. */

import type { Slab } from './slab.ts';

/** Below this size on average, chunks cost more than a copy of them (and a client chooses how small they are). */
const CHUNK_BYTES_MIN = 32_768;
const CHUNKS_FREE = 16;

export class Payload {
  readonly length: number;
  #received = 0;
  #chunks: Uint8Array[] = [];
  #slabs: Slab[] = [];
  #joined: Uint8Array | null = null;

  constructor(length: number) {
    this.length = length;
  }

  get missing(): number {
    return this.length - this.#received;
  }

  /** `chunk`, no longer than what is missing, lies in `slab`, which is held for us, or is ours alone. */
  add(chunk: Uint8Array, slab: Slab | null): void {
    if (!this.#joined && this.#chunks.length >= CHUNKS_FREE + this.#received / CHUNK_BYTES_MIN) this.#join();
    if (this.#joined) {
      this.#joined.set(chunk, this.#received);
      slab?.release();
    } else if (slab?.isScarce === true) {
      this.#chunks.push(new Uint8Array(chunk));
      slab.release();
    } else {
      this.#chunks.push(chunk);
      if (slab) this.#slabs.push(slab);
    }
    this.#received += chunk.length;
  }

  /** All of it, once nothing is missing. */
  get chunks(): Uint8Array[] {
    return this.#joined ? [this.#joined] : this.#chunks;
  }

  /** Nobody reads it any more. */
  free(): void {
    for (const slab of this.#slabs) slab.release();
    this.#slabs = [];
    this.#chunks = [];
  }

  #join(): void {
    const joined = Buffer.allocUnsafeSlow(this.length);
    let at = 0;
    for (const chunk of this.#chunks) {
      joined.set(chunk, at);
      at += chunk.length;
    }
    this.free();
    this.#joined = joined;
  }
}
