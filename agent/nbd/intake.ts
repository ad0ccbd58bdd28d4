/** Where one connection receives: the free end of a slab, and another slab when that is short. */
import type { Slab, SlabPool } from './slab.ts';

/** Least room for one receive. */
const ROOM_BYTES_MIN = 128 * 1024;

export class Intake {
  readonly #pool: SlabPool;
  #slab: Slab;

  constructor(pool: SlabPool) {
    this.#pool = pool;
    this.#slab = pool.take(ROOM_BYTES_MIN);
  }

  /** Room for what comes next; the room that was given before is void. */
  room(): Buffer {
    this.#slab.rewind();
    if (this.#slab.bytes.length - this.#slab.used < ROOM_BYTES_MIN) {
      this.#slab.release();
      this.#slab = this.#pool.take(ROOM_BYTES_MIN);
    }
    return this.#slab.bytes.subarray(this.#slab.used);
  }

  /** `count` bytes were put at the front of the room. Who keeps `chunk` beyond the call holds `slab`. */
  arrived(count: number, received: (chunk: Buffer, slab: Slab) => void): void {
    const slab = this.#slab;
    const at = slab.used;
    slab.used += count;
    received(slab.bytes.subarray(at, at + count), slab);
  }

  /** Nothing comes any more. */
  close(): void {
    this.#slab.release();
  }
}
