import { expect, test } from 'vitest';
import { BULK, CONTROL, DATA, HEARTBEAT } from '../../../agent/base/packet-type.ts';
import {
  decodeProgramMessage,
  encodeProgramMessage,
  isProgramFrame,
  PROGRAM,
  PROGRAM_BYTES_MAX,
  PROGRAM_HEADER_BYTES,
  PROGRAM_KIND,
  PROGRAM_MARK,
} from '../../../agent/wire/program-message.ts';
import { FRAME_BYTES_MAX } from '../../../vnic/device.ts';
import { Prng } from '../../../agent/base/prng.ts';

const MESSAGE = {
  kind: PROGRAM_KIND.message,
  outcome: 0,
  from: 'node-a',
  channel: 'jobs ü',
  type: DATA,
  id: 2 ** 47 + 3,
  bytes: Uint8Array.of(1, 2, 3),
} as const;

test('what was written is read', () => {
  for (const length of [0, 1, 7, 8, PROGRAM_BYTES_MAX]) {
    for (const type of [HEARTBEAT, DATA, BULK] as const) {
      const bytes = new Uint8Array(length);
      new Prng(length).fill(bytes);
      const frame = encodeProgramMessage({ ...MESSAGE, type, bytes });
      expect(isProgramFrame(frame)).toBe(true);
      expect(frame.length).toBeLessThanOrEqual(FRAME_BYTES_MAX);
      expect(decodeProgramMessage(frame)).toEqual({ ...MESSAGE, type, bytes });
    }
  }
});

test('the mark is a byte that no virtio-net header begins with: its flags are the low bits', () => {
  expect(PROGRAM_MARK & ~0x0f).not.toBe(0);
  for (let flags = 0; flags < 16; flags++) expect(isProgramFrame(Uint8Array.of(flags, 0, 0))).toBe(false);
  expect(isProgramFrame(new Uint8Array(0))).toBe(false);
});

test('a frame cut off anywhere in header or names, of an unknown type, or with a number too large is none', () => {
  const frame = encodeProgramMessage(MESSAGE);
  const start = frame.length - MESSAGE.bytes.length;
  for (let length = 0; length < start; length++) expect(decodeProgramMessage(frame.subarray(0, length))).toBeNull();
  expect(decodeProgramMessage(frame.subarray(0, start))).toMatchObject({ bytes: new Uint8Array(0) });
  for (const type of [CONTROL, 4, 255]) {
    expect(decodeProgramMessage(Uint8Array.from(frame).fill(type, PROGRAM.at.type, PROGRAM.at.type + 1))).toBeNull();
  }
  expect(decodeProgramMessage(Uint8Array.from(frame).fill(255, PROGRAM.at.id, PROGRAM_HEADER_BYTES))).toBeNull();
});

test('altered bytes never make it throw', () => {
  const random = new Prng(7);
  const frame = encodeProgramMessage(MESSAGE);
  for (let i = 0; i < 5000; i++) {
    const altered = Uint8Array.from(frame);
    for (let n = random.below(4); n >= 0; n--) altered[random.below(altered.length)] = random.below(256);
    decodeProgramMessage(altered.subarray(0, random.below(altered.length + 1)));
  }
});
