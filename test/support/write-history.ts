/** Writes of a client whose order can be told from what a volume holds: which of them it shows, and whether it is a mix. */
import { Prng } from '../../agent/base/prng.ts';
import type { NbdClient } from './nbd-client.ts';

const BLOCK = 4096;
const SLOTS = 256;
const DEPTH = 16;
/** Of the volume that they are written to. */
export const HISTORY_BYTES: number = SLOTS * BLOCK;

/** Writes of one connection: each block bears, all over, the number of its write. Their order is that of the numbers. */
export class WriteHistory {
  #writes: { readonly slot: number; readonly number: number }[] = [];
  readonly #prng: Prng;
  #number = 0;
  acked = 0;

  constructor(seed: number) {
    this.#prng = new Prng(seed);
  }

  /** Writes until the server is gone or `stop` says so. */
  async write(client: NbdClient, stop: () => boolean): Promise<void> {
    const one = async (): Promise<void> => {
      while (!client.isLost && !stop()) {
        const slot = this.#prng.below(SLOTS);
        const bytes = this.#next(slot);
        const number = this.#number;
        const isAnswered = await client.write(slot * BLOCK, bytes).then(
          () => true,
          () => false,
        );
        if (!isAnswered) return;
        this.acked = Math.max(this.acked, number);
      }
    };
    await Promise.all(Array.from({ length: DEPTH }, one));
  }

  /**
   * The same over several volumes, which together hold the slots, `volumeBytes` each: one write at a time, each answered before the
   * next one.
   */
  async writeInTurn(clients: readonly NbdClient[], volumeBytes: number, stop: () => boolean): Promise<void> {
    while (!stop() && !clients.some(({ isLost }) => isLost)) {
      const slot = this.#prng.below(SLOTS);
      const at = slot * BLOCK;
      const client = clients[Math.floor(at / volumeBytes)];
      const isAnswered = await client?.write(at % volumeBytes, this.#next(slot)).then(
        () => true,
        () => false,
      );
      if (isAnswered !== true) return;
      this.acked = this.#number;
    }
  }

  /** The number of the last write that `content` holds; throws unless it is the state behind exactly that one. */
  cutOf(content: Buffer, label: string): number {
    const words = new Uint32Array(content.buffer, content.byteOffset, content.length / 4);
    const shown = Array.from({ length: SLOTS }, (_, slot) => words[(slot * BLOCK) / 4] ?? 0);
    const cut = Math.max(...shown);
    const wanted = Array.from({ length: SLOTS }, () => 0);
    for (const { slot, number } of this.#writes) if (number <= cut) wanted[slot] = number;
    for (let slot = 0; slot < SLOTS; slot++) {
      const part = words.subarray((slot * BLOCK) / 4, ((slot + 1) * BLOCK) / 4);
      if (part.every((word) => word === wanted[slot])) continue;
      throw new Error(`${label}: behind write ${cut} slot ${slot} holds ${shown[slot]}, not ${wanted[slot]}`);
    }
    return cut;
  }

  #next(slot: number): Uint8Array {
    const number = ++this.#number;
    this.#writes.push({ slot, number });
    return new Uint8Array(new Uint32Array(BLOCK / 4).fill(number).buffer);
  }

  /** A crash of the source took what it had not made durable: it was never answered. */
  forgetBehind(cut: number): void {
    this.#writes = this.#writes.filter(({ number }) => number <= cut);
  }
}
