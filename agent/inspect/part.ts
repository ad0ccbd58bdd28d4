/**
 * What a thread that shows one ring sends to the thread that puts the rings together: pieces with the JSON of its places, one behind
 * the other. A few are on their way at a time, so that a ring that lies in the future fills no memory.
 */
import type { Filter } from './filter.ts';

export interface PartData {
  readonly path: string;
  readonly keys: readonly Uint8Array[] | null;
  readonly slot: number;
  /** Where its newest batch ends. */
  readonly end: number;
  readonly windowBytes: number;
  readonly filter: Filter;
  readonly content: boolean;
  /** Two words: pieces that were used up, and whether nobody wants more. */
  readonly used: Int32Array;
}

export interface Piece {
  readonly bytes: Uint8Array;
  /** `PLACE_WORDS` numbers for each place. */
  readonly places: Float64Array;
  /** Bytes of the ring that were read so far. */
  readonly readBytes: number;
  readonly isLast: boolean;
}

/** Time mark (NaN: none, as of a damaged place), what it is, bytes of its JSON, and how many records it has. */
export const PLACE_WORDS = 4;
export const PLACE_KIND = { unwanted: 0, batch: 1, damaged: 2 } as const;

/** Before each batch but the first. */
export const BETWEEN = ',\n';

export const PIECE_BYTES: number = 1 << 20;
export const PIECES_MAX = 4;
