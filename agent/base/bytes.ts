/** Little-endian numbers in bytes, and the byte comparisons that formats need. 64-bit values are safe integers. */
import { assert } from './errors.ts';

const TWO_32 = 4_294_967_296;

/** Writes a non-negative safe integer as 64 bits. */
export function setU64(view: DataView, offset: number, value: number): void {
  assert(Number.isSafeInteger(value) && value >= 0, 'not a 64-bit count');
  view.setUint32(offset, value % TWO_32, true);
  view.setUint32(offset + 4, Math.floor(value / TWO_32), true);
}

/** Reads 64 bits; a value beyond the safe integers (only damage makes one) answers Infinity, which no check accepts. */
export function getU64(view: DataView, offset: number): number {
  const value = view.getUint32(offset + 4, true) * TWO_32 + view.getUint32(offset, true);
  return Number.isSafeInteger(value) ? value : Infinity;
}

/** True when `length` bytes of `a` at `aOffset` and of `b` at `bOffset` are the same. */
export function sameBytes(a: Uint8Array, aOffset: number, b: Uint8Array, bOffset: number, length: number): boolean {
  for (let i = 0; i < length; i++) if (a[aOffset + i] !== b[bOffset + i]) return false;
  return true;
}

/** Below this a call into native code costs more than it saves. */
const FILL_BYTES_MIN = 256;

/**
 * Copies `from` into `into` at `at`; they do not overlap. Where one of them is shared memory, `set` copies word by word, as atomics, at a
 * third of the rate; to fill a part of a buffer with a buffer of its length is a plain copy.
 */
export function copyBytes(from: Uint8Array, into: Uint8Array, at: number): void {
  if (from.length < FILL_BYTES_MIN) into.set(from, at);
  else Buffer.prototype.fill.call(into, from, at, at + from.length);
}

export const roundUp = (value: number, unit: number): number => Math.ceil(value / unit) * unit;

const HEX: readonly string[] = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0'));

export function toHex(bytes: Uint8Array): string {
  let text = '';
  for (const byte of bytes) text += HEX[byte];
  return text;
}

/** Text as zero-padded UTF-8 of exactly `length` bytes; longer text is an error of the caller. */
export function textBytes(text: string, length: number): Uint8Array {
  const bytes = new TextEncoder().encode(text);
  assert(bytes.length <= length, `text longer than its field of ${length} bytes: ${text}`);
  const out = new Uint8Array(length);
  out.set(bytes);
  return out;
}

/** The text of a zero-padded field. */
export function bytesText(bytes: Uint8Array): string {
  const end = bytes.indexOf(0);
  return new TextDecoder().decode(bytes.slice(0, end < 0 ? bytes.length : end));
}

export const dataView = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
