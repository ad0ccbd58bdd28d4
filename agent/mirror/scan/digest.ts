/**
 * Digests by which two volumes are compared (CR1, CR2). `crc32` is a CRC-32 beside an xxh64, 96 bits together: quick, and no
 * accident passes it; the others are for whoever must show that nobody made two blocks equal on purpose.
 */
import { createHash } from 'node:crypto';
import { crc32 } from '../../base/crc32.ts';
import { dataView } from '../../base/bytes.ts';
import { xxh64 } from '../wire/hash.ts';

export const CHECKSUMS = ['crc32', 'md5', 'sha1', 'sha256'] as const;
export type Checksum = (typeof CHECKSUMS)[number];

/** Bytes of a digest. */
export const DIGEST_BYTES: Readonly<Record<Checksum, number>> = { crc32: 12, md5: 16, sha1: 20, sha256: 32 };

/** Writes the digest of `bytes` into `into` at `at`. */
export function putDigest(checksum: Checksum, bytes: Uint8Array, into: Uint8Array, at: number): void {
  if (checksum === 'crc32') {
    const view = dataView(into);
    view.setUint32(at, crc32(bytes), true);
    view.setBigUint64(at + 4, xxh64(bytes), true);
    return;
  }
  into.set(createHash(checksum).update(bytes).digest(), at);
}
