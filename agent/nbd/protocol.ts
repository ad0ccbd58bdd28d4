/**
 * The numbers of the NBD protocol (fixed newstyle). Everything on the wire is big-endian; 64-bit constants are given as
 * two halves, for no number of JavaScript holds them.
 */

/** What the server greets with, "NBDMAGIC". */
export const GREETING_MAGIC = { high: 0x4e42444d, low: 0x41474943 } as const;
/** "IHAVEOPT": second half of the greeting, and first word of each option. */
export const OPTION_MAGIC = { high: 0x49484156, low: 0x454f5054 } as const;
export const OPTION_REPLY_MAGIC = { high: 0x0003e889, low: 0x045565a9 } as const;
export const REQUEST_MAGIC = 0x25609513;
export const SIMPLE_REPLY_MAGIC = 0x67446698;
export const STRUCTURED_REPLY_MAGIC = 0x668e33ef;

/** Handshake flags of the server and, with the same bits, of the client. */
export const HANDSHAKE = { fixedNewstyle: 1, noZeroes: 2 } as const;

export const OPTION = {
  exportName: 1,
  abort: 2,
  list: 3,
  startTls: 5,
  info: 6,
  go: 7,
  structuredReply: 8,
  listMetaContext: 9,
  setMetaContext: 10,
} as const;

const ERROR = 0x8000_0000;

/** Replies to options. */
export const REPLY = {
  ack: 1,
  server: 2,
  info: 3,
  metaContext: 4,
  unsupported: ERROR + 1,
  policy: ERROR + 2,
  invalid: ERROR + 3,
  tlsRequired: ERROR + 5,
  unknown: ERROR + 6,
  shutdown: ERROR + 7,
} as const;

export const INFO = { export: 0, name: 1, description: 2, blockSize: 3 } as const;

/** What an export can do. */
export const TRANSMISSION = {
  hasFlags: 1 << 0,
  readOnly: 1 << 1,
  flush: 1 << 2,
  fua: 1 << 3,
  trim: 1 << 5,
  writeZeroes: 1 << 6,
  dontFragment: 1 << 7,
  multipleConnections: 1 << 8,
  cache: 1 << 10,
  fastZero: 1 << 11,
} as const;

export const COMMAND = {
  read: 0,
  write: 1,
  disconnect: 2,
  flush: 3,
  trim: 4,
  cache: 5,
  writeZeroes: 6,
  blockStatus: 7,
} as const;

export const COMMAND_FLAG = { fua: 1, noHole: 2, dontFragment: 4, requestOne: 8, fastZero: 16 } as const;

/** Chunks of a structured reply. */
export const CHUNK = { none: 0, offsetData: 1, blockStatus: 5, error: 0x8001 } as const;
export const CHUNK_DONE = 1;

/** The metadata context that every volume has, and its flags. */
export const ALLOCATION_CONTEXT = 'base:allocation';
export const ALLOCATION = { hole: 1, zero: 2 } as const;

/** The only errors that a client may be told. */
export const NBD_ERROR = {
  EPERM: 1,
  EIO: 5,
  ENOMEM: 12,
  EINVAL: 22,
  ENOSPC: 28,
  EOVERFLOW: 75,
  ENOTSUP: 95,
  ESHUTDOWN: 108,
} as const;

export const GREETING_BYTES = 18;
export const CLIENT_FLAGS_BYTES = 4;
export const OPTION_HEADER_BYTES = 16;
export const OPTION_REPLY_HEADER_BYTES = 20;
export const REQUEST_BYTES = 28;
export const SIMPLE_REPLY_BYTES = 16;
export const CHUNK_HEADER_BYTES = 20;
/** Data of the replies that tell an export's size and flags, and its block sizes. */
export const EXPORT_INFO_BYTES = 12;
export const BLOCK_SIZE_INFO_BYTES = 14;
/** After size and flags in the reply to EXPORT_NAME, unless both sides leave them out. */
export const EXPORT_NAME_PADDING_BYTES = 124;

export const BLOCK_BYTES = { minimum: 1, preferred: 4096 } as const;
/** Largest payload of one request or reply. */
export const PAYLOAD_BYTES_MAX = 32 * 1024 * 1024;

const EACCES = 13;
const EROFS = 30;
const EFBIG = 27;
const EDQUOT = 122;
const TOLD: ReadonlySet<number> = new Set(Object.values(NBD_ERROR));
const TRANSLATED: ReadonlyMap<number, number> = new Map([
  [EACCES, NBD_ERROR.EPERM],
  [EROFS, NBD_ERROR.EPERM],
  [EFBIG, NBD_ERROR.ENOSPC],
  [EDQUOT, NBD_ERROR.ENOSPC],
]);

/** The error that stands on the wire for an errno of this system; 0 stays 0. */
export function wireError(errno: number): number {
  if (errno === 0 || TOLD.has(errno)) return errno;
  return TRANSLATED.get(errno) ?? NBD_ERROR.EIO;
}
