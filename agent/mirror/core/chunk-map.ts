/**
 * Which parts of a volume are meant: one bit for each, 64 KiB unless said otherwise (CR4). A write sets all bits that it
 * touches, so what is not set was not written to.
 */
export const CHUNK_BYTES = 65_536;

const ALL = 0xffff_ffff;

export class ChunkMap {
  readonly #words: Uint32Array;
  readonly #chunks: number;
  readonly #unitBytes: number;
  #count = 0;

  /** `words`: of a saved map, as `save` gave them. */
  constructor(volumeBytes: number, words?: Uint32Array, unitBytes: number = CHUNK_BYTES) {
    this.#unitBytes = unitBytes;
    this.#chunks = Math.ceil(volumeBytes / unitBytes);
    this.#words = words ?? new Uint32Array(Math.ceil(this.#chunks / 32));
    if (words) for (const word of words) this.#count += bitsOf(word);
  }

  /** Chunks that are set. */
  get count(): number {
    return this.#count;
  }

  get isEmpty(): boolean {
    return this.#count === 0;
  }

  has(chunk: number): boolean {
    return (((this.#words[chunk >>> 5] ?? 0) >>> (chunk & 31)) & 1) === 1;
  }

  /** Notes a write. Bytes. */
  mark(offset: number, length: number): void {
    if (length === 0) return;
    const first = Math.floor(offset / this.#unitBytes);
    const last = Math.min(this.#chunks - 1, Math.floor((offset + length - 1) / this.#unitBytes));
    // By the word: a trim of a terabyte is one call.
    for (let chunk = first; chunk <= last;) {
      const index = chunk >>> 5;
      const end = Math.min(last + 1, (index + 1) << 5);
      this.#or(index, maskOf(chunk & 31, end - chunk));
      chunk = end;
    }
  }

  clear(chunk: number): void {
    if (!this.has(chunk)) return;
    this.#words[chunk >>> 5] = (this.#words[chunk >>> 5] ?? 0) & ~(1 << (chunk & 31));
    this.#count--;
  }

  clearAll(): void {
    if (this.#count > 0) this.#words.fill(0);
    this.#count = 0;
  }

  /** The first chunk from `from` on that is set, -1 when there is none. */
  next(from: number): number {
    for (let chunk = from; chunk < this.#chunks;) {
      const word = (this.#words[chunk >>> 5] ?? 0) >>> (chunk & 31);
      if (word !== 0) return chunk + Math.log2((word & -word) >>> 0);
      chunk = ((chunk >>> 5) + 1) << 5;
    }
    return -1;
  }

  /** Takes the other's chunks too; of a volume of the same size. */
  add(other: ChunkMap): void {
    other.#words.forEach((word, index) => this.#or(index, word));
  }

  /** The map's words, for saving; little-endian on every machine that this runs on. */
  save(): Uint32Array {
    return this.#words.slice();
  }

  #or(index: number, mask: number): void {
    const word = this.#words[index] ?? 0;
    const fresh = mask & ~word;
    if (fresh === 0) return;
    this.#words[index] = word | mask;
    this.#count += bitsOf(fresh);
  }
}

/** `count` bits from bit `first` on, within a word. */
const maskOf = (first: number, count: number): number => (count === 32 ? ALL : ((1 << count) - 1) << first) >>> 0;

function bitsOf(word: number): number {
  let bits = word >>> 0;
  bits -= (bits >>> 1) & 0x5555_5555;
  bits = (bits & 0x3333_3333) + ((bits >>> 2) & 0x3333_3333);
  return Math.imul((bits + (bits >>> 4)) & 0x0f0f_0f0f, 0x0101_0101) >>> 24;
}
