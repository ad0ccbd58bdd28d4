/** What is served: the volumes' side of the NBD server. Offsets and lengths are bytes; an `errno` of 0 is success. */

/** A run of bytes with one status; what the flags mean is the context's affair. */
export interface Extent {
  readonly length: number;
  readonly flags: number;
}

/**
 * A volume that is served. Each call answers once, through `done`, at once or later and in any order. The server has
 * checked bounds and `readOnly`: `offset + length` is never beyond `size`, lengths are never 0.
 */
export interface ServedVolume {
  readonly name: string;
  /** For a person who lists the exports. */
  readonly description: string;
  readonly size: number;
  readonly readOnly: boolean;
  /** Metadata contexts beside `base:allocation`. The protocol wants names of our own to begin with `x-`. */
  readonly contexts: readonly string[];

  /** Fills `into`, which belongs to the volume until `done`: it is the reply's memory, so nothing is copied again. */
  read(offset: number, into: Uint8Array, done: (errno: number) => void): void;

  /**
   * `chunks`, together `length` bytes, belong to the volume until `done`. With `fua` it answers when they are on stable
   * storage.
   */
  write(offset: number, length: number, chunks: Uint8Array[], fua: boolean, done: (errno: number) => void): void;

  /** The range reads as zeroes afterwards; ENOTSUP (95) is an answer to `onlyIfFast` alone. */
  zero(offset: number, length: number, how: ZeroHow, done: (errno: number) => void): void;

  /** A hint that nobody needs the range any more. */
  trim(offset: number, length: number, fua: boolean, done: (errno: number) => void): void;

  /** Answers when all that was answered before, on any connection, is on stable storage. */
  flush(done: (errno: number) => void): void;

  /** The state of the range in `context`: consecutive extents from `offset` on, at least one; fewer than asked is fine. */
  status(
    context: string,
    offset: number,
    length: number,
    done: (errno: number, extents: readonly Extent[]) => void,
  ): void;
}

export interface ZeroHow {
  readonly fua: boolean;
  /** The range may lose its room on the storage. */
  readonly mayPunch: boolean;
  /** Fails with ENOTSUP, and changes nothing, where writing zeroes would be no slower. */
  readonly onlyIfFast: boolean;
}

/** The volumes of a server; asked anew each time, so that they may come and go. */
export interface Exports {
  list(): readonly ServedVolume[];
}

/** The volume of that name. The empty name stands for the only one there is. */
export function findExport(exports: Exports, name: string): ServedVolume | null {
  const all = exports.list();
  if (name === '') return all.length === 1 ? (all[0] ?? null) : null;
  return all.find((volume) => volume.name === name) ?? null;
}
