/**
 * The content of a measured TCP stream: pseudo-random blocks from a seed, each beginning with its number, so that the
 * receiver can check every byte at the speed of a comparison and tell a missing or repeated block from a right one.
 */
export const BLOCK_BYTES = 65_536;

/** One block, whose filling depends on the seed alone; its number is written in before use. */
function seededBlock(seed: number): Buffer {
  const block = Buffer.alloc(BLOCK_BYTES);
  let state = seed >>> 0;
  for (let i = 0; i < BLOCK_BYTES; i += 4) {
    // mulberry32
    state = (state + 0x6d2b79f5) >>> 0;
    let word = Math.imul(state ^ (state >>> 15), state | 1);
    word ^= word + Math.imul(word ^ (word >>> 7), word | 61);
    block.writeUInt32LE((word ^ (word >>> 14)) >>> 0, i);
  }
  return block;
}

export class ContentSource {
  readonly #block: Buffer;
  #index = 0;

  constructor(seed: number) {
    this.#block = seededBlock(seed);
  }

  /** The next block, in memory of its own: a socket may still hold the one before. */
  next(): Buffer {
    const block = Buffer.from(this.#block);
    block.writeBigUInt64LE(BigInt(this.#index++), 0);
    return block;
  }
}

export class ContentChecker {
  readonly #block: Buffer;
  #position = 0;
  #corrupted = 0;

  constructor(seed: number) {
    this.#block = seededBlock(seed);
    this.#block.writeBigUInt64LE(0n, 0);
  }

  /** Bytes taken so far. */
  get bytes(): number {
    return this.#position;
  }

  /** Bytes that were not what the source sent at that place. */
  get corrupted(): number {
    return this.#corrupted;
  }

  take(piece: Buffer): void {
    let done = 0;
    while (done < piece.length) {
      const offset = this.#position % BLOCK_BYTES;
      if (offset === 0) this.#block.writeBigUInt64LE(BigInt(this.#position / BLOCK_BYTES), 0);
      const length = Math.min(piece.length - done, BLOCK_BYTES - offset);
      this.#compare(piece.subarray(done, done + length), this.#block.subarray(offset, offset + length));
      this.#position += length;
      done += length;
    }
  }

  #compare(got: Buffer, wanted: Buffer): void {
    if (got.equals(wanted)) return;
    for (let i = 0; i < got.length; i++) if (got[i] !== wanted[i]) this.#corrupted++;
  }
}
