/**
 * Reads a ring's file by positions, through a buffer that suits going forward. What it has read it does not read again:
 * where somebody else writes, `until` must stay at what is durable.
 */
import { crc32 } from '../../base/crc32.ts';
import { ENTRY } from '../wire/entry.ts';
import { JOURNAL_RING_OFFSET } from '../wire/layout.ts';
import type { Disk } from './disk.ts';
import { fileOffset, type RingSize } from './ring.ts';

const BUFFER_BYTES = 1024 * 1024;
const EIO = 5;

export class RingReader {
  readonly #disk: Disk;
  readonly #size: RingSize;
  readonly #buffer: Uint8Array;
  /** What of the ring the buffer holds. */
  #from = 0;
  #to = 0;
  /** Nothing at or behind this position is read. */
  until = Infinity;

  constructor(disk: Disk, size: RingSize) {
    this.#disk = disk;
    this.#size = size;
    this.#buffer = new Uint8Array(Math.min(size.ringBytes, BUFFER_BYTES));
  }

  /** The bytes of a header at `position`, until the next call; a negative errno when they cannot be read. */
  header(position: number): Uint8Array | number {
    return this.#bytes(position, ENTRY.bytes);
  }

  /** CRC-32 of what lies there, or a negative errno. */
  crc(position: number, length: number): number {
    let crc = 0;
    for (let done = 0; done < length;) {
      const some = Math.min(length - done, this.#buffer.length);
      const bytes = this.#bytes(position + done, some);
      if (typeof bytes === 'number') return bytes;
      crc = crc32(bytes, crc);
      done += some;
    }
    return crc;
  }

  /** Fills `into` with what lies at `position`: 0, or a negative errno. */
  read(position: number, into: Uint8Array): number {
    for (let done = 0; done < into.length;) {
      const some = Math.min(into.length - done, this.#buffer.length);
      const bytes = this.#bytes(position + done, some);
      if (typeof bytes === 'number') return bytes;
      into.set(bytes, done);
      done += some;
    }
    return 0;
  }

  #bytes(position: number, length: number): Uint8Array | number {
    const { ringBytes } = this.#size;
    if (position < this.#from || position + length > this.#to) {
      const offset = fileOffset(position, this.#size);
      const most = Math.min(this.#buffer.length, JOURNAL_RING_OFFSET + ringBytes - offset, this.until - position);
      const got = this.#disk.read(offset, this.#buffer.subarray(0, most));
      if (got < length) return got < 0 ? got : -EIO;
      this.#from = position;
      this.#to = position + got;
    }
    const at = position - this.#from;
    return this.#buffer.subarray(at, at + length);
  }
}
