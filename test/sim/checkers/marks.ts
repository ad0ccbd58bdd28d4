/** [ORD2] Every batch that a node writes bears a higher order mark than all before it, over crashes and restarts. */
import { dataView, getU64 } from '../../../agent/base/bytes.ts';
import { BATCH } from '../../../agent/volume/layout.ts';
import type { NodeIndex } from '../pairs.ts';

export class Marks {
  readonly #newest = new Map<NodeIndex, { readonly mark: number; readonly bytes: Uint8Array }>();

  /** Answers what is wrong with this write, or null. The same bytes once more (a write that failed) are the same batch. */
  written(node: NodeIndex, bytes: Uint8Array): string | null {
    const mark = getU64(dataView(bytes), BATCH.at.orderMark);
    const newest = this.#newest.get(node);
    if (newest && mark === newest.mark && Buffer.compare(bytes, newest.bytes) === 0) return null;
    if (newest && mark <= newest.mark) return `order mark ${mark} after ${newest.mark}`;
    this.#newest.set(node, { mark, bytes });
    return null;
  }
}
