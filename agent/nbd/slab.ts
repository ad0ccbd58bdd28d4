/**
 * Memory of payload on its way, in large pieces that are used again: memory that was just used lies in the processor's
 * cache, and memory that is new costs the kernel a fault for each page.
 *
 * Always true: whoever reads or fills a part of a slab holds the slab, so that what nobody holds is free.
 */

const SLAB_BYTES = 1024 * 1024;
const FREE_SLABS_MAX = 8;

export class Slab {
  readonly bytes: Buffer;
  /** Bytes given away, from the front. */
  used = 0;
  readonly #pool: SlabPool;
  /** How many need it: whoever fills it, and everything in it that is still to be sent or written. */
  #holders = 0;

  /** Only the pool makes them. */
  constructor(bytes: number, pool: SlabPool) {
    this.bytes = Buffer.allocUnsafeSlow(bytes);
    this.#pool = pool;
  }

  /** Holders may keep small things in it only as copies: too much memory is held already. */
  get isScarce(): boolean {
    return this.#pool.isScarce;
  }

  hold(): this {
    this.#holders++;
    return this;
  }

  release(holds = 1): void {
    this.#holders -= holds;
    if (this.#holders === 0) this.#pool.put(this);
  }

  /** For who fills it: where nobody else holds it any more, it is filled from the front again. */
  rewind(): void {
    if (this.#holders === 1) this.used = 0;
  }
}

/** The slabs of all connections of a server. */
export class SlabPool {
  readonly #free: Slab[] = [];
  readonly #bytesMax: number;
  #heldBytes = 0;

  /** `bytesMax`: of held slabs; from there on new ones are no larger than needed. */
  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  /** Bytes of all slabs that somebody holds, used in part or whole. */
  get heldBytes(): number {
    return this.#heldBytes;
  }

  /** One small thing can hold a whole slab; without a limit a client could make many of them. */
  get isScarce(): boolean {
    return this.#heldBytes > this.#bytesMax;
  }

  /** A slab of at least `bytes`, held once. */
  take(bytes: number): Slab {
    const isOrdinary = bytes <= SLAB_BYTES && !this.isScarce;
    const slab = (isOrdinary ? this.#free.pop() : null) ?? new Slab(isOrdinary ? SLAB_BYTES : bytes, this);
    this.#heldBytes += slab.bytes.length;
    slab.used = 0;
    return slab.hold();
  }

  /** From the slab alone, when nobody holds it. */
  put(slab: Slab): void {
    this.#heldBytes -= slab.bytes.length;
    if (slab.bytes.length === SLAB_BYTES && this.#free.length < FREE_SLABS_MAX) this.#free.push(slab);
  }
}
