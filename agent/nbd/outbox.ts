/**
 * Memory of replies, and the replies that wait to be sent. Replies are made one behind the other in slabs, so that those
 * of one turn of the event loop leave as one piece in one system call; slabs are used again when what lay in them has
 * been sent.
 */
import type { Slab, SlabPool } from './slab.ts';

/** Room for one reply: `bytes` from `at` on. */
export interface Place {
  readonly bytes: Buffer;
  readonly at: number;
  readonly length: number;
  readonly slab: Slab;
}

interface Piece {
  readonly slab: Slab;
  readonly from: number;
  to: number;
  holds: number;
}

export class Outbox {
  readonly #pool: SlabPool;
  #current: Slab | null = null;
  #pieces: Piece[] = [];
  #bytes = 0;

  constructor(pool: SlabPool) {
    this.#pool = pool;
  }

  /** Bytes that wait to be sent. */
  get length(): number {
    return this.#bytes;
  }

  /** Room that is the caller's until it is given to `push` or `drop`. */
  reserve(length: number): Place {
    let slab = this.#current;
    slab?.rewind();
    if (!slab || slab.used + length > slab.bytes.length) {
      slab?.release();
      slab = this.#pool.take(length);
      this.#current = slab;
    }
    const at = slab.used;
    slab.used += length;
    slab.hold();
    return { bytes: slab.bytes, at, length, slab };
  }

  /** The next thing to send. */
  push(place: Place): void {
    const { slab, at, length } = place;
    this.#bytes += length;
    const last = this.#pieces.at(-1);
    if (last && last.slab === slab && last.to === at) {
      last.to += length;
      last.holds++;
    } else {
      this.#pieces.push({ slab, from: at, to: at + length, holds: 1 });
    }
  }

  drop(place: Place): void {
    place.slab.release();
  }

  /** All that waits, to be sent now; `sent` is called when the memory is no longer read. */
  takeAll(): { readonly pieces: Buffer[]; readonly sent: () => void } {
    const taken = this.#pieces;
    this.#pieces = [];
    this.#bytes = 0;
    return {
      pieces: taken.map(({ slab, from, to }) => slab.bytes.subarray(from, to)),
      sent: () => {
        for (const { slab, holds } of taken) slab.release(holds);
      },
    };
  }

  /** Gives up the memory that no reply needs; afterwards only places that were reserved may still be dropped. */
  close(): void {
    this.takeAll().sent();
    this.#current?.release();
    this.#current = null;
  }
}
