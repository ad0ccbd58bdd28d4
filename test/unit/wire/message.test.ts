import { describe, expect, test } from 'vitest';
import { dataView } from '../../../agent/base/bytes.ts';
import {
  AGAIN_MAX,
  HELLO,
  HELLO_BYTES,
  KIND,
  PREFIX,
  PREFIX_BYTES,
  readAgain,
  readHello,
  readPrefix,
  writeAgain,
  writeHello,
  writePrefix,
  type Hello,
} from '../../../agent/wire/message.ts';

const prefix = {
  kind: KIND.hello,
  nextData: 1,
  nextBulk: 2,
  floorData: 3,
  floorBulk: 0xffff_ffff,
  monotonicUs: 2 ** 50,
};
const hello: Hello = {
  ...prefix,
  flags: 31,
  path: 4,
  floorHeartbeat: 5,
  echoIncarnation: new Uint8Array(16).fill(6),
  echoMonotonicUs: 2 ** 53 - 1,
  echoDelayUs: 8,
};

function helloBytes(): Uint8Array {
  const bytes = new Uint8Array(HELLO_BYTES);
  expect(writeHello(bytes, hello)).toBe(HELLO_BYTES);
  return bytes;
}

describe('messages', () => {
  test('what is written is read: prefix and hello', () => {
    expect(readPrefix(helloBytes())).toEqual(prefix);
    expect(readHello(helloBytes(), prefix)).toEqual(hello);
  });

  test('fractions of a microsecond are rounded', () => {
    const bytes = new Uint8Array(PREFIX_BYTES);
    writePrefix(dataView(bytes), { ...prefix, monotonicUs: 1234.56 });
    expect(readPrefix(bytes)?.monotonicUs).toBe(1235);
  });

  test('too short, or not exactly as long, is none', () => {
    expect(readPrefix(new Uint8Array(PREFIX_BYTES - 1))).toBeNull();
    expect(readHello(new Uint8Array(HELLO_BYTES - 1), prefix)).toBeNull();
    expect(readHello(new Uint8Array(HELLO_BYTES + 1), prefix)).toBeNull();
  });

  test('times beyond the safe integers are refused', () => {
    const clock = helloBytes();
    dataView(clock).setUint32(PREFIX.at.monotonicUs + 4, 0xffff_ffff, true);
    expect(readPrefix(clock)).toBeNull();
    for (const offset of [HELLO.at.echoMonotonicUs, HELLO.at.echoDelayUs]) {
      const bytes = helloBytes();
      dataView(bytes).setUint32(PREFIX_BYTES + offset + 4, 0xffff_ffff, true);
      expect(readHello(bytes, prefix)).toBeNull();
    }
  });

  test('a request to send again, up to the most numbers and not one more', () => {
    const bytes = new Uint8Array(PREFIX_BYTES + 4 + 4 * (AGAIN_MAX + 1));
    const missing = Array.from({ length: AGAIN_MAX }, (_, i) => 0xffff_ffe0 + (i % 32));
    const length = writeAgain(bytes, prefix, 2, missing);
    expect(readPrefix(bytes)?.kind).toBe(KIND.again);
    expect(readAgain(bytes.subarray(0, length))).toEqual({ lane: 2, missing });
    expect(readAgain(bytes)).toBeNull();
    expect(readAgain(bytes.subarray(0, length - 1))).toBeNull();
    expect(readAgain(bytes.subarray(0, PREFIX_BYTES + 3))).toBeNull();
    expect(readAgain(bytes.subarray(0, PREFIX_BYTES + 4))).toEqual({ lane: 2, missing: [] });
  });
});
