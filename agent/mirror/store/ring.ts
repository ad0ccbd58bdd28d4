/**
 * A ring of entries: arithmetic of positions. A position only grows; it stands for a place in the file (modulo the ring)
 * and, as long as it is among the newest, for a place in memory (modulo the window). The window divides the ring, and no
 * entry crosses a window's boundary: so each is in one piece in both.
 */
import { assert } from '../../base/errors.ts';
import { entryBytes } from '../wire/entry.ts';
import { ENTRY_ALIGN, JOURNAL_RING_OFFSET, PAYLOAD_BYTES_MAX } from '../wire/layout.ts';

/** Threads tell one another positions as 32-bit counts of ENTRY_ALIGN: half of that apart at most, and some to spare. */
export const RING_BYTES_LIMIT: number = 2 ** 30 * ENTRY_ALIGN;

export interface RingSize {
  /** Of the ring in the file: a multiple of `windowBytes`. */
  readonly ringBytes: number;
  /** Of the window in memory. */
  readonly windowBytes: number;
}

/** A place between two entries: what the next one follows. */
export interface RingPlace {
  /** Where the next entry goes. */
  readonly position: number;
  /** Of the last entry that has a mark. */
  readonly mark: number;
  readonly chain: bigint;
  /** ns since 1970. */
  readonly time: bigint;
  readonly cycle: number;
}

/** The largest payload that a ring takes for sure: beside a skip of the same length, when nothing else is in the window. */
export const payloadBytesMax = ({ windowBytes }: RingSize): number =>
  Math.min(PAYLOAD_BYTES_MAX, windowBytes / 2 - 2 * ENTRY_ALIGN);

/**
 * The largest payload of a write that a source puts into its ring in one piece. The window may be all of the ring, and something is always in it:
 * room for seals, what lies between the last places that the tail can be put to, at a target what its history has not read.
 */
export const writeBytesMax = ({ windowBytes }: RingSize): number => Math.min(PAYLOAD_BYTES_MAX, windowBytes / 4);

/**
 * Bytes that entries of so many in all take at most, in whatever order they are put there: before each boundary of the window a skip, which
 * is shorter than the longest of them.
 */
export const bytesInAnyOrder = (
  bytes: number,
  longest: number,
  { windowBytes }: Pick<RingSize, 'windowBytes'>,
): number => bytes + longest * (1 + Math.floor(bytes / Math.max(1, windowBytes - longest)));

export function assertRingSize({ ringBytes, windowBytes }: RingSize): void {
  assert(windowBytes >= 8 * ENTRY_ALIGN && windowBytes % ENTRY_ALIGN === 0, 'a window of whole places');
  assert(ringBytes >= windowBytes && ringBytes % windowBytes === 0, 'the window divides the ring');
  assert(ringBytes <= RING_BYTES_LIMIT, 'a ring whose positions threads can tell apart');
}

/** Where a position lies in the journal's file. */
export const fileOffset = (position: number, { ringBytes }: RingSize): number =>
  JOURNAL_RING_OFFSET + (position % ringBytes);

/** How many bytes of skip an entry with this payload needs first when it is to be put at `head`. */
export function skipBefore(head: number, payloadBytes: number, { windowBytes }: RingSize): number {
  const left = windowBytes - (head % windowBytes);
  return entryBytes(payloadBytes) > left ? left : 0;
}
