/**
 * The reads of one reader thread, published in its words: what hangs, fails or floods is seen while it does.
 */
import { READER, READER_TIME, type ReaderWords } from '../queue/reader-words.ts';
import type { Disk } from '../volume/disk.ts';

/** The errno for a read that ends without bytes and without a reason. */
const EIO = 5;

export class Reads {
  readonly #disk: Disk;
  readonly #words: Int32Array;
  readonly #times: Float64Array;
  readonly #now: () => number;

  /** A predecessor that died in a read has left it behind as if it were under way. */
  constructor(disk: Disk, { words, times }: ReaderWords, now: () => number) {
    this.#disk = disk;
    this.#words = words;
    this.#times = times;
    this.#now = now;
    this.close();
  }

  beat(): void {
    Atomics.add(this.#words, READER.beat, 1);
  }

  set isFlood(is: boolean) {
    Atomics.store(this.#words, READER.flood, is ? 1 : 0);
  }

  /** Bytes read, or a negative errno. */
  read(offset: number, into: Uint8Array): number {
    this.#times[READER_TIME.beganMs] = this.#now();
    const got = this.#disk.read(offset, into);
    this.#times[READER_TIME.beganMs] = 0;
    this.#add(READER_TIME.reads, 1);
    if (got > 0) this.#add(READER_TIME.bytesRead, got);
    this.#ended(got > 0 ? 0 : -got || EIO);
    return got;
  }

  #ended(errno: number): void {
    Atomics.store(this.#words, READER.errno, errno);
    if (errno === 0) return;
    Atomics.store(this.#words, READER.failedErrno, errno);
    this.#add(READER_TIME.readErrors, 1);
  }

  #add(index: number, by: number): void {
    this.#times[index] = (this.#times[index] ?? 0) + by;
  }

  /** Nothing is read any more: nobody is to wait for that. */
  close(): void {
    this.#times[READER_TIME.beganMs] = 0;
    Atomics.store(this.#words, READER.errno, 0);
    this.isFlood = false;
  }
}
