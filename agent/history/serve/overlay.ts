/**
 * What clients of a served state write: kept in memory beside the state, never in the recording, and gone with the process. A file
 * system can be mounted so, for it replays its journal first. Bounded: what goes beyond is refused whole.
 */

const BLOCK_BYTES = 4096;

/** Of all volumes of a server together. */
export class OverlayRoom {
  readonly bytes: number;
  #usedBytes = 0;

  constructor(bytes: number) {
    this.bytes = bytes;
  }

  has(blocks: number): boolean {
    return this.#usedBytes + blocks * BLOCK_BYTES <= this.bytes;
  }

  /** One block. */
  take(): void {
    this.#usedBytes += BLOCK_BYTES;
  }
}

type Read = (offset: number, into: Uint8Array) => void;

export class Overlay {
  readonly #size: number;
  readonly #under: Read;
  readonly #room: OverlayRoom;
  readonly #blocks = new Map<number, Uint8Array>();

  /** `under`: what is there without it; it may throw. */
  constructor(size: number, under: Read, room: OverlayRoom) {
    this.#size = size;
    this.#under = under;
    this.#room = room;
  }

  read(offset: number, into: Uint8Array): void {
    const end = offset + into.length;
    for (let from = offset; from < end;) {
      const block = this.#blocks.get(Math.floor(from / BLOCK_BYTES));
      let to = blockEnd(from, end);
      if (block) into.set(block.subarray(from % BLOCK_BYTES, (from % BLOCK_BYTES) + to - from), from - offset);
      else {
        // What lies together below is read together.
        while (to < end && !this.#blocks.has(to / BLOCK_BYTES)) to = blockEnd(to, end);
        this.#under(from, into.subarray(from - offset, to - offset));
      }
      from = to;
    }
  }

  /** False when there is no room: then nothing has changed. */
  write(offset: number, chunks: readonly Uint8Array[]): boolean {
    const length = chunks.reduce((sum, chunk) => sum + chunk.length, 0);
    if (!this.#own(offset, length)) return false;
    let at = offset;
    for (const chunk of chunks) {
      for (let done = 0; done < chunk.length;) {
        const to = blockEnd(at, at + chunk.length - done);
        this.#blocks.get(Math.floor(at / BLOCK_BYTES))?.set(chunk.subarray(done, done + to - at), at % BLOCK_BYTES);
        done += to - at;
        at = to;
      }
    }
    return true;
  }

  /** As `write` does. */
  zero(offset: number, length: number): boolean {
    if (!this.#own(offset, length)) return false;
    const end = offset + length;
    for (let from = offset; from < end;) {
      const to = blockEnd(from, end);
      const at = from % BLOCK_BYTES;
      this.#blocks.get(Math.floor(from / BLOCK_BYTES))?.fill(0, at, at + to - from);
      from = to;
    }
    return true;
  }

  /** Every block of the range is here, with what it holds so far. */
  #own(offset: number, length: number): boolean {
    const end = offset + length;
    const first = Math.floor(offset / BLOCK_BYTES);
    const last = Math.floor((end - 1) / BLOCK_BYTES);
    let lacking = 0;
    for (let block = first; block <= last; block++) if (!this.#blocks.has(block)) lacking++;
    if (!this.#room.has(lacking)) return false;
    for (let block = first; block <= last; block++) {
      if (this.#blocks.has(block)) continue;
      this.#blocks.set(block, this.#below(block, offset, end));
      this.#room.take();
    }
    return true;
  }

  /** Not read where all of it will be written over. */
  #below(block: number, offset: number, end: number): Uint8Array {
    const from = block * BLOCK_BYTES;
    const to = Math.min(from + BLOCK_BYTES, this.#size);
    const content = new Uint8Array(BLOCK_BYTES);
    if (offset > from || end < to) this.#under(from, content.subarray(0, to - from));
    return content;
  }
}

/** Where the block of `from` ends, or the range before it. */
const blockEnd = (from: number, end: number): number => Math.min(end, from - (from % BLOCK_BYTES) + BLOCK_BYTES);
