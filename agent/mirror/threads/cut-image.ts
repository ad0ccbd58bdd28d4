/**
 * Blocks of the send volumes as they are between two entries: the digest of each, and the bytes of those that go as data
 * ([MI7]). Read in runs: a checkpoint may name tens of thousands.
 */
import { DIGEST_BYTES, putDigest } from '../scan/digest.ts';
import type { Disk } from '../store/disk.ts';
import { BLOCK_BYTES } from '../wire/layout.ts';

/** Of which blocks; by volume and block, ascending. */
export interface CutBlocks {
  readonly volumes: Uint16Array;
  readonly blocks: Float64Array;
  /** 1: its bytes are wanted. */
  readonly isData: Uint8Array;
  /** Of each volume, by index in the group: the last block may be short. */
  readonly volumeBytes: readonly number[];
}

export const CUT_DIGEST_BYTES: number = DIGEST_BYTES.crc32;
const RUN_BLOCKS_MAX = 256;
const EIO = 5;

/**
 * The digests, one behind the other, then BLOCK_BYTES for each block whose bytes are wanted, zeros behind the volume's end; a
 * negative errno where something cannot be read.
 */
export function readCut(cut: CutBlocks, device: (volume: number) => Disk | number): Uint8Array | number {
  const { volumes, blocks, isData, volumeBytes } = cut;
  const count = blocks.length;
  const dataCount = isData.reduce((sum, one) => sum + one, 0);
  const out = new Uint8Array(count * CUT_DIGEST_BYTES + dataCount * BLOCK_BYTES);
  const scratch = new Uint8Array(Math.min(count, RUN_BLOCKS_MAX) * BLOCK_BYTES);
  let dataAt = count * CUT_DIGEST_BYTES;
  for (let first = 0; first < count;) {
    const volume = volumes[first] ?? 0;
    const offset = (blocks[first] ?? 0) * BLOCK_BYTES;
    let some = 1;
    while (
      some < RUN_BLOCKS_MAX &&
      volumes[first + some] === volume &&
      blocks[first + some] === offset / BLOCK_BYTES + some
    ) {
      some++;
    }
    const length = Math.min(some * BLOCK_BYTES, (volumeBytes[volume] ?? 0) - offset);
    const disk = device(volume);
    const got = typeof disk === 'number' ? disk : disk.read(offset, scratch.subarray(0, length));
    if (got < length) return got < 0 ? got : -EIO;
    for (let i = 0; i < some; i++) {
      const bytes = scratch.subarray(i * BLOCK_BYTES, Math.min((i + 1) * BLOCK_BYTES, length));
      putDigest('crc32', bytes, out, (first + i) * CUT_DIGEST_BYTES);
      if (isData[first + i] !== 1) continue;
      out.set(bytes, dataAt);
      dataAt += BLOCK_BYTES;
    }
    first += some;
  }
  return out;
}
