import { describe, expect, test } from 'vitest';
import { encodeSuperblock } from '../../../agent/volume/superblock.ts';
import { findSignature, type FoundSignature } from '../../../agent/volume/signatures.ts';
import { superblockOf } from '../../support/volume.ts';

const BYTES = 1024 * 1024 + 3 * 512;

function look(pieces: readonly (readonly [number, string | readonly number[]])[], own?: string): FoundSignature | null {
  const device = new Uint8Array(BYTES);
  for (const [offset, piece] of pieces) {
    device.set(typeof piece === 'string' ? new TextEncoder().encode(piece) : piece, offset);
  }
  return findSignature((offset, length) => device.subarray(offset, offset + length), BYTES, own);
}

const BOOT = [510, [0x55, 0xaa]] as const;

/** What the public descriptions of these formats say of their magic numbers. */
const KNOWN: readonly (readonly [string, number, string | readonly number[]])[] = [
  ['XFS file system', 0, 'XFSB'],
  ['btrfs file system', 65_600, '_BHRfS_M'],
  ['LUKS encrypted volume', 0, [0x4c, 0x55, 0x4b, 0x53, 0xba, 0xbe, 0, 1]],
  ['LUKS encrypted volume', 0, [0x4c, 0x55, 0x4b, 0x53, 0xba, 0xbe, 0, 2]],
  ['LVM2 physical volume', 512, 'LABELONE'],
  ['swap space', 4086, 'SWAPSPACE2'],
  ['swap space', 65_526, 'SWAPSPACE2'],
  ['MD RAID member', 0, [0xfc, 0x4e, 0x2b, 0xa9]],
  ['MD RAID member', 4096, [0xfc, 0x4e, 0x2b, 0xa9]],
  // 1.0: 8 to 12 KiB before the end, aligned to 4 KiB; 0.90: the last whole 64 KiB.
  ['MD RAID member', 1_040_384, [0xfc, 0x4e, 0x2b, 0xa9]],
  ['MD RAID member', 983_040, [0xfc, 0x4e, 0x2b, 0xa9]],
  ['MD RAID member', 983_040, [0xa9, 0x2b, 0x4e, 0xfc]],
  ['DRBD metadata', BYTES - 4096 + 60, [0x83, 0x74, 0x02, 0x6b]],
  ['DRBD metadata', BYTES - 4096 + 60, [0x83, 0x74, 0x02, 0x6d]],
  ['GPT partition table', 512, 'EFI PART'],
  ['GPT partition table', 4096, 'EFI PART'],
  ['GPT partition table (its copy at the end)', BYTES - 512, 'EFI PART'],
  ['SBD messages of a cluster', 0, 'SBD_SBD_'],
  ['sanlock leases', 0, [0x10, 0x20, 0x21, 0x12]],
  ['sanlock leases', 0, [0x10, 0x20, 0x15, 0x06]],
  ['OCFS2 file system', 8192, 'OCFSV2'],
  ['GFS2 file system', 65_536, [0x01, 0x16, 0x19, 0x70]],
  ['SquashFS file system', 0, 'hsqs'],
  ['F2FS file system', 1024, [0x10, 0x20, 0xf5, 0xf2]],
  ['ISO 9660 file system', 32_769, 'CD001'],
  ['NTFS file system', 3, 'NTFS    '],
  ['exFAT file system', 3, 'EXFAT   '],
  ['FAT file system', 82, 'FAT32   '],
  ['FAT file system', 54, 'FAT16   '],
];

describe('findSignature', () => {
  test.each(KNOWN)('%s at byte %i', (name, offset, magic) => {
    expect(look([[offset, magic]])).toEqual({ name, offset });
  });

  test.each(KNOWN)('%s at byte %i: one byte beside it is nothing', (name, offset, magic) => {
    expect(look([[offset + 1, magic]])?.name).not.toBe(name);
  });

  test('nothing on zeros, and nothing beyond the end of a tiny device', () => {
    expect(look([])).toBeNull();
    expect(findSignature(() => new Uint8Array(0), 0)).toBeNull();
    expect(findSignature((_, length) => new Uint8Array(length), 512)).toBeNull();
  });

  test('ext2, ext3 and ext4 by their features', () => {
    const magic = [1080, [0x53, 0xef]] as const;
    expect(look([magic])).toEqual({ name: 'ext2 file system', offset: 1080 });
    expect(look([magic, [1024 + 0x5c, [4]]])?.name).toBe('ext3 file system');
    expect(look([magic, [1024 + 0x5c, [4]], [1024 + 0x60, [0x42]]])?.name).toBe('ext4 file system');
  });

  test('an MBR, but not any sector that happens to end like one', () => {
    expect(look([BOOT])).toEqual({ name: 'MBR partition table', offset: 510 });
    expect(look([BOOT, [446, [0x80]], [462, [0x00]]])?.name).toBe('MBR partition table');
    expect(look([BOOT, [446, [0x13]]])).toBeNull();
  });

  test('a GPT and not its protective MBR; FAT and not its boot sector', () => {
    expect(look([BOOT, [450, [0xee]], [512, 'EFI PART']])?.name).toBe('GPT partition table');
    expect(look([BOOT, [82, 'FAT32   ']])?.name).toBe('FAT file system');
  });
});

describe('findSignature: stillbeat', () => {
  const copies = (clusterName: string) =>
    [0, 1].map((copy) => [copy * 4096, [...encodeSuperblock(superblockOf({ clusterName }), copy)]] as const);

  test('another cluster, by name; our own is not foreign', () => {
    expect(look(copies('other'), 'lab')).toEqual({ name: 'stillbeat volume of cluster other', offset: 0 });
    expect(look(copies('other'))?.name).toBe('stillbeat volume of cluster other');
    expect(look(copies('lab'), 'lab')).toBeNull();
  });

  test('the second copy alone is enough', () => {
    expect(look(copies('other').slice(1), 'lab')).toEqual({ name: 'stillbeat volume of cluster other', offset: 4096 });
    expect(look(copies('lab').slice(1), 'lab')).toBeNull();
  });

  test('another format version, and a damaged one', () => {
    expect(look([...copies('lab'), [8, [9, 9, 9, 9]], [4096 + 8, [9, 9, 9, 9]]], 'lab')?.name).toBe(
      'stillbeat volume of another format version',
    );
    expect(look([...copies('lab'), [40, [9]], [4096 + 40, [9]]], 'lab')?.name).toBe('damaged stillbeat volume');
  });
});
