/**
 * Digests of a volume's blocks, and of larger parts: those go over the digests of their blocks. So a comparison that goes down
 * from a region to what differs in it reads the region once: what was read for the region is remembered for its parts.
 */
import type { Disk } from '../store/disk.ts';
import { BLOCK_BYTES, REGION_BYTES } from '../wire/layout.ts';
import { DIGEST_BYTES, putDigest, type Checksum } from './digest.ts';

export interface DigestWish {
  readonly checksum: Checksum;
  /** Bytes that a digest stands for, from BLOCK_BYTES up to REGION_BYTES; the last one of a volume may be short. */
  readonly unitBytes: number;
  /** One for each unit from number `first` on. */
  readonly first: number;
  readonly count: number;
  /**
   * The same comparison has asked for their regions: what was read then will do. Without it the volume is read, for what is
   * remembered may be of a comparison long ago.
   */
  readonly isDeeper?: boolean;
}

const EIO = 5;
/** More than all comparisons of a process have under way; 8 MiB with the longest digests. */
const REGIONS_KEPT = 1024;

export class VolumeDigests {
  readonly #scratch = new Uint8Array(REGION_BYTES);
  /** Of the blocks of a region, the one asked for last at the end. */
  readonly #regions = new Map<string, Uint8Array>();

  /** The digests, or a negative errno when the volume cannot be read. What lies beyond the volume's end is left out. */
  make(disk: Disk, volume: number, volumeBytes: number, wish: DigestWish): Uint8Array | number {
    const { checksum, unitBytes, first } = wish;
    const count = Math.max(0, Math.min(wish.count, Math.ceil(volumeBytes / unitBytes) - first));
    const digests = new Uint8Array(count * DIGEST_BYTES[checksum]);
    for (let done = 0; done < count;) {
      const offset = (first + done) * unitBytes;
      const some = Math.min(count - done, (REGION_BYTES - (offset % REGION_BYTES)) / unitBytes);
      const blocks = this.#blocks(disk, volume, offset, Math.min(some * unitBytes, volumeBytes - offset), wish);
      if (typeof blocks === 'number') return blocks;
      gather(blocks, wish, digests, done * DIGEST_BYTES[checksum]);
      done += some;
    }
    return digests;
  }

  /** Of the blocks from `offset` on, all within a region. */
  #blocks(disk: Disk, volume: number, offset: number, length: number, wish: DigestWish): Uint8Array | number {
    const { checksum, unitBytes } = wish;
    const bytes = DIGEST_BYTES[checksum];
    const region = Math.floor(offset / REGION_BYTES);
    const key = `${checksum}/${volume}/${region}`;
    const count = Math.ceil(length / BLOCK_BYTES);
    const from = (offset - region * REGION_BYTES) / BLOCK_BYTES;
    const known = wish.isDeeper === true ? this.#regions.get(key) : undefined;
    if (known) return known.subarray(from * bytes, (from + count) * bytes);
    const got = disk.read(offset, this.#scratch.subarray(0, length));
    if (got < length) return got < 0 ? got : -EIO;
    const blocks = new Uint8Array(count * bytes);
    for (let i = 0; i < count; i++) {
      const at = i * BLOCK_BYTES;
      putDigest(checksum, this.#scratch.subarray(at, Math.min(at + BLOCK_BYTES, length)), blocks, i * bytes);
    }
    if (unitBytes === REGION_BYTES) this.#remember(key, blocks);
    return blocks;
  }

  #remember(key: string, blocks: Uint8Array): void {
    this.#regions.delete(key);
    this.#regions.set(key, blocks);
    const [oldest] = this.#regions.keys();
    if (this.#regions.size > REGIONS_KEPT && oldest !== undefined) this.#regions.delete(oldest);
  }
}

/** Writes those of larger parts into `into` at `at`. */
function gather(blocks: Uint8Array, { checksum, unitBytes }: DigestWish, into: Uint8Array, at: number): void {
  if (unitBytes === BLOCK_BYTES) return into.set(blocks, at);
  const bytes = (unitBytes / BLOCK_BYTES) * DIGEST_BYTES[checksum];
  for (let from = 0, to = at; from < blocks.length; from += bytes, to += DIGEST_BYTES[checksum]) {
    putDigest(checksum, blocks.subarray(from, Math.min(from + bytes, blocks.length)), into, to);
  }
}
