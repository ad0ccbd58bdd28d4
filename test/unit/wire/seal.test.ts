import { createCipheriv } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { createAead } from '../../../agent/platform/aead.ts';
import { AeadSeal, CrcSeal } from '../../../agent/wire/seal.ts';

const KEY = new Uint8Array(32).fill(1);
const HEADER = Uint8Array.from([1, 2, 3]);
const BODY = Uint8Array.from([4, 5, 6, 7, 8]);
const COUNTER = 2 ** 40 + 3;

describe.each([
  ['AES-256-GCM by OpenSSL', () => new AeadSeal(createAead(KEY))],
  ['AES-256-GCM by Node', () => new AeadSeal(createAead(KEY, true))],
  ['CRC', () => new CrcSeal()],
])('%s', (name, make) => {
  const sealed = (counter = COUNTER) => {
    const [body, tag] = [BODY.slice(), new Uint8Array(16).fill(0xff)];
    make().seal(counter, HEADER, body, tag);
    return { body, tag };
  };

  test('opens what it sealed, again and again, an empty body too', () => {
    const seal = make();
    for (let counter = 1; counter < 4; counter++) {
      const { body, tag } = sealed(counter);
      expect(seal.open(counter, HEADER, body, tag)).toBe(true);
      expect(body).toEqual(BODY);
      const empty = new Uint8Array(0);
      seal.seal(counter + 100, HEADER, empty, tag);
      expect(seal.open(counter + 100, HEADER, empty, tag)).toBe(true);
    }
  });

  test('[AUTH1] refuses another header, body or proof', () => {
    const { body, tag } = sealed();
    expect(make().open(COUNTER, Uint8Array.from([1, 2, 4]), body.slice(), tag)).toBe(false);
    expect(make().open(COUNTER, HEADER, body.slice(1), tag)).toBe(false);
    expect(
      make().open(
        COUNTER,
        HEADER,
        body.slice(),
        tag.map((byte, i) => byte ^ (i === 0 ? 1 : 0)),
      ),
    ).toBe(false);
    expect(make().open(COUNTER + 1, HEADER, body.slice(), tag)).toBe(name === 'CRC');
  });

  test('is what FORMAT.md says', () => {
    const { body, tag } = sealed();
    if (name === 'CRC') {
      expect([...tag.subarray(4)]).toEqual(Array<number>(12).fill(0));
      expect(body).toEqual(BODY);
      return;
    }
    const cipher = createCipheriv('aes-256-gcm', KEY, Buffer.from('000000000300000000010000', 'hex'));
    cipher.setAAD(HEADER);
    expect(Buffer.from(body)).toEqual(Buffer.concat([cipher.update(BODY), cipher.final()]));
    expect(Buffer.from(tag)).toEqual(cipher.getAuthTag());
  });
});
