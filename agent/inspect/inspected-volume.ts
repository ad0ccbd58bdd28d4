/**
 * A volume that is only looked at: opened for reading, around the page cache where that is possible, so that what another
 * host or a running agent writes is seen and nobody is disturbed. Works on a file copy of a volume as well.
 */
import { toHex } from '../base/bytes.ts';
import { AgentError } from '../base/errors.ts';
import { escaped } from '../base/text.ts';
import { BlockDevice } from '../platform/block-device.ts';
import { alignedMemory } from '../platform/memory.ts';
import { BLOCK_BYTES, HEAD_TABLE_OFFSET, SLOTS_OFFSET, slotOfTenant, SUPERBLOCK_COPIES } from '../volume/layout.ts';
import { chooseSuperblock, decodeSuperblock, type Superblock, type SuperblockFault } from '../volume/superblock.ts';

const FAULTS: Readonly<Record<SuperblockFault, string>> = {
  absent: 'is not a stillbeat volume: check the path, or make it one with "stillbeat format"',
  version: 'has a newer format than this version knows: look at it with a newer stillbeat',
  checksum: 'has a damaged superblock, both copies: restore one of its two first blocks from a copy',
  geometry: 'has impossible sizes in its superblock: restore one of its two first blocks from a copy',
};

export class InspectedVolume {
  readonly device: BlockDevice;
  readonly superblock: Superblock;
  /** What each copy of the superblock is: good, or its fault. */
  readonly copies: readonly ('good' | SuperblockFault)[];
  /** The cluster's name, fit for a terminal. */
  readonly clusterName: string;
  /** The cluster's UUID as people write it. */
  readonly uuid: string;
  readonly #heads: Uint8Array;
  /** By slot: whatever a superblock says, a terminal gets nothing that it would obey. */
  readonly #names: readonly string[];

  private constructor(device: BlockDevice, superblock: Superblock, copies: readonly ('good' | SuperblockFault)[]) {
    this.device = device;
    this.superblock = superblock;
    this.copies = copies;
    this.clusterName = escaped(superblock.clusterName);
    const hex = toHex(superblock.clusterUuid);
    this.uuid = hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-');
    this.#names = superblock.nodes.map((name, slot) => escaped(name) || `slot ${slot}`);
    const bytes = superblock.slotCount * BLOCK_BYTES;
    this.#heads = new Uint8Array(alignedMemory(bytes)).subarray(0, bytes);
  }

  /** Throws an AgentError when it is no volume that this version can read. */
  static open(path: string): InspectedVolume {
    const device = BlockDevice.open(path, { readOnly: true });
    try {
      const blocks = superblocksOf(device);
      const chosen = chooseSuperblock(blocks);
      if (!chosen.ok) throw new AgentError('volume', `volume ${path} ${FAULTS[chosen.fault]}`);
      const results = blocks.map((block) => decodeSuperblock(block));
      const copies = results.map((result) => (result.ok ? ('good' as const) : result.fault));
      return new InspectedVolume(device, chosen.superblock, copies);
    } catch (error) {
      device.close();
      throw error;
    }
  }

  /** Read anew: what it says now, or why there is none. */
  readSuperblock(): ReturnType<typeof chooseSuperblock> {
    return chooseSuperblock(superblocksOf(this.device));
  }

  /** Every node's head block in one read; valid until the next call. Null when the device answers an error. */
  readHeads(): readonly Uint8Array[] | null {
    if (this.device.read(HEAD_TABLE_OFFSET, this.#heads) !== this.#heads.length) return null;
    return this.superblock.nodes.map((_, slot) => this.#heads.slice(slot * BLOCK_BYTES, (slot + 1) * BLOCK_BYTES));
  }

  /** Slots that belong to a node. */
  get slots(): readonly number[] {
    return this.superblock.nodes.flatMap((name, slot) => (name === '' ? [] : [slot]));
  }

  /** For showing. */
  nodeName(slot: number): string {
    return this.#names[slot] ?? `slot ${slot}`;
  }

  tenant(slot: number): number {
    return this.superblock.tenants[slot] ?? slot;
  }

  /** The name of a tenant; one that had the slot before its present owner has none any more. */
  tenantName(tenant: number): string {
    const slot = slotOfTenant(tenant);
    return this.tenant(slot) === tenant ? this.nodeName(slot) : `former node of slot ${slot}`;
  }

  slotOffset(slot: number): number {
    return SLOTS_OFFSET + slot * this.superblock.slotBytes;
  }

  close(): void {
    this.device.close();
  }
}

function superblocksOf(device: BlockDevice): Uint8Array[] {
  const memory = new Uint8Array(alignedMemory(BLOCK_BYTES));
  return Array.from({ length: SUPERBLOCK_COPIES }, (_, copy) => {
    const got = device.read(copy * BLOCK_BYTES, memory.subarray(0, BLOCK_BYTES));
    return memory.slice(0, Math.max(0, got));
  });
}
