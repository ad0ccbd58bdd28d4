/**
 * Room for a fold when the storage is full: a file that is removed then. What a fold brings into the base is as much as the largest
 * segment, and what its control names of the data behind it, but no more than the volumes are.
 */
import { closeSync, fstatSync, openSync, rmSync, statfsSync, writeSync } from 'node:fs';
import { reservePath } from './files.ts';

/** Codes of a storage without room. */
export const IS_FULL: ReadonlySet<string | undefined> = new Set(['ENOSPC', 'EDQUOT']);

const SEGMENT_BYTES_MAX = 64 * 1024 * 1024;
const SEGMENT_BYTES_MIN = 256 * 1024;
/** The oldest one goes as a whole: of few there would be much that goes before its time. */
const SEGMENTS_OF_STORAGE = 16;
const SEGMENTS_OF_BOUND = 8;
/** Heads, checksums, and what a file system needs for itself. */
const MORE_BYTES = 1024 * 1024;
/** A recorder reads no more while so much is not written: control is no further ahead of its data than that. */
export const PENDING_BYTES_MAX: number = 32 * 1024 * 1024;
const PIECE = new Uint8Array(MORE_BYTES);

/** `bound`: of all segments of the recording; 0 without. */
export function segmentBytesFor(folder: string, bound: number): number {
  const { blocks, bsize } = statfsSync(folder);
  const wanted = bound === 0 ? Infinity : Math.floor(bound / SEGMENTS_OF_BOUND);
  const fits = Math.floor((blocks * bsize) / SEGMENTS_OF_STORAGE);
  return Math.max(SEGMENT_BYTES_MIN, Math.min(SEGMENT_BYTES_MAX, wanted, fits));
}

export interface ReserveOptions {
  readonly folder: string;
  readonly volumesBytes: number;
  /** For the operator's log. */
  readonly log: (line: string) => void;
}

export class Reserve {
  readonly #options: ReserveOptions;
  #largest = 0;
  #isMissing = false;

  constructor(options: ReserveOptions) {
    this.#options = options;
  }

  /** There are segments that large. Makes room for it, and says so when there is less than for one of them. */
  make(segmentBytes: number): void {
    const { folder, volumesBytes, log } = this.#options;
    this.#largest = Math.max(this.#largest, segmentBytes);
    const ahead = Math.min(2 * this.#largest, PENDING_BYTES_MAX);
    const least = Math.min(this.#largest, volumesBytes) + MORE_BYTES;
    const bytes = Math.min(this.#largest + ahead, volumesBytes) + MORE_BYTES;
    const { code, size } = extend(reservePath(folder), bytes);
    const isMissing = code !== null && size < least;
    if (isMissing && !this.#isMissing)
      log(
        `recording ${folder}: a reserve of ${least} bytes cannot be made (${code}): when the storage is full it may be that nothing can be let go of; make room there`,
      );
    this.#isMissing = isMissing;
  }

  free(): void {
    rmSync(reservePath(this.#options.folder), { force: true });
  }
}

/**
 * What is wrong, or null, and how large it is. What there is room for stays: what is written next would take it, and leave nothing
 * to fold with.
 */
function extend(path: string, bytes: number): { readonly code: string | null; readonly size: number } {
  let fd: number | null = null;
  let size = 0;
  try {
    fd = openSync(path, 'a', 0o600);
    ({ size } = fstatSync(fd));
    while (size < bytes) size += writeSync(fd, PIECE, 0, Math.min(PIECE.length, bytes - size));
    return { code: null, size };
  } catch (error) {
    return { code: (error as NodeJS.ErrnoException).code ?? (error as Error).message, size };
  } finally {
    if (fd !== null) closeSync(fd);
  }
}
