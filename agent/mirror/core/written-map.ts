/**
 * Which chunks were written to, and as long as that is cheap which blocks of them (CR4). The chunks are always right; the blocks
 * are kept by pages of 128 MiB in which anything was written, up to a bound ([MI16]): beyond it, and of what came from a saved
 * map, all blocks of a chunk are meant.
 */
import { CHUNK_BYTES, ChunkMap } from './chunk-map.ts';
import { BLOCK_BYTES } from '../wire/layout.ts';

export const BLOCKS_A_CHUNK: number = CHUNK_BYTES / BLOCK_BYTES;
const CHUNKS_A_PAGE = 2048;
/** A mebibyte of memory, and 32 GiB of a volume. */
const PAGES_MAX = 256;
const ALL = 0xffff;
/** Nothing finer than its chunks is known of a page. */
const COARSE = null;

/** The blocks of each chunk, one bit for each. */
type Page = Uint16Array | typeof COARSE;

export class WrittenMap extends ChunkMap {
  readonly #pages = new Map<number, Page>();
  /** Zeroed, to be used again: a map is cleared with each cut. */
  readonly #spare: Uint16Array[] = [];
  readonly #pagesMax: number;
  #fine = 0;

  constructor(volumeBytes: number, words?: Uint32Array, pagesMax: number = PAGES_MAX) {
    super(volumeBytes, words);
    this.#pagesMax = pagesMax;
    for (let chunk = this.next(0); chunk !== -1; chunk = this.next((pageOf(chunk) + 1) * CHUNKS_A_PAGE)) {
      this.#pages.set(pageOf(chunk), COARSE);
    }
  }

  /** Those of a chunk that is set: one bit for each. */
  blocks(chunk: number): number {
    return this.#pages.get(pageOf(chunk))?.[chunk % CHUNKS_A_PAGE] ?? ALL;
  }

  override mark(offset: number, length: number): void {
    super.mark(offset, length);
    if (length === 0) return;
    const first = Math.floor(offset / BLOCK_BYTES);
    const last = Math.floor((offset + length - 1) / BLOCK_BYTES);
    const [begin, end] = [Math.floor(first / BLOCKS_A_CHUNK), Math.floor(last / BLOCKS_A_CHUNK)];
    // A trim of a terabyte takes no page.
    const isLong = end - begin > CHUNKS_A_PAGE;
    for (let page = pageOf(begin); page <= pageOf(end); page++) {
      const bits = isLong ? this.#coarse(page) : this.#page(page);
      if (bits === COARSE) continue;
      const from = page * CHUNKS_A_PAGE;
      for (let chunk = Math.max(begin, from); chunk <= Math.min(end, from + CHUNKS_A_PAGE - 1); chunk++) {
        const low = chunk === begin ? first % BLOCKS_A_CHUNK : 0;
        const high = chunk === end ? last % BLOCKS_A_CHUNK : BLOCKS_A_CHUNK - 1;
        bits[chunk - from] = (bits[chunk - from] ?? 0) | ((ALL << low) & (ALL >>> (BLOCKS_A_CHUNK - 1 - high)));
      }
    }
  }

  override clear(chunk: number): void {
    super.clear(chunk);
    const bits = this.#pages.get(pageOf(chunk));
    if (bits) bits[chunk % CHUNKS_A_PAGE] = 0;
  }

  override clearAll(): void {
    super.clearAll();
    for (const bits of this.#pages.values()) if (bits) this.#spare.push(bits.fill(0));
    this.#pages.clear();
    this.#fine = 0;
  }

  override add(other: WrittenMap): void {
    super.add(other);
    for (const [page, theirs] of other.#pages) {
      const ours = theirs ? this.#page(page) : this.#coarse(page);
      if (ours) theirs?.forEach((bits, chunk) => (ours[chunk] = (ours[chunk] ?? 0) | bits));
    }
  }

  #page(page: number): Page {
    const known = this.#pages.get(page);
    if (known !== undefined) return known;
    const bits = this.#fine < this.#pagesMax ? (this.#spare.pop() ?? new Uint16Array(CHUNKS_A_PAGE)) : COARSE;
    if (bits) this.#fine++;
    this.#pages.set(page, bits);
    return bits;
  }

  #coarse(page: number): typeof COARSE {
    if (this.#pages.get(page)) this.#fine--;
    this.#pages.set(page, COARSE);
    return COARSE;
  }
}

const pageOf = (chunk: number): number => Math.floor(chunk / CHUNKS_A_PAGE);
