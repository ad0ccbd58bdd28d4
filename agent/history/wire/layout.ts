/** The history's constants. FORMAT.md beside this folder draws the same; a test compares the two. */

/** Major in the upper half: another major is refused. */
export const HISTORY_VERSION = 0x0001_0000;
export const CONTROL_MAGIC = 0x4c54_4352; // "RCTL"
export const DATA_MAGIC = 0x4154_4452; // "RDTA"
/** A data record begins at a multiple of it. */
export const DATA_ALIGN = 16;
/** Blocks of which versions are told apart, and of which the base has checksums. */
export const VERSION_BYTES = 4096;
/** Of each of these. */
export const SUM_BYTES = 4;
