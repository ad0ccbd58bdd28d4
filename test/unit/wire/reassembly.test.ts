import { beforeEach, describe, expect, test } from 'vitest';
import { Reassembly } from '../../../agent/wire/reassembly.ts';

const BYTES_MAX = 1000;
const CHUNK = 100;
let reassembly: Reassembly;
beforeEach(() => (reassembly = new Reassembly(BYTES_MAX)));

const message = (bytes: number): Uint8Array => Uint8Array.from({ length: bytes }, (_, i) => i & 0xff);
const take = (counter: number, total: number, offset: number, bytes = CHUNK): Uint8Array | 'more' | 'garbage' =>
  reassembly.take(counter, total, offset, message(total).subarray(offset, offset + bytes));

test.each([
  ['in order', [0, 100, 200]],
  ['the other way round', [200, 100, 0]],
])('chunks that come %s make the message', (_, offsets) => {
  const answers = offsets.map((offset) => take(1, 250, offset));
  expect(answers).toEqual(['more', 'more', message(250)]);
});

test('messages come mixed', () => {
  expect([take(1, 150, 0), take(2, 180, 0), take(1, 150, 100), take(2, 180, 100)]).toEqual([
    'more',
    'more',
    message(150),
    message(180),
  ]);
});

describe('garbage', () => {
  beforeEach(() => void take(1, 350, 0));

  test('is a chunk that came before', () => {
    expect(take(1, 350, 0)).toBe('garbage');
    expect([take(1, 350, 300), take(1, 350, 300)]).toEqual(['more', 'garbage']);
  });

  test('is one of another size, or between two places; the message can still be made', () => {
    expect([take(1, 350, 100, 90), take(1, 350, 150)]).toEqual(['garbage', 'garbage']);
    expect([take(1, 350, 100), take(1, 350, 200), take(1, 350, 300)]).toEqual(['more', 'more', message(350)]);
  });
});

test('sixteen messages at once; the oldest makes room for one more', () => {
  for (let counter = 1; counter <= 17; counter++) take(counter, 150, 0);
  expect(take(2, 150, 100)).toEqual(message(150));
  expect(take(1, 150, 100)).toBe('more');
});
