/**
 * The cluster key's file: one key a line, each 64 hexadecimal digits, the first seals and all of them open; or one key of
 * 32 to 1024 raw bytes. Each node derives its own keys from the content, so every node needs the very same.
 */
import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs';
import { AgentError } from '../base/errors.ts';

export const KEY_CONTENT_BYTES_MIN = 32;
export const KEY_CONTENT_BYTES_MAX = 1024;

/** As many as the threads share. */
export const KEYS_MAX = 8;

/** Everybody but the owner. */
const OTHERS = 0o077;

/** A key file that cannot be used: what is wrong, and what to do about it. */
export class KeyError extends AgentError {
  readonly what: string;
  readonly mend: string;

  constructor(what: string, mend: string, options?: ErrorOptions) {
    super('key', `${what}: ${mend}`, options);
    this.name = 'KeyError';
    this.what = what;
    this.mend = mend;
  }
}

const MAKE = 'copy it from another node, or make one with "stillbeat key new"';

/** Reads the keys; refuses a file that anybody but its owner can read. */
export function readKeyFile(path: string): readonly Uint8Array[] {
  let descriptor: number;
  try {
    // Without O_NONBLOCK a FIFO in the key's place would hang the start.
    descriptor = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENOTDIR')
      throw new KeyError(`key file ${path} is missing`, MAKE, { cause: error });
    throw new KeyError(`key file ${path} cannot be opened (${code})`, 'start as the user who owns it', {
      cause: error,
    });
  }
  try {
    // Of the open file, not of the path: nobody can exchange it between the look and the reading.
    const stat = fstatSync(descriptor);
    if (!stat.isFile()) throw new KeyError(`key file ${path} is not a regular file`, MAKE);
    if ((stat.mode & OTHERS) !== 0) {
      const mode = `0${(stat.mode & 0o777).toString(8)}`;
      throw new KeyError(`key file ${path} is readable by others (mode ${mode})`, `chmod 600 ${path}`);
    }
    const content = new Uint8Array(KEY_CONTENT_BYTES_MAX + 1);
    return keysOf(content.subarray(0, readSync(descriptor, content)), path);
  } finally {
    closeSync(descriptor);
  }
}

/** The keys that a file of this content holds. */
export function keysOf(content: Uint8Array, path: string): readonly Uint8Array[] {
  if (content.length < KEY_CONTENT_BYTES_MIN) {
    const what = `key file ${path} is too short (${content.length} bytes, at least ${KEY_CONTENT_BYTES_MIN} are needed)`;
    throw new KeyError(what, MAKE);
  }
  if (content.length > KEY_CONTENT_BYTES_MAX) {
    throw new KeyError(
      `key file ${path} is longer than ${KEY_CONTENT_BYTES_MAX} bytes`,
      'is it the right file? name the key',
    );
  }
  const text = Buffer.from(content).toString('latin1').trim();
  if (!/^[0-9a-fA-F\s]+$/.test(text)) return [Uint8Array.from(content)];
  const lines = text.split(/\s+/);
  if (lines.length > KEYS_MAX) {
    throw new KeyError(`key file ${path} has ${lines.length} keys, at most ${KEYS_MAX} are used`, 'stillbeat key drop');
  }
  // A digit lost in copying would otherwise make a valid key that no other node has.
  const wrong = lines.find(({ length }) => length !== 2 * KEY_CONTENT_BYTES_MIN);
  if (wrong !== undefined) {
    throw new KeyError(`key file ${path} has ${wrong.length} hexadecimal digits instead of 64`, MAKE);
  }
  return lines.map((line) => Uint8Array.from(Buffer.from(line, 'hex')));
}

/** A key file's text made of 32 random bytes. */
export function newKeyText(random: Uint8Array): string {
  if (random.length !== KEY_CONTENT_BYTES_MIN) {
    throw new RangeError(`a new key is made of ${KEY_CONTENT_BYTES_MIN} random bytes, not ${random.length}`);
  }
  return `${Buffer.from(random).toString('hex')}\n`;
}
