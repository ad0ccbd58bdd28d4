/** A checkpoint's frames as a source would send them, reckoned from a model's entries block by block. */
import { crc32 } from '../../../../agent/base/crc32.ts';
import type { TransferPlace } from '../../../../agent/mirror/core/transfers.ts';
import {
  CHECKPOINT_HOW,
  encodeCheckpointPart,
  type CheckpointBlock,
} from '../../../../agent/mirror/wire/checkpoint.ts';
import { ENTRY_KIND } from '../../../../agent/mirror/wire/entry.ts';
import { xxh64 } from '../../../../agent/mirror/wire/hash.ts';
import type { ModelEntry, SourceModel } from '../../../support/source-model.ts';

const BLOCK = 4096;

export interface ListOptions {
  readonly base: number;
  readonly cut: number;
  /** Of the entries of this session, by mark. */
  readonly places: ReadonlyMap<number, TransferPlace>;
  /** Blocks that go as data whatever wrote them. */
  readonly asData: readonly { readonly volume: number; readonly block: number }[];
}

interface Part {
  readonly count: number;
  readonly body: Uint8Array;
}

/** In parts of three blocks. */
export function checkpointBodies(model: SourceModel, options: ListOptions): Part[] {
  const content = model.contentAt(options.cut);
  const all: { record: CheckpointBlock; data: Uint8Array }[] = [];
  content.forEach((bytes, volume) => {
    for (let block = 0; block * BLOCK < bytes.length; block++) {
      const record = recordOf(model, options, volume, block, bytes);
      if (record) all.push({ record, data: bytes.subarray(block * BLOCK, (block + 1) * BLOCK) });
    }
  });
  const parts: Part[] = [];
  for (let at = 0; at === 0 || at < all.length; at += 3) {
    const some = all.slice(at, at + 3);
    const head = encodeCheckpointPart({
      base: options.base,
      isFirst: at === 0,
      isLast: at + 3 >= all.length,
      blocks: some.map(({ record }) => record),
    });
    const data = some.filter(({ record }) => record.how === CHECKPOINT_HOW.data).map((one) => one.data);
    parts.push({ count: some.length, body: Buffer.concat([head, ...data]) });
  }
  return parts;
}

function recordOf(
  model: SourceModel,
  { base, cut, places, asData }: ListOptions,
  volume: number,
  block: number,
  bytes: Uint8Array,
): CheckpointBlock | null {
  const newest = model.entries
    .slice(base, cut)
    .findLast((entry) => entry.volume === volume && entry.kind !== ENTRY_KIND.seal && touches(entry, block));
  const isWanted = asData.some((one) => one.volume === volume && one.block === block);
  if (!newest && !isWanted) return null;
  const content = bytes.subarray(block * BLOCK, (block + 1) * BLOCK);
  const facts = { volume, block, blockCrc: crc32(content), blockHash: xxh64(content) };
  const none = { transfer: 0, index: 0, within: 0 };
  const isWhole = newest && newest.offset <= block * BLOCK && newest.offset + newest.length >= (block + 1) * BLOCK;
  if (!newest || isWanted || !isWhole) return { how: CHECKPOINT_HOW.data, ...facts, ...none };
  if (newest.kind !== ENTRY_KIND.write) return { how: CHECKPOINT_HOW.zeroes, ...facts, ...none };
  const within = (block * BLOCK - newest.offset) / BLOCK;
  if (!Number.isInteger(within)) return { how: CHECKPOINT_HOW.data, ...facts, ...none };
  const place = places.get(newest.mark) ?? { transfer: 0, index: 0 };
  return { how: CHECKPOINT_HOW.reference, ...facts, ...place, within };
}

const touches = ({ offset, length }: ModelEntry, block: number): boolean =>
  offset < (block + 1) * BLOCK && offset + length > block * BLOCK;
