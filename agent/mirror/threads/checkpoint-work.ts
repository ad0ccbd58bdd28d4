/**
 * The blocks of a checkpoint as the apply thread takes them: from the arrival journal's file, as zeros, or from the list itself.
 * First all are verified, which touches nothing; then all are written, and verified once more while they are. Runs of
 * blocks that lie together in a volume and in one entry are read and written as one.
 */
import { DIGEST_BYTES, putDigest } from '../scan/digest.ts';
import { dataView } from '../../base/bytes.ts';
import { CHECKPOINT_BLOCK, CHECKPOINT_HOW, decodeCheckpointBlock, type CheckpointBlock } from '../wire/checkpoint.ts';
import { BLOCK_BYTES } from '../wire/layout.ts';

/** Nothing lies there. */
export const NO_PLACE = -1;

export interface CheckpointList {
  /** `CHECKPOINT_BLOCK`s, by volume and block, ascending. */
  readonly records: Uint8Array;
  /** Of a reference: the position of the block's bytes in the ring, or NO_PLACE. Of data: where they begin in `data`. */
  readonly places: Float64Array;
  readonly data: Uint8Array;
  /** Of each volume, by index in the group: the last block may be short. */
  readonly volumeBytes: readonly number[];
}

export interface CheckpointParts {
  /** Reads the arrival ring from a position on: how much, or a negative errno. */
  readRing(position: number, into: Uint8Array): number;
  /** Writes, or makes zeros of, a range of a receive volume: 0 or a negative errno. */
  write(volume: number, offset: number, bytes: Uint8Array): number;
  zero(volume: number, offset: number, length: number): number;
}

/** A run that was dealt with: how many blocks it has, and which of them cannot be brought. */
export interface RunDone {
  readonly count: number;
  readonly failed: readonly number[];
}

/** A negative errno. */
export interface RunFailure {
  readonly of: 'journal' | 'volumes';
  readonly errno: number;
}

const RUN_BLOCKS_MAX = 256;
const EIO = 5;

export class CheckpointWork {
  readonly #list: CheckpointList;
  readonly #parts: CheckpointParts;
  readonly #blocks: readonly CheckpointBlock[];
  readonly #bytes: Uint8Array;
  readonly #digest = new Uint8Array(DIGEST_BYTES.crc32);
  readonly #digestView = dataView(this.#digest);

  constructor(list: CheckpointList, parts: CheckpointParts) {
    this.#list = list;
    this.#bytes = new Uint8Array(Math.min(list.places.length, RUN_BLOCKS_MAX) * BLOCK_BYTES);
    this.#parts = parts;
    this.#blocks = Array.from(list.places, (_, i) => {
      const result = decodeCheckpointBlock(list.records, i * CHECKPOINT_BLOCK.bytes);
      if (!result.ok) throw new Error(`block ${i} of a checkpoint was not checked`);
      return result.block;
    });
  }

  /** Blocks. */
  get count(): number {
    return this.#blocks.length;
  }

  /** Looks at a run from block `first` on. */
  verify(first: number): RunDone {
    const run = this.#run(first);
    const bytes = this.#read(run);
    const all = Array.from({ length: run.count }, (_, i) => first + i);
    if (typeof bytes === 'number') return { count: run.count, failed: run.count === 1 ? all : this.#eachOf(run) };
    return { count: run.count, failed: bytes ? all.filter((i) => !this.#holds(i, bytes, i - first)) : [] };
  }

  /** Brings a run from block `first` on. */
  apply(first: number): RunDone | RunFailure {
    const run = this.#run(first);
    const { volume, offset, length, count } = run;
    const bytes = this.#read(run);
    if (typeof bytes === 'number') return { of: 'journal', errno: bytes };
    if (bytes && !this.#allHold(run, bytes)) return { of: 'journal', errno: -EIO };
    const parts = this.#parts;
    const errno = bytes ? parts.write(volume, offset, bytes) : parts.zero(volume, offset, length);
    return errno < 0 ? { of: 'volumes', errno } : { count, failed: [] };
  }

  #run(first: number): { first: number; count: number; volume: number; offset: number; length: number } {
    const { volume, block, how } = this.#at(first);
    const place = this.#list.places[first] ?? NO_PLACE;
    let count = 1;
    for (let next = this.#blocks[first + 1]; next && count < RUN_BLOCKS_MAX; next = this.#blocks[first + count]) {
      const isNext = next.how === how && next.volume === volume && next.block === block + count;
      const there = this.#list.places[first + count] ?? NO_PLACE;
      const isBeside = how === CHECKPOINT_HOW.zeroes || (place >= 0 && there === place + count * BLOCK_BYTES);
      if (!isNext || !isBeside) break;
      count++;
    }
    const offset = block * BLOCK_BYTES;
    const length = Math.min(count * BLOCK_BYTES, (this.#list.volumeBytes[volume] ?? 0) - offset);
    return { first, count, volume, offset, length };
  }

  /** What the run is to hold: null for zeros, a negative errno where it is not to be had. */
  #read({ first, length }: { readonly first: number; readonly length: number }): Uint8Array | null | number {
    const { how } = this.#at(first);
    if (how === CHECKPOINT_HOW.zeroes) return null;
    const place = this.#list.places[first] ?? NO_PLACE;
    if (place < 0) return -EIO;
    if (how === CHECKPOINT_HOW.data) return this.#list.data.subarray(place, place + length);
    const bytes = this.#bytes.subarray(0, length);
    const got = this.#parts.readRing(place, bytes);
    return got === length ? bytes : got < 0 ? got : -EIO;
  }

  #allHold({ first, count }: { readonly first: number; readonly count: number }, bytes: Uint8Array): boolean {
    for (let i = 0; i < count; i++) if (!this.#holds(first + i, bytes, i)) return false;
    return true;
  }

  #holds(i: number, bytes: Uint8Array, inRun: number): boolean {
    const { blockCrc, blockHash } = this.#at(i);
    putDigest('crc32', bytes.subarray(inRun * BLOCK_BYTES, (inRun + 1) * BLOCK_BYTES), this.#digest, 0);
    return this.#digestView.getUint32(0, true) === blockCrc && this.#digestView.getBigUint64(4, true) === blockHash;
  }

  /** A run that cannot be read as one: which of its blocks cannot. */
  #eachOf({ first, count }: { readonly first: number; readonly count: number }): number[] {
    const one = new Uint8Array(BLOCK_BYTES);
    return Array.from({ length: count }, (_, i) => first + i).filter((i) => {
      const got = this.#parts.readRing(this.#list.places[i] ?? 0, one);
      return got !== BLOCK_BYTES || !this.#holds(i, one, 0);
    });
  }

  #at(i: number): CheckpointBlock {
    const block = this.#blocks[i];
    if (!block) throw new Error(`a checkpoint has no block ${i}`);
    return block;
  }
}
