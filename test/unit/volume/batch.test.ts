import { beforeEach, describe, expect, test } from 'vitest';
import { dataView, setU64 } from '../../../agent/base/bytes.ts';
import {
  acknowledgements,
  BatchBuilder,
  batchFlags,
  incarnationTag,
  openBatch,
  peekBatch,
  recordSpan,
  type BatchIdentity,
} from '../../../agent/volume/batch.ts';
import { BATCH, BATCH_BYTES_MAX, BATCH_FLAG, BATCH_TAIL_BYTES, BLOCK_BYTES } from '../../../agent/volume/layout.ts';
import { recordBytes, walkRecords } from '../../../agent/wire/record.ts';
import type { SealFactory } from '../../../agent/wire/seal.ts';
import { CLUSTER_UUID, incarnationOf, OPEN, SEALED } from '../../support/volume.ts';

const builder = new BatchBuilder(new Uint8Array(BATCH_BYTES_MAX));
const ACK = { peerIndex: 1, incarnationTag: 0xdead_beef, readPosition: 2 ** 45, nextData: 3, nextBulk: 4 };

const identity = (fields: Partial<BatchIdentity> = {}): BatchIdentity => ({
  nodeIndex: 1,
  clusterUuid: CLUSTER_UUID,
  incarnation: incarnationOf(3),
  orderMark: 1000,
  position: 8 * BLOCK_BYTES,
  wallUs: 5,
  monotonicUs: 6,
  ...fields,
});

/** A finished batch on memory of its own. */
function finished(seals: SealFactory, frames: readonly Uint8Array[], fields: Partial<BatchIdentity> = {}): Uint8Array {
  const who = identity(fields);
  const seal = seals(who.incarnation, who.nodeIndex, 'batch');
  builder.begin();
  builder.acknowledge(ACK);
  frames.forEach((frame, i) => {
    builder.add({ frameBytes: frame.length, type: 2, peer: 0, sequence: i, ageMs: 9 }, frame, 0);
  });
  return builder.memory.slice(0, builder.finish(who, seal, batchFlags(seals === SEALED, false)));
}

const peek = (bytes: Uint8Array, position = 8 * BLOCK_BYTES, space = 64 * BLOCK_BYTES) =>
  peekBatch(bytes, 1, CLUSTER_UUID, position, space);

const faultOf = (bytes: Uint8Array, position?: number, space?: number): string => {
  const result = peek(bytes, position, space);
  return result.ok ? 'none' : result.fault;
};

function headerOf(bytes: Uint8Array) {
  const result = peek(bytes);
  if (!result.ok) throw new Error(result.fault);
  return result.header;
}

const open = (bytes: Uint8Array, seals: SealFactory) =>
  openBatch(bytes, headerOf(bytes), seals(incarnationOf(3), 1, 'batch'));

describe.each([
  ['with a key', SEALED],
  ['without a key', OPEN],
])('batch %s', (_, seals) => {
  const frames = [1, 7, 8, 9, 5000].map((length) => new Uint8Array(length).fill(length & 0xff));

  test('what is built is opened: acknowledgements and records as they were', () => {
    const bytes = finished(seals, frames);
    const header = headerOf(bytes);
    expect(header).toMatchObject({ recordCount: 5, acknowledgementCount: 1, orderMark: 1000, batchBytes: 8192 });
    expect(open(bytes, seals)).toBe('ok');
    expect([...acknowledgements(bytes, header)]).toEqual([ACK]);
    const seen: unknown[] = [];
    const [start, end] = recordSpan(header);
    const whole = walkRecords(bytes, start, end, (record, offset) => {
      expect(record).toMatchObject({ type: 2, peer: 0, ageMs: 9, sequence: seen.length });
      seen.push(bytes.slice(offset, offset + record.frameBytes));
    });
    expect(whole).toBe(true);
    expect(seen).toEqual(frames);
  });

  test('[AUTH1] one altered byte in header, payload or proof is damage; in the tail it is torn', () => {
    const good = finished(seals, frames);
    const { payloadBytes, batchBytes } = headerOf(good);
    const proofEnd = seals === SEALED ? BATCH.bytes : BATCH.at.tag + 4;
    for (let at = BATCH.at.incarnation; at < BATCH.bytes + payloadBytes; at++) {
      if (at >= proofEnd && at < BATCH.bytes) continue;
      if (at >= BATCH.at.orderMark && at < BATCH.at.flags) continue; // judged before the proof, see below
      const bytes = good.slice();
      bytes[at] = (bytes[at] ?? 0) ^ 1;
      expect(open(bytes, seals), `byte ${at}`).toBe('damaged');
    }
    const torn = good.slice();
    torn[batchBytes - 1] = ~(torn[batchBytes - 1] ?? 0);
    expect(open(torn, seals)).toBe('torn');
  });

  test('a write that was cut off after any of its blocks is torn', () => {
    const good = finished(seals, [new Uint8Array(3 * BLOCK_BYTES).fill(1)]);
    for (let kept = BLOCK_BYTES; kept < good.length; kept += BLOCK_BYTES) {
      const bytes = finished(seals, [new Uint8Array(3 * BLOCK_BYTES).fill(2)], { orderMark: 999 });
      bytes.set(good.subarray(0, kept));
      expect(open(bytes, seals), `${kept} bytes`).toBe('torn');
    }
  });
});

describe('peekBatch tells apart', () => {
  let bytes: Uint8Array;
  let view: DataView;
  beforeEach(() => {
    bytes = finished(OPEN, [new Uint8Array(10)]);
    view = dataView(bytes);
  });

  test('absent, version, foreign, stale and ahead', () => {
    expect(faultOf(new Uint8Array(BLOCK_BYTES))).toBe('absent');
    expect(faultOf(bytes, 9 * BLOCK_BYTES)).toBe('stale');
    expect(faultOf(bytes, 7 * BLOCK_BYTES)).toBe('ahead');
    expect(faultOf(finished(OPEN, [], { nodeIndex: 2 }))).toBe('foreign');
    expect(faultOf(finished(OPEN, [], { clusterUuid: new Uint8Array(16) }))).toBe('foreign');
    view.setUint16(BATCH.at.version, 2, true);
    expect(faultOf(bytes)).toBe('version');
  });

  test.each<[string, number, number]>([
    ['no length', BATCH.at.batchBytes, 0],
    ['a length of no whole blocks', BATCH.at.batchBytes, BLOCK_BYTES + 1],
    ['a length beyond the longest', BATCH.at.batchBytes, BATCH_BYTES_MAX + BLOCK_BYTES],
    ['a payload that leaves no tail', BATCH.at.payloadBytes, BLOCK_BYTES - BATCH.bytes - BATCH_TAIL_BYTES + 1],
    ['a payload of 4 GiB', BATCH.at.payloadBytes, 0xffff_ffff],
    ['more acknowledgements than payload', BATCH.at.acknowledgementCount, 1000],
    ['an order mark beyond the safe integers', BATCH.at.orderMark + 4, 0xffff_ffff],
    ['a position beyond the safe integers', BATCH.at.position + 4, 0xffff_ffff],
    ['a clock beyond the safe integers', BATCH.at.monotonicUs + 4, 0xffff_ffff],
  ])('damaged: %s', (_, offset, value) => {
    view.setUint32(offset, value, true);
    expect(faultOf(bytes)).toBe('damaged');
  });

  test('a batch that would cross the end of the ring is damage, one that ends there is not', () => {
    const two = finished(OPEN, [new Uint8Array(5000)]);
    expect(faultOf(two, 8 * BLOCK_BYTES, 2 * BLOCK_BYTES)).toBe('none');
    expect(faultOf(two, 8 * BLOCK_BYTES, BLOCK_BYTES)).toBe('damaged');
  });
});

describe('BatchBuilder', () => {
  test('hasRoom is true up to the very last byte, of the batch and of a limit', () => {
    const room = BATCH_BYTES_MAX - BATCH.bytes - BATCH_TAIL_BYTES;
    const longest = room - 16;
    builder.begin();
    expect(builder.hasRoom(longest, BATCH_BYTES_MAX)).toBe(true);
    expect(builder.hasRoom(longest + 1, BATCH_BYTES_MAX)).toBe(false);
    const limit = BATCH.bytes + recordBytes(100) + BATCH_TAIL_BYTES;
    expect(builder.hasRoom(100, limit)).toBe(true);
    expect(builder.hasRoom(100, limit - 1)).toBe(false);
  });

  test('the longest batch has exactly the longest length', () => {
    const bytes = finished(OPEN, [new Uint8Array(BATCH_BYTES_MAX - BATCH.bytes - BATCH_TAIL_BYTES - 16 - 24)]);
    expect(bytes.length).toBe(BATCH_BYTES_MAX);
  });

  test('nothing of an earlier batch stays in the padding', () => {
    finished(OPEN, [new Uint8Array(3000).fill(0xff)]);
    const bytes = finished(OPEN, [new Uint8Array(3).fill(0xff)]);
    const { payloadBytes } = headerOf(bytes);
    const frameEnd = BATCH.bytes + 24 + 16 + 3;
    expect(bytes.subarray(frameEnd, BATCH.bytes + payloadBytes).every((byte) => byte === 0)).toBe(true);
    expect(bytes.subarray(BATCH.bytes + payloadBytes, -BATCH_TAIL_BYTES).every((byte) => byte === 0)).toBe(true);
  });

  test('an acknowledgement behind a record is a mistake of ours', () => {
    builder.begin();
    builder.add({ frameBytes: 1, type: 0, peer: 0, sequence: 0, ageMs: 0 }, new Uint8Array(1), 0);
    expect(() => builder.acknowledge(ACK)).toThrow('behind a record');
  });

  test('an acknowledgement with an impossible position is passed over', () => {
    const bytes = finished(OPEN, []);
    dataView(bytes).setUint32(BATCH.bytes + 8 + 4, 0xffff_ffff, true);
    expect([...acknowledgements(bytes, headerOf(bytes))]).toEqual([]);
  });

  test('flags and incarnation tags', () => {
    expect(batchFlags(true, true)).toBe(BATCH_FLAG.sealed | BATCH_FLAG.wrap);
    expect(batchFlags(false, false)).toBe(0);
    const incarnation = new Uint8Array(16);
    setU64(dataView(incarnation), 0, 0x0102_0304);
    expect(incarnationTag(incarnation)).toBe(0x0102_0304);
  });
});
