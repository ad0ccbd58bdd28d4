/** Digests of a volume's regions, or of their parts: reads, and answers them one behind the other. */
import type { Disk } from '../store/disk.ts';
import { REGION_BYTES } from '../wire/layout.ts';
import { DIGEST_BYTES, putDigest, type Checksum } from './digest.ts';

export interface DigestWish {
  readonly checksum: Checksum;
  /** Bytes that a digest goes over, up to REGION_BYTES; the last one of a volume may be short. */
  readonly unitBytes: number;
  /** One for each unit from number `first` on. */
  readonly first: number;
  readonly count: number;
}

const EIO = 5;

/**
 * The digests, or a negative errno when the volume cannot be read. `scratch`: REGION_BYTES. What lies beyond the volume's
 * end is left out.
 */
export function digestsOf(disk: Disk, volumeBytes: number, wish: DigestWish, scratch: Uint8Array): Uint8Array | number {
  const { checksum, unitBytes: size, first } = wish;
  const count = Math.max(0, Math.min(wish.count, Math.ceil(volumeBytes / size) - first));
  const digests = new Uint8Array(count * DIGEST_BYTES[checksum]);
  let at = 0;
  for (let done = 0; done < count;) {
    const offset = (first + done) * size;
    // Small ones are read by the region, or each would cost a call.
    const some = Math.min(count - done, Math.floor(REGION_BYTES / size));
    const length = Math.min(some * size, volumeBytes - offset);
    const got = disk.read(offset, scratch.subarray(0, length));
    if (got < length) return got < 0 ? got : -EIO;
    for (let i = 0; i < some; i++) {
      putDigest(checksum, scratch.subarray(i * size, Math.min((i + 1) * size, length)), digests, at);
      at += DIGEST_BYTES[checksum];
    }
    done += some;
  }
  return digests;
}
