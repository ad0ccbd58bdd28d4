import { beforeEach, describe, expect, test } from 'vitest';
import { createAead } from '../../../agent/platform/aead.ts';
import { SharedKeys, sharedKeysBytes } from '../../../agent/queue/shared-keys.ts';
import { fixedKeys, KeyRingSeal, type ClusterKeys } from '../../../agent/wire/key-ring.ts';
import { keyId } from '../../../agent/wire/keys.ts';
import { AeadSeal } from '../../../agent/wire/seal.ts';

const keyOf = (fill: number): Uint8Array => new Uint8Array(32).fill(fill);
const [OLD, NEW, OTHER] = [keyOf(1), keyOf(2), keyOf(3)];
const ID_AT = 2;
const ID_BYTES = 8;

const ringOf = (keys: ClusterKeys): KeyRingSeal =>
  new KeyRingSeal(keys, ID_AT, ID_BYTES, keyId, (key) => new AeadSeal(createAead(key)));

interface Sealed {
  readonly counter: number;
  readonly header: Uint8Array;
  readonly body: Uint8Array;
  readonly tag: Uint8Array;
}

function sealed(ring: KeyRingSeal, counter: number): Sealed {
  const made = { counter, header: new Uint8Array(16).fill(9), body: Uint8Array.of(1, 2, 3), tag: new Uint8Array(16) };
  ring.seal(counter, made.header, made.body, made.tag);
  return made;
}

/** Opens a copy; the plain bytes, or null. */
function opened(ring: KeyRingSeal, { counter, header, body, tag }: Sealed): number[] | null {
  const copy = body.slice();
  return ring.open(counter, header, copy, tag) ? [...copy] : null;
}

const idIn = ({ header }: Sealed): Uint8Array => header.slice(ID_AT, ID_AT + ID_BYTES);

describe('a ring of keys', () => {
  test('[AUTH1] the first seals and is named, all open', () => {
    const [before, during, after] = [ringOf(fixedKeys(OLD)), ringOf(fixedKeys(NEW, OLD)), ringOf(fixedKeys(NEW))];
    const [old, fresh] = [sealed(before, 1), sealed(during, 2)];
    expect(idIn(old)).toEqual(keyId(OLD));
    expect(idIn(fresh)).toEqual(keyId(NEW));
    expect(opened(during, old)).toEqual([1, 2, 3]);
    expect(opened(during, fresh)).toEqual([1, 2, 3]);
    expect(opened(before, fresh)).toBeNull();
    expect(opened(after, old)).toBeNull();
    expect(opened(after, fresh)).toEqual([1, 2, 3]);
  });

  test('[AUTH1] the name is covered: with that of another known key the proof does not hold', () => {
    const ring = ringOf(fixedKeys(NEW, OLD));
    const forged = sealed(ring, 1);
    forged.header.set(keyId(OLD), ID_AT);
    expect(opened(ring, forged)).toBeNull();
    forged.header.set(keyId(NEW), ID_AT);
    expect(opened(ring, forged)).toEqual([1, 2, 3]);
    forged.header[0] = 0;
    expect(opened(ring, forged)).toBeNull();
  });

  test('keys that change meanwhile count at once, for sealing and for opening', () => {
    const shared = new SharedKeys(new SharedArrayBuffer(sharedKeysBytes));
    shared.put([OLD]);
    const ring = ringOf(shared);
    const first = sealed(ring, 1);
    shared.put([NEW, OLD]);
    expect(idIn(sealed(ring, 2))).toEqual(keyId(NEW));
    expect(opened(ring, first)).toEqual([1, 2, 3]);
    shared.put([NEW]);
    expect(opened(ring, first)).toBeNull();
    shared.put([OTHER, OLD]);
    expect(opened(ring, first)).toEqual([1, 2, 3]);
  });
});

test('what was sealed last is opened by whoever sealed it though its key was dropped, until the next is sealed; by nobody else', () => {
  const shared = new SharedKeys(new SharedArrayBuffer(sharedKeysBytes));
  shared.put([OLD]);
  const [ring, other] = [ringOf(shared), ringOf(shared)];
  const own = sealed(ring, 1);
  shared.put([NEW]);
  expect(opened(ring, own)).toEqual([1, 2, 3]);
  expect(opened(other, own)).toBeNull();
  sealed(ring, 2);
  expect(opened(ring, own)).toBeNull();
});

describe('shared keys', () => {
  let buffer: SharedArrayBuffer;
  beforeEach(() => {
    buffer = new SharedArrayBuffer(sharedKeysBytes);
  });

  test('another view reads what was put there, of any length', () => {
    const keys = [keyOf(1), new Uint8Array(1024).fill(7), keyOf(2)];
    new SharedKeys(buffer).put(keys);
    expect(new SharedKeys(buffer).read()).toEqual(keys);
    new SharedKeys(buffer).put([NEW]);
    expect(new SharedKeys(buffer).read()).toEqual([NEW]);
  });

  test('none are there before the first exchange, and the version tells each one', () => {
    const shared = new SharedKeys(buffer);
    expect(shared.read()).toEqual([]);
    const versions = [1, 2, 3].map((fill) => {
      shared.put([keyOf(fill)]);
      return shared.version;
    });
    expect(new Set(versions).size).toBe(3);
    expect(() => shared.put(Array.from({ length: 9 }, () => OLD))).toThrow('more keys');
  });
});
