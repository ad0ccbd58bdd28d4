/**
 * Keys of NBD clients, in a file as GnuTLS, libnbd and QEMU use it: one `identity:key` a line, the key in hexadecimal digits
 * (`psktool -u alice -p FILE` makes one).
 */
import { readFileSync, statSync } from 'node:fs';
import { KeyError } from './key.ts';

const KEY_DIGITS_MIN = 32;
const KEY_DIGITS_MAX = 1024;
const MAKE = 'make it with "psktool -u NAME -p FILE", mode 0600';

/** The key of each identity. `setting`: what names the file. Throws a KeyError that says what to do. */
export function readExportKeys(path: string, setting = 'export.keyFile'): Map<string, Uint8Array> {
  let text: string;
  try {
    const { mode } = statSync(path);
    if ((mode & 0o077) !== 0) {
      const shown = `0${(mode & 0o777).toString(8)}`;
      throw new KeyError(`${setting} ${path} is readable by others (mode ${shown})`, `chmod 600 ${path}`);
    }
    text = readFileSync(path, 'latin1');
  } catch (error) {
    if (error instanceof KeyError) throw error;
    const { code } = error as NodeJS.ErrnoException;
    throw new KeyError(`${setting} ${path} cannot be read (${code})`, MAKE, { cause: error });
  }
  const keys = new Map<string, Uint8Array>();
  text.split('\n').forEach((line, index) => {
    if (line.trim() === '' || line.startsWith('#')) return;
    const [, identity = '', key = ''] = /^([^:]+):([0-9a-fA-F]+)\s*$/.exec(line) ?? [];
    if (identity === '' || key.length % 2 !== 0 || key.length < KEY_DIGITS_MIN || key.length > KEY_DIGITS_MAX) {
      const what = `${setting} ${path}, line ${index + 1} is not "identity:key" with ${KEY_DIGITS_MIN} hexadecimal digits or more`;
      throw new KeyError(what, MAKE);
    }
    keys.set(identity, Uint8Array.from(Buffer.from(key, 'hex')));
  });
  if (keys.size === 0) throw new KeyError(`${setting} ${path} holds no key`, MAKE);
  return keys;
}
