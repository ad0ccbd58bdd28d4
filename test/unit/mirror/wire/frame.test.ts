import { describe, expect, test } from 'vitest';
import { dataView } from '../../../../agent/base/bytes.ts';
import { crc32 } from '../../../../agent/base/crc32.ts';
import {
  CHECKPOINT_BLOCK,
  CHECKPOINT_HOW,
  decodeCheckpointBlock,
  encodeCheckpointBlock,
} from '../../../../agent/mirror/wire/checkpoint.ts';
import { decodeFrame, encodeFrame, FRAME, FRAME_KIND } from '../../../../agent/mirror/wire/frame.ts';
import { xxh64 } from '../../../../agent/mirror/wire/hash.ts';
import { FRAME_BYTES_MAX } from '../../../../agent/mirror/wire/layout.ts';

const frame = { kind: FRAME_KIND.entries, count: 65_535, bodyBytes: 70_000, session: 9, id: 2 ** 40, bodyCrc: 5 };

function encoded(of: Parameters<typeof encodeFrame>[0]): Uint8Array {
  const bytes = new Uint8Array(FRAME.bytes + 3);
  encodeFrame(of, bytes, 3);
  return bytes;
}

describe('frame', () => {
  test.each(Object.entries(FRAME_KIND))('%s is read as it was written', (_, kind) => {
    expect(decodeFrame(encoded({ ...frame, kind }), 3)).toEqual({ ok: true, frame: { ...frame, kind } });
  });

  test('any byte that differs is found', () => {
    for (let at = 3; at < FRAME.bytes + 3; at++) {
      const bytes = encoded(frame);
      bytes[at] = (bytes[at] ?? 0) ^ 0x10;
      expect(decodeFrame(bytes, 3)).toEqual({ ok: false, fault: at === 3 ? 'magic' : 'checksum' });
    }
    expect(decodeFrame(encoded(frame), 4).ok).toBe(false);
    expect(decodeFrame(encoded(frame).subarray(0, 20), 3)).toEqual({ ok: false, fault: 'magic' });
  });

  test.each<[string, (view: DataView) => void]>([
    ['kind 0', (view) => view.setUint8(FRAME.at.kind, 0)],
    ['an unknown kind', (view) => view.setUint8(FRAME.at.kind, FRAME_KIND.verify + 1)],
    ['a body that is too long', (view) => view.setUint32(FRAME.at.bodyBytes, FRAME_BYTES_MAX - 31, true)],
    ['an id beyond 2^53', (view) => view.setUint32(FRAME.at.id + 4, 0x0020_0000, true)],
    ['a session beyond 2^53', (view) => view.setUint32(FRAME.at.session + 4, 0x0020_0000, true)],
  ])('%s is refused', (_, change) => {
    const bytes = encoded(frame).slice(3);
    change(dataView(bytes));
    dataView(bytes).setUint32(FRAME.at.headerCrc, crc32(bytes.subarray(0, FRAME.at.headerCrc)), true);
    expect(decodeFrame(bytes, 0)).toEqual({ ok: false, fault: 'range' });
  });
});

const block = {
  how: CHECKPOINT_HOW.reference,
  volume: 63,
  block: 2 ** 38,
  transfer: 2 ** 41,
  index: 7,
  within: 8191,
  blockCrc: 0xffff_ffff,
  blockHash: 0xffff_ffff_ffff_fffen,
};

function encodedBlock(of: Parameters<typeof encodeCheckpointBlock>[0]): Uint8Array {
  const bytes = new Uint8Array(CHECKPOINT_BLOCK.bytes + 5);
  encodeCheckpointBlock(of, bytes, 5);
  return bytes;
}

describe('block of a checkpoint', () => {
  test.each(Object.entries(CHECKPOINT_HOW))('%s is read as it was written', (_, how) => {
    expect(decodeCheckpointBlock(encodedBlock({ ...block, how }), 5)).toEqual({ ok: true, block: { ...block, how } });
  });

  test('what was read before leaves nothing in what is written next', () => {
    decodeCheckpointBlock(new Uint8Array(CHECKPOINT_BLOCK.bytes).fill(0xff), 0);
    expect(encodedBlock(block)[5 + CHECKPOINT_BLOCK.at.reserved]).toBe(0);
  });

  test.each<[string, (view: DataView) => void]>([
    ['no way', (view) => view.setUint8(CHECKPOINT_BLOCK.at.how, 0)],
    ['an unknown way', (view) => view.setUint8(CHECKPOINT_BLOCK.at.how, 4)],
    ['a volume beyond the last', (view) => view.setUint16(CHECKPOINT_BLOCK.at.volume, 64, true)],
    ['a block beyond 2^53 bytes', (view) => view.setUint32(CHECKPOINT_BLOCK.at.block + 4, 0x0000_0200, true)],
    ['a place beyond any entry', (view) => view.setUint32(CHECKPOINT_BLOCK.at.within, 8192, true)],
  ])('%s is refused', (_, change) => {
    const bytes = encodedBlock(block).slice(5);
    change(dataView(bytes));
    expect(decodeCheckpointBlock(bytes, 0)).toEqual({ ok: false, fault: 'range' });
  });

  test('one that ends too early is refused', () => {
    expect(decodeCheckpointBlock(encodedBlock(block), 6)).toEqual({ ok: false, fault: 'range' });
  });
});

test('xxh64 is the published one', () => {
  expect(xxh64(new Uint8Array(0))).toBe(0xef46_db37_51d8_e999n);
  expect(xxh64(new TextEncoder().encode('a'))).toBe(0xd24e_c4f1_a98c_6e5bn);
});
