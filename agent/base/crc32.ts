/** CRC-32 (IEEE 802.3), 5 GB/s in the zlib inside Node: tells damage where there is no key to tell forgery. */
import { crc32 as zlibCrc32 } from 'node:zlib';

export const crc32 = (bytes: Uint8Array, seed = 0): number => zlibCrc32(bytes, seed);
