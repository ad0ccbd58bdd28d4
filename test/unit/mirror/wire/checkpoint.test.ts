import { expect, test } from 'vitest';
import {
  CHECKPOINT_BLOCK,
  CHECKPOINT_HOW,
  CHECKPOINT_PART,
  decodeCheckpointPart,
  decodeWanted,
  encodeCheckpointPart,
  encodeWanted,
} from '../../../../agent/mirror/wire/checkpoint.ts';

const block = (how: 1 | 2 | 3, at: number) =>
  ({ how, volume: 1, block: at, transfer: 3, index: 4, within: 5, blockCrc: 6, blockHash: 7n }) as const;
const blocks = [block(CHECKPOINT_HOW.reference, 1), block(CHECKPOINT_HOW.data, 2), block(CHECKPOINT_HOW.zeroes, 3)];
const part = { base: 2 ** 40, isFirst: true, isLast: false, blocks };
const data = new Uint8Array(4096).fill(9);
const body = (): Uint8Array => Buffer.concat([encodeCheckpointPart(part), data]);

test('a part of a checkpoint is read as it was written', () => {
  const read = decodeCheckpointPart(body(), 3);
  expect(read).toMatchObject(part);
  expect(Buffer.compare(read?.data ?? new Uint8Array(0), data)).toBe(0);
});

test.each<[string, Uint8Array, number]>([
  ['too short for its blocks', encodeCheckpointPart(part).subarray(0, 50), 3],
  ['without the data that it names', encodeCheckpointPart(part), 3],
  ['with more than it names', Buffer.concat([body(), new Uint8Array(1)]), 3],
  ['of fewer blocks than there are', body(), 2],
  ['with a block that cannot be', body().fill(0, CHECKPOINT_PART.bytes, CHECKPOINT_PART.bytes + 1), 3],
  ['nothing at all', new Uint8Array(0), 0],
])('a part %s is refused', (_, bytes, count) => {
  expect(decodeCheckpointPart(bytes, count)).toBeNull();
  expect(CHECKPOINT_BLOCK.bytes).toBe(40);
});

test('what is wanted is read as it was written, and nothing else', () => {
  const wanted = [
    { volume: 0, block: 0 },
    { volume: 63, block: 2 ** 40 },
  ];
  expect(decodeWanted(encodeWanted(wanted))).toEqual(wanted);
  expect(decodeWanted(new Uint8Array(17))).toBeNull();
  expect(decodeWanted(new Uint8Array(16).fill(255))).toBeNull();
});
