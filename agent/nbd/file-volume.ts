/**
 * A file or a block device as a served volume, through the page cache. Reads and writes are made at once, in the event
 * loop: a detour over the thread pool costs half of all small requests. What waits for the medium (a flush) goes over
 * the pool, one for all that wait for it.
 */
import { closeSync, constants, fdatasync, fstatSync, openSync, writeSync, writevSync } from 'node:fs';
import { AgentError } from '../base/errors.ts';
import { BlockDevice } from '../platform/block-device.ts';
import { readAll } from '../platform/file-bytes.ts';
import { ERRNO } from '../platform/native.ts';
import { nextData, nextHole, punchHole, zeroRange } from '../platform/sparse-file.ts';
import { ALLOCATION, ALLOCATION_CONTEXT } from './protocol.ts';
import type { Extent, ServedVolume, ZeroHow } from './volume.ts';

const ENXIO = 6;
const ENOTSUP = 95;
/** Zeroes written at once; between two pieces others have their turn. */
const ZEROES = Buffer.alloc(4 * 1024 * 1024);
/** In one answer to `status`. */
const EXTENTS_MAX = 1024;

type Done = (errno: number) => void;

export interface FileVolumeOptions {
  readonly name: string;
  readonly path: string;
  readonly readOnly: boolean;
  readonly description?: string;
}

export class FileVolume implements ServedVolume {
  readonly name: string;
  readonly description: string;
  readonly size: number;
  readonly readOnly: boolean;
  readonly contexts: readonly string[] = [];
  readonly #fd: number;
  readonly #isFile: boolean;
  /** After a failed flush nobody knows what the medium holds: nothing succeeds until the volume is opened anew. */
  #hasFailed = false;
  #flushing: Done[] | null = null;
  #nextFlush: Done[] = [];
  #isClosed = false;

  private constructor(options: FileVolumeOptions, fd: number, size: number, isFile: boolean) {
    this.name = options.name;
    this.description = options.description ?? options.path;
    this.readOnly = options.readOnly;
    this.size = size;
    this.#fd = fd;
    this.#isFile = isFile;
  }

  /** Throws an AgentError that says what to do. */
  static open(options: FileVolumeOptions): FileVolume {
    const { path, readOnly } = options;
    // Opened once as every volume is, for its size and for what to say when it cannot be.
    const probe = BlockDevice.open(path, { readOnly });
    const { bytes } = probe;
    probe.close();
    const fd = openSync(path, readOnly ? constants.O_RDONLY : constants.O_RDWR);
    const isFile = fstatSync(fd).isFile();
    if (bytes === 0) {
      closeSync(fd);
      throw new AgentError('volume', `volume ${path} is empty: give it the size that it shall have`);
    }
    return new FileVolume(options, fd, bytes, isFile);
  }

  /** When no connection uses it any more. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    closeSync(this.#fd);
  }

  read(offset: number, into: Uint8Array, done: Done): void {
    done(attempt(() => readAll(this.#fd, offset, into)));
  }

  write(offset: number, length: number, chunks: Uint8Array[], fua: boolean, done: Done): void {
    this.#finish(
      this.#change(() => writeAll(this.#fd, offset, length, chunks)),
      fua,
      done,
    );
  }

  trim(offset: number, length: number, fua: boolean, done: Done): void {
    const result = punchHole(this.#fd, offset, length);
    // A hint: storage that cannot do it, or not there, keeps what it has.
    const isFine = result === 0 || result === -ENOTSUP || result === -ERRNO.EINVAL;
    this.#finish(this.#fault(isFine ? 0 : -result), fua, done);
  }

  zero(offset: number, length: number, how: ZeroHow, done: Done): void {
    const isDone =
      (how.mayPunch && punchHole(this.#fd, offset, length) === 0) || zeroRange(this.#fd, offset, length) === 0;
    if (isDone) return this.#finish(this.#fault(), how.fua, done);
    if (how.onlyIfFast) return done(ENOTSUP);
    this.#writeZeroes(offset, offset + length, how.fua, done);
  }

  flush(done: Done): void {
    this.#nextFlush.push(done);
    if (!this.#flushing) this.#startFlush();
  }

  status(
    context: string,
    offset: number,
    length: number,
    done: (errno: number, extents: readonly Extent[]) => void,
  ): void {
    if (context !== ALLOCATION_CONTEXT) return done(ERRNO.EINVAL, []);
    // The kernel knows holes of files alone.
    if (!this.#isFile) return done(0, [{ length, flags: 0 }]);
    done(0, allocation(this.#fd, offset, length));
  }

  #writeZeroes(from: number, end: number, fua: boolean, done: Done): void {
    const count = Math.min(ZEROES.length, end - from);
    const errno = this.#change(() => writeAll(this.#fd, from, count, [ZEROES.subarray(0, count)]));
    if (errno !== 0 || from + count === end) return this.#finish(errno, fua, done);
    setImmediate(() => this.#writeZeroes(from + count, end, fua, done));
  }

  #fault(errno = 0): number {
    return this.#hasFailed ? ERRNO.EIO : errno;
  }

  #change(action: () => void): number {
    return this.#hasFailed ? ERRNO.EIO : attempt(action);
  }

  #finish(errno: number, fua: boolean, done: Done): void {
    if (errno === 0 && fua) this.flush(done);
    else done(errno);
  }

  /** A flush covers what was written before it began, so whoever comes while one runs waits for the next. */
  #startFlush(): void {
    const waiting = this.#nextFlush;
    this.#nextFlush = [];
    this.#flushing = waiting;
    fdatasync(this.#fd, (error) => {
      if (error) this.#hasFailed = true;
      this.#flushing = null;
      if (this.#nextFlush.length > 0) this.#startFlush();
      const errno = this.#hasFailed ? ERRNO.EIO : 0;
      for (const done of waiting) done(errno);
    });
  }
}

function attempt(action: () => void): number {
  try {
    action();
    return 0;
  } catch (error) {
    const { errno } = error as NodeJS.ErrnoException;
    if (errno === undefined) throw error;
    return -errno;
  }
}

function writeAll(fd: number, offset: number, length: number, chunks: Uint8Array[]): void {
  const [first] = chunks;
  let written = chunks.length === 1 && first ? writeSync(fd, first, 0, length, offset) : writevSync(fd, chunks, offset);
  // What the kernel left over, if it did: seldom, and then one chunk at a time.
  let begin = 0;
  for (const chunk of chunks) {
    for (let at = Math.max(0, written - begin); at < chunk.length; at = written - begin) {
      written += writeSync(fd, chunk, at, chunk.length - at, offset + written);
    }
    begin += chunk.length;
  }
}

/** Data and holes from `offset` on, in turn. */
function allocation(fd: number, offset: number, length: number): Extent[] {
  const { hole, zero } = ALLOCATION;
  const end = offset + length;
  const extents: Extent[] = [];
  let at = offset;
  while (at < end && extents.length < EXTENTS_MAX) {
    const found = nextData(fd, at);
    const data = found === -ENXIO ? end : found;
    // What cannot be told is reported as data, which is always true enough.
    if (data < 0) return [...extents, { length: end - at, flags: 0 }];
    if (data > at) {
      const next = Math.min(data, end);
      extents.push({ length: next - at, flags: hole | zero });
      at = next;
      continue;
    }
    const next = nextHole(fd, at);
    const stop = next <= at ? end : Math.min(next, end);
    extents.push({ length: stop - at, flags: 0 });
    at = stop;
  }
  return extents;
}
