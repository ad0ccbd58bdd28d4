import { describe, expect, test } from 'vitest';
import { dataView } from '../../../agent/base/bytes.ts';
import {
  decodeHead,
  encodeHead,
  headKeyId,
  headVersion,
  type Head,
  type HeadEntry,
} from '../../../agent/volume/head.ts';
import { BLOCK_BYTES, HEAD, HEAD_ENTRY, HEAD_STATE } from '../../../agent/volume/layout.ts';
import { CrcSeal, type SealFactory } from '../../../agent/wire/seal.ts';
import { volumeSeals } from '../../../agent/threads.ts';
import { keyId } from '../../../agent/wire/keys.ts';
import { CLUSTER_KEY, CLUSTER_UUID, incarnationOf, OPEN, SEALED } from '../../support/volume.ts';

const entry = (peerIndex: number): HeadEntry => ({
  peerIndex,
  flags: 31,
  path: 2,
  nextData: 0xffff_ffff,
  nextBulk: 7,
  floorHeartbeat: 8,
  floorData: 9,
  floorBulk: 10,
  echoIncarnation: incarnationOf(5),
  echoMonotonicUs: 2 ** 53 - 1,
  echoDelayUs: 12,
  readPosition: 2 ** 40,
});

const head = (fields: Partial<Head> = {}): Head => ({
  nodeIndex: 1,
  clusterUuid: CLUSTER_UUID,
  incarnation: incarnationOf(3),
  incarnationNumber: 4,
  state: HEAD_STATE.running,
  headMark: 5,
  orderMark: 6,
  reservedMark: 2 ** 53 - 1,
  position: 8 * BLOCK_BYTES,
  startPosition: 9 * BLOCK_BYTES,
  wallUs: 10,
  monotonicUs: 11,
  hostId: incarnationOf(12),
  pid: 13,
  keyId: keyId(CLUSTER_KEY),
  entries: [entry(0), entry(2)],
  addresses: [new Uint8Array(16).fill(7)],
  ...fields,
});

function encoded(seals: SealFactory, fields: Partial<Head> = {}): Uint8Array {
  const block = new Uint8Array(BLOCK_BYTES);
  const value = head(fields);
  encodeHead(value, seals(value.incarnation, value.nodeIndex, 'head'), seals === SEALED, block);
  return block;
}

const faultOf = (block: Uint8Array, seals: SealFactory, index = 1, uuid = CLUSTER_UUID): string => {
  const result = decodeHead(block, index, uuid, seals);
  return result.ok ? 'none' : result.fault;
};

describe.each([
  ['with a key', SEALED],
  ['without a key', OPEN],
])('head block %s', (_, seals) => {
  test('what is encoded is decoded, all 63 entries included', () => {
    const entries = Array.from({ length: 63 }, (_unused, i) => entry(i));
    for (const fields of [{}, { entries }, { entries: [] }]) {
      expect(decodeHead(encoded(seals, fields), 1, CLUSTER_UUID, seals)).toEqual({ ok: true, head: head(fields) });
    }
  });

  test('absent, foreign and damaged are told apart', () => {
    expect(faultOf(new Uint8Array(BLOCK_BYTES), seals)).toBe('absent');
    expect(faultOf(new Uint8Array(BLOCK_BYTES).fill(1), seals)).toBe('damaged');
    expect(faultOf(encoded(seals), seals, 2)).toBe('foreign');
    expect(faultOf(encoded(seals), seals, 1, new Uint8Array(16))).toBe('foreign');
  });

  test('[AUTH1] one altered byte anywhere behind the address is damage', () => {
    for (let at = HEAD.at.incarnation; at < BLOCK_BYTES; at += 7) {
      if (seals === OPEN && at >= HEAD.at.tag + 4) break; // the rest of an open proof is zeros and says nothing
      const block = encoded(seals);
      block[at] = (block[at] ?? 0) ^ 0x40;
      expect(faultOf(block, seals), `byte ${at}`).toBe('damaged');
    }
  });
});

describe('head block', () => {
  test('[AUTH1] with a key neither an open block nor one of another key is believed', () => {
    expect(faultOf(encoded(OPEN), SEALED)).toBe('damaged');
    expect(faultOf(encoded(volumeSeals(new Uint8Array(32).fill(8), CLUSTER_UUID)), SEALED)).toBe('damaged');
  });

  test('more entries than there is room for are damage, whatever the proof says', () => {
    const block = encoded(OPEN);
    dataView(block).setUint32(HEAD.at.entryCount, 64, true);
    new CrcSeal().seal(0, block.subarray(0, HEAD.at.tag), new Uint8Array(0), block.subarray(HEAD.at.tag));
    expect(faultOf(block, OPEN)).toBe('damaged');
  });

  test.each([HEAD.at.position, HEAD.at.wallUs, HEAD.at.entries + HEAD_ENTRY.at.readPosition])(
    'a number beyond the safe integers at byte %i is damage, whatever the proof says',
    (offset) => {
      const block = encoded(OPEN);
      dataView(block).setUint32(offset + 4, 0xffff_ffff, true);
      new CrcSeal().seal(0, block.subarray(0, HEAD.at.tag), new Uint8Array(0), block.subarray(HEAD.at.tag));
      expect(faultOf(block, OPEN)).toBe('damaged');
    },
  );

  test('a position that no block has is damage, whatever the proof says', () => {
    expect(faultOf(encoded(OPEN, { position: 512 }), OPEN)).toBe('damaged');
    expect(faultOf(encoded(OPEN, { startPosition: BLOCK_BYTES + 1 }), OPEN)).toBe('damaged');
  });

  test('another major version is told as such and read no further, whatever the rest says', () => {
    const block = encoded(SEALED);
    expect(headVersion(block)).toBe(1);
    dataView(block).setUint16(HEAD.at.version, 2, true);
    expect(faultOf(block, SEALED)).toBe('version');
    block.fill(0xff, HEAD.at.nodeIndex, HEAD.at.nodeIndex + 200);
    expect(faultOf(block, SEALED)).toBe('version');
    expect(headVersion(block)).toBe(2);
    expect(headVersion(new Uint8Array(BLOCK_BYTES))).toBe(-1);
    expect(headKeyId(block)).toBeNull();
  });

  test('the key id can be read without believing the block', () => {
    expect(headKeyId(encoded(SEALED))).toEqual(head().keyId);
    expect(headKeyId(new Uint8Array(BLOCK_BYTES))).toBeNull();
  });

  test('an echo delay that no field can hold is written as the longest', () => {
    const result = decodeHead(encoded(OPEN, { entries: [{ ...entry(0), echoDelayUs: 1e12 }] }), 1, CLUSTER_UUID, OPEN);
    expect(result.ok && result.head.entries[0]?.echoDelayUs).toBe(0xffff_ffff);
  });
});
