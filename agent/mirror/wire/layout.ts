/**
 * The mirror's constants. FORMAT.md beside this folder draws the same; a test compares the two. If you change one here,
 * change FORMAT.md and raise MIRROR_VERSION.
 */

/** Major in the upper half: another major is refused. Minor in the lower half: unknown additions are ignored. */
export const MIRROR_VERSION = 0x0001_0000;
/** As above, of the link alone: a journal outlives it. 2: comparison by levels. */
export const LINK_VERSION = 0x0002_0000;
export const BLOCK_BYTES = 4096;
export const QUARTER_BYTES: number = 16 * 1024;
export const CHUNK_BYTES: number = 64 * 1024;
export const REGION_BYTES: number = 1024 * 1024;
export const VOLUMES_MAX = 64;
export const GENERATION_BYTES = 16;
/** Former generations that a journal remembers. */
export const ANCESTRY_MAX = 16;

export const ENTRY_MAGIC = 0x5952_5445; // "ETRY"
/** More than an entry's header, so that what is left before any boundary always holds one. */
export const ENTRY_ALIGN = 128;
export const PAYLOAD_BYTES_MAX: number = 32 * 1024 * 1024;

export const JOURNAL_MAGIC = 'STILLJNL';
export const JOURNAL_RING_OFFSET: number = 1024 * 1024;
export const BITMAPS_MAGIC = 'STILLBMP';
export const LOG_MAGIC = 'STILLLOG';
/** Of the log device: the source's record twice, then that of each target twice. */
export const LOG_BYTES: number = (2 + 2 * 8) * 4096;
export const FRAME_MAGIC = 0x4d;
export const FRAME_BYTES_MAX: number = 33 * 1024 * 1024;
