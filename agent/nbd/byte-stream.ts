/**
 * Bytes that arrive in chunks of any size, handed out in the sizes that the protocol needs. What lies whole in one
 * chunk is not copied.
 */
import type { Slab } from './slab.ts';

interface Chunk {
  readonly bytes: Buffer;
  /** Where the bytes lie, when they are to be given back. */
  readonly slab: Slab | null;
}

export class ByteStream {
  /** The piece that `take` found begins at `at` in `bytes`; both are good until the next call. */
  bytes: Buffer = Buffer.alloc(0);
  at = 0;

  /** The slab of what `takeSome` found last, held for who took it. */
  slab: Slab | null = null;

  /** Where `bytes` lies: what is read must not become the memory of its own answer. */
  #lent: Slab | null = null;

  readonly #chunks: Chunk[] = [];
  /** First byte of the first chunk that was not handed out. */
  #first = 0;
  #length = 0;
  #joined: Buffer = Buffer.allocUnsafe(64);

  /** Bytes that wait. */
  get length(): number {
    return this.#length;
  }

  push(bytes: Buffer, slab: Slab | null): void {
    if (bytes.length === 0) return;
    slab?.hold();
    this.#chunks.push({ bytes, slab });
    this.#length += bytes.length;
  }

  /** Finds the next `count` bytes in one piece, or answers false and takes nothing until they are there. */
  take(count: number): boolean {
    this.#returnLent();
    if (this.#length < count) return false;
    const head = this.#chunks[0];
    if (head && head.bytes.length - this.#first >= count) {
      this.bytes = head.bytes;
      this.at = this.#first;
      this.#lent = head.slab?.hold() ?? null;
      this.#skip(head, count);
      return true;
    }
    if (this.#joined.length < count) this.#joined = Buffer.allocUnsafe(count);
    let filled = 0;
    while (filled < count) {
      const part = this.takeSome(count - filled);
      if (!part) break;
      this.#joined.set(part, filled);
      this.slab?.release();
      filled += part.length;
    }
    this.bytes = this.#joined;
    this.at = 0;
    return true;
  }

  /** Up to `most` bytes, as many as lie together; null when there are none. The taker releases `slab`, if there is one. */
  takeSome(most: number): Buffer | null {
    this.#returnLent();
    const head = this.#chunks[0];
    if (!head || most === 0) return null;
    const count = Math.min(most, head.bytes.length - this.#first);
    const part = head.bytes.subarray(this.#first, this.#first + count);
    this.slab = head.slab?.hold() ?? null;
    this.#skip(head, count);
    return part;
  }

  clear(): void {
    this.#returnLent();
    for (const { slab } of this.#chunks.splice(0)) slab?.release();
    this.#first = 0;
    this.#length = 0;
  }

  #returnLent(): void {
    this.#lent?.release();
    this.#lent = null;
  }

  #skip({ bytes, slab }: Chunk, count: number): void {
    this.#first += count;
    this.#length -= count;
    if (this.#first < bytes.length) return;
    this.#chunks.shift();
    this.#first = 0;
    slab?.release();
  }
}
