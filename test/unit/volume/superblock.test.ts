import { describe, expect, test } from 'vitest';
import { dataView } from '../../../agent/base/bytes.ts';
import { crc32 } from '../../../agent/base/crc32.ts';
import { BLOCK_BYTES, SLOT_BYTES_MIN, SLOTS_OFFSET, SUPERBLOCK } from '../../../agent/volume/layout.ts';
import {
  chooseSuperblock,
  decodeSuperblock,
  encodeSuperblock,
  slotBytesFor,
  volumeBytesMin,
} from '../../../agent/volume/superblock.ts';
import { superblockOf } from '../../support/volume.ts';

const { at } = SUPERBLOCK;

/** A good copy with one change, and a checksum that is right again. */
function altered(change: (view: DataView, block: Uint8Array) => void): Uint8Array {
  const block = encodeSuperblock(superblockOf(), 0);
  change(dataView(block), block);
  dataView(block).setUint32(at.crc32, crc32(block.subarray(0, at.copy)), true);
  return block;
}

const faultOf = (block: Uint8Array): string => {
  const result = decodeSuperblock(block);
  return result.ok ? 'none' : result.fault;
};

describe('superblock', () => {
  test('what is encoded is decoded, names of 32 bytes and free slots included', () => {
    const superblock = superblockOf({
      clusterName: 'c'.repeat(32),
      slotCount: 64,
      volumeBytes: volumeBytesMin(64),
      tenants: Array.from({ length: 64 }, (_, i) => i + 64 * (i * 16)),
      nodes: Array.from({ length: 64 }, (_, i) => (i === 63 ? 'n'.repeat(32) : i % 2 === 0 ? `node-${i}` : '')),
    });
    expect(decodeSuperblock(encodeSuperblock(superblock, 1))).toEqual({ ok: true, superblock });
  });

  test('each way not to be one has its own name', () => {
    expect(faultOf(new Uint8Array(BLOCK_BYTES))).toBe('absent');
    expect(faultOf(encodeSuperblock(superblockOf(), 0).subarray(0, 512))).toBe('absent');
    expect(faultOf(altered((view) => view.setUint32(at.version, 0x0002_0000, true)))).toBe('version');
    const torn = encodeSuperblock(superblockOf(), 0);
    torn[at.nodeNames] = 0x7a;
    expect(faultOf(torn)).toBe('checksum');
  });

  test('a newer minor version is read, whatever it put into reserved fields', () => {
    const newer = altered((view, block) => {
      view.setUint32(at.version, 0x0001_0007, true);
      block.fill(0xff, at.zero, at.copy);
    });
    expect(faultOf(newer)).toBe('none');
  });

  test.each<[string, (view: DataView) => void]>([
    ['no slots', (view) => view.setUint32(at.slotCount, 0, true)],
    ['65 slots', (view) => view.setUint32(at.slotCount, 65, true)],
    ['slots beyond the end', (view) => view.setUint32(at.slotCount, 3, true)],
    ['slots too small', (view) => view.setUint32(at.slotBytes, SLOT_BYTES_MIN - BLOCK_BYTES, true)],
    ['slots of no whole blocks', (view) => view.setUint32(at.slotBytes, SLOT_BYTES_MIN + 512, true)],
    ['another block size', (view) => view.setUint32(at.blockBytes, 512, true)],
    ['another head table', (view) => view.setUint32(at.headTableOffset, 4096, true)],
    ['slots elsewhere', (view) => view.setUint32(at.slotsOffset, 4096, true)],
    ['a size beyond the safe integers', (view) => view.setUint32(at.volumeBytes + 4, 0xffff_ffff, true)],
    ['a time that no clock shows', (view) => view.setUint32(at.createdWallMs + 4, 0xffff_ffff, true)],
  ])('impossible sizes: %s', (_, change) => {
    expect(faultOf(altered(change))).toBe('geometry');
  });

  test('of two copies the one with the higher revision counts, and a good one before a bad one', () => {
    const [old, young] = [encodeSuperblock(superblockOf(), 0), encodeSuperblock(superblockOf({ revision: 2 }), 1)];
    const chosen = chooseSuperblock([old, young]);
    expect(chosen.ok && chosen.superblock.revision).toBe(2);
    expect(chooseSuperblock([new Uint8Array(BLOCK_BYTES), old]).ok).toBe(true);
  });

  test('of two bad copies the fault that says most is told', () => {
    const version = altered((view) => view.setUint32(at.version, 0x0002_0000, true));
    const torn = encodeSuperblock(superblockOf(), 0);
    torn[200] = 1;
    const absent = new Uint8Array(BLOCK_BYTES);
    expect(chooseSuperblock([torn, version])).toEqual({ ok: false, fault: 'version' });
    expect(chooseSuperblock([absent, torn])).toEqual({ ok: false, fault: 'checksum' });
    expect(chooseSuperblock([absent, absent])).toEqual({ ok: false, fault: 'absent' });
  });

  test('the smallest volume holds the smallest slots, one byte less does not', () => {
    const least = volumeBytesMin(3);
    expect(slotBytesFor(least, 3)).toBe(SLOT_BYTES_MIN);
    expect(slotBytesFor(least - 1, 3)).toBeLessThan(SLOT_BYTES_MIN);
    expect(slotBytesFor(100, 3)).toBe(0);
    expect(SLOTS_OFFSET + 3 * slotBytesFor(1e9, 3)).toBeLessThanOrEqual(1e9);
  });
});
