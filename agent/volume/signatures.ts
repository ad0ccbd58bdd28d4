/**
 * Recognises what else lies on a device, before `format` writes: file systems, partition tables, parts of arrays and
 * volume groups, other cluster software, and stillbeat itself. Only well-known magic numbers at their fixed places are
 * looked at; an unknown content is not noticed.
 *
 * The order matters where two would match: a GPT has a protective MBR, a FAT boot sector ends like an MBR.
 */
import { dataView, sameBytes } from '../base/bytes.ts';
import { withoutControls } from '../base/text.ts';
import { BLOCK_BYTES, SUPERBLOCK_COPIES, SUPERBLOCK_MAGIC } from './layout.ts';
import { chooseSuperblock } from './superblock.ts';

export interface FoundSignature {
  readonly name: string;
  /** Where the magic number lies, in bytes from the start. */
  readonly offset: number;
}

/** Reads a piece of the device; at its end the piece may be shorter. */
export type ReadPiece = (offset: number, length: number) => Uint8Array;

/** One place to look at: the magic at `offset`, and what else must hold when the magic alone is too weak. */
interface Place {
  readonly name: string;
  readonly offset: number;
  readonly magic: string | readonly number[];
}

const KIB = 1024;
const MD_MAGIC = [0xfc, 0x4e, 0x2b, 0xa9];

/** What begins at a fixed distance from the start. */
const AT_START: readonly Place[] = [
  { name: 'XFS file system', offset: 0, magic: 'XFSB' },
  { name: 'btrfs file system', offset: 64 * KIB + 64, magic: '_BHRfS_M' },
  { name: 'LUKS encrypted volume', offset: 0, magic: [0x4c, 0x55, 0x4b, 0x53, 0xba, 0xbe] },
  // The second header of LUKS 2 remains when the first one is lost.
  { name: 'LUKS encrypted volume', offset: 16 * KIB, magic: [0x53, 0x4b, 0x55, 0x4c, 0xba, 0xbe] },
  ...[0, 512, 1024, 1536].map((sector) => ({ name: 'LVM2 physical volume', offset: sector, magic: 'LABELONE' })),
  ...[4, 8, 16, 64].flatMap((page) => [
    { name: 'swap space', offset: page * KIB - 10, magic: 'SWAPSPACE2' },
    { name: 'swap space', offset: page * KIB - 10, magic: 'SWAP-SPACE' },
  ]),
  { name: 'MD RAID member', offset: 0, magic: MD_MAGIC },
  { name: 'MD RAID member', offset: 4096, magic: MD_MAGIC },
  ...[512, 4096].map((sector) => ({ name: 'GPT partition table', offset: sector, magic: 'EFI PART' })),
  { name: 'SBD messages of a cluster', offset: 0, magic: 'SBD_SBD_' },
  { name: 'sanlock leases', offset: 0, magic: [0x10, 0x20, 0x21, 0x12] },
  { name: 'sanlock leases', offset: 0, magic: [0x10, 0x20, 0x15, 0x06] },
  ...[1, 2, 4, 8].map((kib) => ({ name: 'OCFS2 file system', offset: kib * KIB, magic: 'OCFSV2' })),
  { name: 'GFS2 file system', offset: 64 * KIB, magic: [0x01, 0x16, 0x19, 0x70] },
  { name: 'SquashFS file system', offset: 0, magic: 'hsqs' },
  { name: 'F2FS file system', offset: KIB, magic: [0x10, 0x20, 0xf5, 0xf2] },
  { name: 'ISO 9660 file system', offset: 32 * KIB + 1, magic: 'CD001' },
  { name: 'NTFS file system', offset: 3, magic: 'NTFS    ' },
  { name: 'exFAT file system', offset: 3, magic: 'EXFAT   ' },
  { name: 'FAT file system', offset: 82, magic: 'FAT32   ' },
  { name: 'FAT file system', offset: 54, magic: 'FAT16   ' },
  { name: 'FAT file system', offset: 54, magic: 'FAT12   ' },
  { name: 'FAT file system', offset: 54, magic: 'FAT     ' },
];

/** What lies at a distance from the end of a device of `bytes`. */
function placesAtEnd(bytes: number): Place[] {
  const sectors = Math.floor(bytes / 512);
  const drbd = [0x6b, 0x6c, 0x6d].map((last) => ({
    name: 'DRBD metadata',
    offset: bytes - 4096 + 60,
    magic: [0x83, 0x74, 0x02, last],
  }));
  return [
    // Version 0.90 is in the byte order of the host that made it.
    { name: 'MD RAID member', offset: Math.floor(bytes / (64 * KIB) - 1) * 64 * KIB, magic: MD_MAGIC },
    { name: 'MD RAID member', offset: Math.floor(bytes / (64 * KIB) - 1) * 64 * KIB, magic: MD_MAGIC.toReversed() },
    { name: 'MD RAID member', offset: Math.floor((sectors - 16) / 8) * 8 * 512, magic: MD_MAGIC },
    ...[512, 4096].map((sector) => ({
      name: 'GPT partition table (its copy at the end)',
      offset: Math.floor(bytes / sector - 1) * sector,
      magic: 'EFI PART',
    })),
    ...drbd,
  ];
}

/**
 * The first foreign thing found on a device of `bytes`, or null. A volume of `ownCluster` is not foreign, so that it can
 * be formatted again.
 */
export function findSignature(read: ReadPiece, bytes: number, ownCluster?: string): FoundSignature | null {
  const piece: ReadPiece = (offset, length) =>
    offset < 0 || offset + length > bytes ? new Uint8Array(0) : read(offset, length);
  const stillbeat = findStillbeat(piece, ownCluster);
  if (stillbeat !== undefined) return stillbeat;
  for (const place of [...AT_START, ...placesAtEnd(bytes)]) {
    if (matches(piece, place)) return { name: place.name, offset: place.offset };
  }
  return findExt(piece) ?? findMbr(piece);
}

function matches(read: ReadPiece, place: Place): boolean {
  const magic = typeof place.magic === 'string' ? new TextEncoder().encode(place.magic) : Uint8Array.from(place.magic);
  const found = read(place.offset, magic.length);
  return found.length === magic.length && sameBytes(found, 0, magic, 0, magic.length);
}

/** Undefined: no stillbeat volume; null: one of our own cluster. */
function findStillbeat(read: ReadPiece, ownCluster: string | undefined): FoundSignature | null | undefined {
  const copies = Array.from({ length: SUPERBLOCK_COPIES }, (_, copy) => copy * BLOCK_BYTES);
  const offset = copies.find((at) => matches(read, { name: '', offset: at, magic: SUPERBLOCK_MAGIC }));
  if (offset === undefined) return undefined;
  const chosen = chooseSuperblock(copies.map((at) => read(at, BLOCK_BYTES)).filter((block) => block.length > 0));
  if (chosen.ok) {
    const { clusterName } = chosen.superblock;
    return clusterName === ownCluster
      ? null
      : { name: `stillbeat volume of cluster ${withoutControls(clusterName)}`, offset };
  }
  if (chosen.fault === 'version') return { name: 'stillbeat volume of another format version', offset };
  return { name: 'damaged stillbeat volume', offset };
}

const EXT_SUPERBLOCK = 1024;
const EXT_MAGIC_OFFSET = 0x38;
const EXT_HAS_JOURNAL = 0x4;
/** extents, 64bit, mmp, flex_bg and everything that came with ext4 or after it */
const EXT4_INCOMPATIBLE = 0xffff_ff40;

function findExt(read: ReadPiece): FoundSignature | null {
  const superblock = read(EXT_SUPERBLOCK, 128);
  if (superblock.length < 128) return null;
  const view = dataView(superblock);
  if (view.getUint16(EXT_MAGIC_OFFSET, true) !== 0xef53) return null;
  const journal = (view.getUint32(0x5c, true) & EXT_HAS_JOURNAL) !== 0;
  const isExt4 = (view.getUint32(0x60, true) & EXT4_INCOMPATIBLE) !== 0;
  const name = isExt4 ? 'ext4' : journal ? 'ext3' : 'ext2';
  return { name: `${name} file system`, offset: EXT_SUPERBLOCK + EXT_MAGIC_OFFSET };
}

const MBR_ENTRIES = 446;
const MBR_END = 510;

/** A boot sector counts when its four entries can be partitions: each inactive or active, nothing else. */
function findMbr(read: ReadPiece): FoundSignature | null {
  const sector = read(0, 512);
  if (sector[MBR_END] !== 0x55 || sector[MBR_END + 1] !== 0xaa) return null;
  const possible = [0, 1, 2, 3].every((i) => ((sector[MBR_ENTRIES + 16 * i] ?? 1) & 0x7f) === 0);
  return possible ? { name: 'MBR partition table', offset: MBR_END } : null;
}
