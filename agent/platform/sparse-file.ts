/** Room on the storage: given back, zeroed and asked after, in a file or on a block device. Blocking. */
import koffi from 'koffi';

const libc = koffi.load(null);
const fallocate = libc.func('int fallocate64(int fd, int mode, int64_t offset, int64_t length)');
const lseek = libc.func('int64_t lseek64(int fd, int64_t offset, int whence)');

const FALLOC_FL_KEEP_SIZE = 1;
const FALLOC_FL_PUNCH_HOLE = 2;
const FALLOC_FL_ZERO_RANGE = 16;
const SEEK_DATA = 3;
const SEEK_HOLE = 4;

/** The range reads as zeroes and needs no room; 0 or a negative errno. */
export function punchHole(fd: number, offset: number, length: number): number {
  return allocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset, length);
}

/** The range reads as zeroes and keeps its room; 0 or a negative errno (not every file system can). */
export function zeroRange(fd: number, offset: number, length: number): number {
  return allocate(fd, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, offset, length);
}

/** The first byte from `offset` on that may not be zero; -ENXIO (-6) when there is none before the end. */
export const nextData = (fd: number, offset: number): number => seek(fd, offset, SEEK_DATA);

/** The first byte from `offset` on in a hole; the end counts as one. */
export const nextHole = (fd: number, offset: number): number => seek(fd, offset, SEEK_HOLE);

/** The same as `nextData`, over the pool of threads: storage that hangs holds nobody up. */
export const findData = (fd: number, offset: number, done: (found: number) => void): void =>
  seekLater(fd, offset, SEEK_DATA, done);

/** The same as `nextHole`, likewise. */
export const findHole = (fd: number, offset: number, done: (found: number) => void): void =>
  seekLater(fd, offset, SEEK_HOLE, done);

function seekLater(fd: number, offset: number, whence: number, done: (found: number) => void): void {
  lseek.async(fd, offset, whence, (_error: Error | null, found: number | bigint) => {
    done(Number(found) < 0 ? -koffi.errno() : Number(found));
  });
}

function allocate(fd: number, mode: number, offset: number, length: number): number {
  return Number(fallocate(fd, mode, offset, length)) < 0 ? -koffi.errno() : 0;
}

function seek(fd: number, offset: number, whence: number): number {
  const found = Number(lseek(fd, offset, whence));
  return found < 0 ? -koffi.errno() : found;
}
