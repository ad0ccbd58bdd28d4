/**
 * Checksums of the base: for each block of `VERSION_BYTES` its CRC-32 without that of a block of zeros, so that a hole is right for a
 * hole. A short block at the end counts as if zeros followed.
 */
import { readSync, writeSync } from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import { dataView, roundUp } from '../../base/bytes.ts';
import { crc32 } from '../../base/crc32.ts';
import { SUM_BYTES, VERSION_BYTES } from '../wire/layout.ts';
import { writeAll } from './append.ts';

const ZEROS = new Uint8Array(VERSION_BYTES);
const ZEROS_CRC = crc32(ZEROS);

/** Where in the file of sums that of the block lies which begins there. */
const placeOf = (offset: number): number => (offset / VERSION_BYTES) * SUM_BYTES;

/** Bytes of the file of sums. */
export const sumsBytes = (volumeBytes: number): number => placeOf(roundUp(volumeBytes, VERSION_BYTES));

function sumAt(content: Uint8Array, at: number): number {
  const block = content.subarray(at, at + VERSION_BYTES);
  const crc = crc32(block);
  const whole = block.length === VERSION_BYTES ? crc : crc32(ZEROS.subarray(block.length), crc);
  return (whole ^ ZEROS_CRC) >>> 0;
}

/** Of whole blocks. Of those of which `isDamaged` says so, by the place in `content`, a sum that does not hold. */
function sumsOf(content: Uint8Array, isDamaged: (at: number) => boolean = () => false): Uint8Array {
  const sums = new Uint8Array(sumsBytes(content.length));
  const view = dataView(sums);
  for (let at = 0; at < content.length; at += VERSION_BYTES) {
    const sum = sumAt(content, at);
    view.setUint32(placeOf(at), isDamaged(at) ? ~sum >>> 0 : sum, true);
  }
  return sums;
}

/** `content`: whole blocks from `offset` on, as they are written to the base. */
export function putSums(fd: number, offset: number, content: Uint8Array, isDamaged: (at: number) => boolean): void {
  const sums = sumsOf(content, isDamaged);
  for (let done = 0; done < sums.length;) done += writeSync(fd, sums, done, sums.length - done, placeOf(offset) + done);
}

/** The same of any part of the base that was written just now. */
export async function putSumsBehind(
  files: { readonly base: FileHandle; readonly sums: FileHandle },
  {
    offset,
    payload,
    volumeBytes,
  }: { readonly offset: number; readonly payload: Uint8Array; readonly volumeBytes: number },
): Promise<void> {
  const from = offset - (offset % VERSION_BYTES);
  const to = Math.min(volumeBytes, roundUp(offset + payload.length, VERSION_BYTES));
  let content = payload;
  if (to - from !== payload.length) {
    content = new Uint8Array(to - from);
    await files.base.read(content, 0, content.length, from);
  }
  await writeAll(files.sums, [sumsOf(content)], placeOf(from));
}

/** Of so many blocks sums are read at once. */
const PAGE_BLOCKS = 4096;

/** The sums of a base that is read. */
export class BaseSums {
  readonly #fd: number;
  readonly #page: DataView = new DataView(new ArrayBuffer(PAGE_BLOCKS * SUM_BYTES));
  #first = NaN;
  #known = 0;

  constructor(fd: number) {
    this.#fd = fd;
  }

  /** What was read before may be another by now. */
  forget(): void {
    this.#first = NaN;
  }

  /** `content`: whole blocks of the base from `offset` on. Those whose sums do not hold, as places in it. */
  damagedIn(offset: number, content: Uint8Array): number[] {
    const whole = content.length - (content.length % VERSION_BYTES);
    // One call for all of them: each costs as much as a quarter of its block.
    if (whole === content.length && crc32(content) === this.#crcOf(offset, whole)) return [];
    const found: number[] = [];
    for (let at = 0; at < content.length; at += VERSION_BYTES) {
      if (this.#sum(offset + at) !== sumAt(content, at)) found.push(at);
    }
    return found;
  }

  /** What the CRC-32 of so many bytes is if all their sums hold. */
  #crcOf(offset: number, bytes: number): number {
    let crc = 0;
    for (let at = 0; at < bytes; at += VERSION_BYTES) crc = behindZeros(crc) ^ this.#sum(offset + at);
    return crc >>> 0;
  }

  /** NaN: there is none. */
  #sum(offset: number): number {
    const block = offset / VERSION_BYTES;
    if (!(block >= this.#first && block < this.#first + PAGE_BLOCKS)) {
      this.#first = block - (block % PAGE_BLOCKS);
      this.#known = readSync(this.#fd, this.#page, 0, this.#page.byteLength, this.#first * SUM_BYTES) / SUM_BYTES;
    }
    const within = block - this.#first;
    return within < this.#known ? this.#page.getUint32(within * SUM_BYTES, true) : NaN;
  }
}

/** The CRC-32 of what has this one and a block of zeros behind it: but for a constant that is linear, so four look-ups. */
function behindZeros(crc: number): number {
  const tables = (zeroTables ??= zeroTablesMade());
  const [a = 0, b = 0, c = 0, d = 0] = [
    tables[crc & 255],
    tables[256 + ((crc >>> 8) & 255)],
    tables[512 + ((crc >>> 16) & 255)],
    tables[768 + (crc >>> 24)],
  ];
  return a ^ b ^ c ^ d ^ ZEROS_CRC;
}

let zeroTables: Uint32Array | null = null;

const zeroTablesMade = (): Uint32Array =>
  Uint32Array.from({ length: 1024 }, (_, i) => crc32(ZEROS, ((i & 255) << (8 * (i >>> 8))) >>> 0) ^ ZEROS_CRC);
