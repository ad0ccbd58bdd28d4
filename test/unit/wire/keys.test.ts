import { createHmac } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { keyId, tunnelKey, volumeKey } from '../../../agent/wire/keys.ts';

const KEY = new Uint8Array(32).fill(1);
const UUID = Uint8Array.from({ length: 16 }, (_, i) => i);
const SALT = new Uint8Array(16).fill(2);

/** RFC 5869 by its own words, for one block of output. */
function hkdf(key: Uint8Array, salt: Uint8Array, info: string): Buffer {
  const extracted = createHmac('sha256', salt.length === 0 ? new Uint8Array(32) : salt)
    .update(key)
    .digest();
  return createHmac('sha256', extracted).update(`${info}\u0001`).digest();
}

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');

describe('keys, as FORMAT.md derives them', () => {
  test('of a volume', () => {
    const uuid = '000102030405060708090a0b0c0d0e0f';
    expect(hex(volumeKey(KEY, UUID, SALT, 12, 'head'))).toBe(hex(hkdf(KEY, SALT, `stillbeat 1 head 12 ${uuid}`)));
    expect(hex(volumeKey(KEY, UUID, SALT, 0, 'batch'))).toBe(hex(hkdf(KEY, SALT, `stillbeat 1 batch 0 ${uuid}`)));
  });

  test('of the tunnel', () => {
    expect(hex(tunnelKey(KEY, 'lab', SALT, 'a', 'b'))).toBe(hex(hkdf(KEY, SALT, 'stillbeat 1 tunnel ["lab","a","b"]')));
  });

  test('the key id', () => {
    expect(hex(keyId(KEY))).toBe(hex(hkdf(KEY, new Uint8Array(0), 'stillbeat 1 key id').subarray(0, 8)));
  });

  test('[AUTH1] no two uses share a key', () => {
    const other = new Uint8Array(16).fill(9);
    const keys = [
      volumeKey(KEY, UUID, SALT, 1, 'head'),
      volumeKey(KEY, UUID, SALT, 1, 'batch'),
      volumeKey(KEY, UUID, SALT, 2, 'batch'),
      volumeKey(KEY, UUID, other, 1, 'batch'),
      volumeKey(KEY, other, SALT, 1, 'batch'),
      volumeKey(new Uint8Array(32), UUID, SALT, 1, 'batch'),
      tunnelKey(KEY, 'lab', SALT, 'a', 'b'),
      tunnelKey(KEY, 'lab', SALT, 'b', 'a'),
      tunnelKey(KEY, 'lab', other, 'a', 'b'),
      tunnelKey(KEY, 'la', SALT, 'b","a', 'b'),
    ];
    expect(new Set(keys.map(hex)).size).toBe(keys.length);
  });
});
