/**
 * Messages that arrived while no program listened on their channel. Bounded in bytes, and none becomes older than a packet
 * may [AGE1]: a program that starts soon finds them, one that starts late finds nothing old.
 */
export interface Kept {
  readonly channel: string;
  readonly bytes: Uint8Array;
  /** When it was written, by our clock. */
  readonly bornMs: number;
}

const KEPT_BYTES_MAX = 1024 * 1024;
/** A message without content takes room too. */
const MESSAGE_BYTES = 128;

export class WaitingRoom<T extends Kept> {
  #kept: T[] = [];
  #bytes = 0;

  get count(): number {
    return this.#kept.length;
  }

  /** False: no room. */
  keep(message: T): boolean {
    const bytes = message.bytes.length + MESSAGE_BYTES;
    if (this.#bytes + bytes > KEPT_BYTES_MAX) return false;
    this.#kept.push(message);
    this.#bytes += bytes;
    return true;
  }

  /** The first `limit` messages of a channel, in order; they are gone from here. */
  take(channel: string, limit: number): T[] {
    const taken = this.#kept.filter((message) => message.channel === channel).slice(0, limit);
    this.#remove(new Set(taken));
    return taken;
  }

  /** Forgets what was born before; answers how many that were. */
  expire(bornBeforeMs: number): number {
    const old = this.#kept.filter(({ bornMs }) => bornMs < bornBeforeMs);
    this.#remove(new Set(old));
    return old.length;
  }

  #remove(gone: ReadonlySet<T>): void {
    if (gone.size === 0) return;
    this.#kept = this.#kept.filter((message) => !gone.has(message));
    for (const { bytes } of gone) this.#bytes -= bytes.length + MESSAGE_BYTES;
  }
}
