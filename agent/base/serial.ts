/** Sequence numbers of 32 bits that wrap: compared by their distance, as in RFC 1982. */

/** Signed distance from `b` to `a`: positive when `a` comes after `b`. */
export const seqDistance = (a: number, b: number): number => (a - b) | 0;

export const seqAfter = (a: number, b: number): boolean => ((a - b) | 0) > 0;

export const seqNext = (a: number, by = 1): number => (a + by) >>> 0;
