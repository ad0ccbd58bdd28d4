/** xxh64: quicker than CRC-32 over a header, and 64 bits wide, which a chain of millions of entries needs. */
import xxhash from 'xxhash-wasm';

const api = await xxhash();

/** The digest of `bytes`, 64 bits unsigned. */
export const xxh64 = (bytes: Uint8Array): bigint => api.h64Raw(bytes);
