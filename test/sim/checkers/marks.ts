/** [ORD2] Every batch that a node writes bears a higher order mark than all before it, over crashes and restarts. */
import { dataView, getU64 } from '../../../agent/base/bytes.ts';
import { BATCH } from '../../../agent/volume/layout.ts';
import type { NodeIndex } from '../network.ts';

export class Marks {
  readonly #highest: [number, number] = [0, 0];
  readonly #bytes: [Uint8Array, Uint8Array] = [new Uint8Array(0), new Uint8Array(0)];

  /** Answers what is wrong with this write, or null. The same bytes once more (a write that failed) are the same batch. */
  written(node: NodeIndex, bytes: Uint8Array): string | null {
    const mark = getU64(dataView(bytes), BATCH.at.orderMark);
    if (mark === this.#highest[node] && Buffer.compare(bytes, this.#bytes[node]) === 0) return null;
    if (mark <= this.#highest[node]) return `order mark ${mark} after ${this.#highest[node]}`;
    this.#highest[node] = mark;
    this.#bytes[node] = bytes;
    return null;
  }
}
