/** Small files of a recording: JSON in one line, behind a checksum of it. */
import { crc32 } from '../../base/crc32.ts';

const DIGITS = 8;

export function checkedText(value: unknown): string {
  const json = JSON.stringify(value);
  return `${crc32(Buffer.from(json)).toString(16).padStart(DIGITS, '0')} ${json}\n`;
}

/** The JSON of such a file; null when it does not hold. */
export function textOf(text: string): string | null {
  const [sum, json] = [text.slice(0, DIGITS), text.slice(DIGITS + 1).trimEnd()];
  return crc32(Buffer.from(json)) === Number.parseInt(sum, 16) ? json : null;
}
