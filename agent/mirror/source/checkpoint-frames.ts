/** A checkpoint's list as frames for one target: references become transfer and place of its session. */
import type { SentTransfers } from '../core/transfers.ts';
import { CHECKPOINT_HOW, encodeCheckpointPart, type CheckpointBlock } from '../wire/checkpoint.ts';
import type { CutBlock } from './checkpoints.ts';

/** Blocks in one frame, and those of them that are data: 1 MiB with the data. */
const BLOCKS_MAX = 4096;
const DATA_MAX = 256;

export interface CheckpointFrame {
  readonly cut: number;
  /** Blocks. */
  readonly count: number;
  readonly pieces: readonly Uint8Array[];
}

export function* checkpointFrames(
  cut: number,
  base: number,
  blocks: readonly CutBlock[],
  sent: SentTransfers,
): Generator<CheckpointFrame> {
  let at = 0;
  do {
    const first = at;
    const data: Uint8Array[] = [];
    for (; at < blocks.length && at - first < BLOCKS_MAX && data.length < DATA_MAX; at++) {
      const bytes = blocks[at]?.bytes;
      if (bytes) data.push(bytes);
    }
    const records = blocks.slice(first, at).map((block) => recordOf(block, sent));
    const part = { base, isFirst: first === 0, isLast: at === blocks.length, blocks: records };
    yield { cut, count: at - first, pieces: [encodeCheckpointPart(part), ...data] };
  } while (at < blocks.length);
}

function recordOf({ how, volume, block, mark, within, crc, hash }: CutBlock, sent: SentTransfers): CheckpointBlock {
  // A place that is not known is asked for: the target wants the block then.
  const place = how === CHECKPOINT_HOW.reference ? sent.placeOf(mark) : null;
  const { transfer, index } = place ?? { transfer: 0, index: 0 };
  return { how, volume, block, transfer, index, within, blockCrc: crc, blockHash: hash };
}
