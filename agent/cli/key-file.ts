/**
 * Changes to a key file, each made whole or not at all: the new content is written beside it and renamed into its place,
 * with its owner and mode. A link is followed, so that what it leads to changes.
 */
import { randomBytes } from 'node:crypto';
import {
  chmodSync,
  chownSync,
  closeSync,
  fsyncSync,
  openSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs';
import { AgentError } from '../base/errors.ts';
import { KEY_CONTENT_BYTES_MIN, KEYS_MAX, KeyError, newKeyText, readKeyFile } from '../settings/key.ts';
import { keyId } from '../wire/keys.ts';

export type Keys = readonly Uint8Array[];

const lineOf = (key: Uint8Array): string => newKeyText(key);

/** Makes the file with one new key; never touches one that is there. */
export function newKeyFile(path: string): Keys {
  const key = new Uint8Array(randomBytes(KEY_CONTENT_BYTES_MIN));
  try {
    write(path, lineOf(key));
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'EEXIST') throw new KeyError(`key file ${path} is there already`, 'use it, or name another file');
    throw new KeyError(`key file ${path} cannot be made (${code})`, 'check its directory and its disk', {
      cause: error,
    });
  }
  return [key];
}

/** Appends a new key: everybody who has the file accepts it, nobody seals with it yet. */
export function addKey(path: string): Keys {
  const keys = readKeyFile(path);
  if (keys.length >= KEYS_MAX) {
    throw new KeyError(`key file ${path} has ${keys.length} keys, the most there can be`, 'stillbeat key drop first');
  }
  return replace(path, [...keys, freshKey(keys)]);
}

/** Puts the newest key first: it seals from now on, the others still open. */
export function useNewestKey(path: string): Keys {
  const keys = readKeyFile(path);
  const newest = keys.at(-1);
  if (!newest || keys.length < 2) {
    throw new KeyError(`key file ${path} has no newer key than the one that seals`, 'stillbeat key add first');
  }
  return replace(path, [newest, ...keys.slice(0, -1)]);
}

/** Leaves only the key that seals. */
export function dropKeys(path: string): Keys {
  const keys = readKeyFile(path);
  if (keys.length < 2) throw new KeyError(`key file ${path} has one key only`, 'there is nothing to drop');
  return replace(path, keys.slice(0, 1));
}

/** Two keys are told apart in datagrams by the first bytes of their ids. */
function freshKey(keys: Keys): Uint8Array {
  for (;;) {
    const key = new Uint8Array(randomBytes(KEY_CONTENT_BYTES_MIN));
    const [a, b] = keyId(key);
    if (keys.every((known) => keyId(known)[0] !== a || keyId(known)[1] !== b)) return key;
  }
}

function replace(path: string, keys: Keys): Keys {
  if (keys.some(({ length }) => length !== KEY_CONTENT_BYTES_MIN)) {
    const mend = 'make a new file with "stillbeat key new", install it everywhere and restart all agents';
    throw new KeyError(
      `key file ${path} holds a key of other than ${KEY_CONTENT_BYTES_MIN} bytes, which no line can hold`,
      mend,
    );
  }
  const target = realpathSync(path);
  const { mode, uid, gid } = statSync(target);
  const beside = `${target}.${process.pid}.new`;
  try {
    write(beside, keys.map(lineOf).join(''));
    chownSync(beside, uid, gid);
    chmodSync(beside, mode & 0o777);
    renameSync(beside, target);
  } catch (error) {
    rmSync(beside, { force: true });
    const { code } = error as NodeJS.ErrnoException;
    throw new AgentError('key', `key file ${path} cannot be changed (${code}): check its directory and its disk`, {
      cause: error,
    });
  }
  return keys;
}

/** A new file of this content, on the disk when this returns, for its owner alone from the first moment. */
function write(path: string, text: string): void {
  const descriptor = openSync(path, 'wx', 0o600);
  try {
    writeSync(descriptor, text);
    fsyncSync(descriptor);
  } catch (error) {
    rmSync(path, { force: true });
    throw error;
  } finally {
    closeSync(descriptor);
  }
}
