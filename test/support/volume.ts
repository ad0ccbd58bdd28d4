/** Volumes, writers and batches for tests, all by the production code. */
import type { ClusterKeys } from '../../agent/wire/key-ring.ts';
import type { Disk, SlotGeometry } from '../../agent/volume/disk.ts';
import type { HeadEntry } from '../../agent/volume/head.ts';
import { FORMAT_VERSION, HEAD_STATE, SLOT_BYTES_MIN, SLOTS_OFFSET } from '../../agent/volume/layout.ts';
import { initialiseState, type SlotStart } from '../../agent/volume/slot-start.ts';
import { SlotWriter, WRITER_WORDS } from '../../agent/volume/slot-writer.ts';
import type { Superblock } from '../../agent/volume/superblock.ts';
import { volumeSeals } from '../../agent/threads.ts';
import type { SealFactory } from '../../agent/wire/seal.ts';
import { alignedMemory } from '../../agent/platform/memory.ts';

export const CLUSTER_UUID: Uint8Array = Uint8Array.from({ length: 16 }, (_, i) => i + 1);
export const CLUSTER_KEY: Uint8Array = new Uint8Array(32).fill(7);
export const OPEN: SealFactory = volumeSeals(null, CLUSTER_UUID);
export const SEALED: SealFactory = volumeSeals(CLUSTER_KEY, CLUSTER_UUID);

export const incarnationOf = (number: number): Uint8Array => new Uint8Array(16).fill(number);

export function superblockOf(fields: Partial<Superblock> = {}): Superblock {
  return {
    version: FORMAT_VERSION,
    clusterUuid: CLUSTER_UUID,
    clusterName: 'lab',
    createdWallMs: 1_700_000_000_000,
    volumeBytes: SLOTS_OFFSET + 2 * SLOT_BYTES_MIN,
    slotBytes: SLOT_BYTES_MIN,
    slotCount: 2,
    sectorBytes: 512,
    revision: 1,
    nodes: ['a', 'b'],
    tenants: [0, 1],
    ...fields,
  };
}

export const slotGeometry = (slot: number, slotBytes: number = SLOT_BYTES_MIN): SlotGeometry => ({
  slotOffset: SLOTS_OFFSET + slot * slotBytes,
  slotBytes,
});

export interface WriterOptions {
  readonly slot?: number;
  /** The slot's tenant number; its first one when left out. */
  readonly tenant?: number;
  readonly slotBytes?: number;
  readonly incarnation?: Uint8Array;
  readonly clusterUuid?: Uint8Array;
  /** Null: without a key. */
  readonly key?: Uint8Array | ClusterKeys | null;
  readonly start?: SlotStart;
  readonly state?: Float64Array;
}

export const FIRST_START: SlotStart = { incarnationNumber: 1, orderMark: 0, position: 0, head: null };

/** A writer with its own clock: each batch is a millisecond later. */
export class TestWriter {
  readonly writer: SlotWriter;
  readonly state: Float64Array;
  readonly memory: Uint8Array;
  wallUs = 1_700_000_000_000_000;
  monotonicUs = 1_000_000;

  constructor(disk: Disk, options: WriterOptions = {}) {
    const { slot = 0, key = null, clusterUuid = CLUSTER_UUID, incarnation = incarnationOf(1) } = options;
    this.state = options.state ?? new Float64Array(WRITER_WORDS);
    if (options.state === undefined) initialiseState(this.state, options.start ?? FIRST_START);
    this.memory = new Uint8Array(alignedMemory(SlotWriter.memoryBytes));
    const identity = {
      nodeIndex: options.tenant ?? slot,
      clusterUuid,
      incarnation,
      hostId: new Uint8Array(16).fill(0xee),
      pid: 4711,
      sealed: key !== null,
    };
    const geometry = slotGeometry(slot, options.slotBytes);
    this.writer = new SlotWriter(disk, geometry, identity, volumeSeals(key, clusterUuid), this.state, this.memory);
  }

  times(): { wallUs: number; monotonicUs: number } {
    this.wallUs += 1000;
    this.monotonicUs += 1000;
    return { wallUs: this.wallUs, monotonicUs: this.monotonicUs };
  }

  head(state: number = HEAD_STATE.running, entries: HeadEntry[] = []): number {
    return this.writer.writeHead(this.times(), state, entries);
  }

  /** Seals one batch with these frames, all for slot `peer`, and does not write it. */
  seal(frames: readonly Uint8Array[], fields: { peer?: number; type?: number; sequence?: number } = {}): void {
    const { peer = 1, type = 2, sequence = 1 } = fields;
    const { builder } = this.writer;
    builder.begin();
    builder.acknowledge({ peerIndex: peer, incarnationTag: 9, readPosition: 8192, nextData: 3, nextBulk: 4 });
    frames.forEach((frame, i) => {
      builder.add({ frameBytes: frame.length, type, peer, sequence: sequence + i, ageMs: 2 }, frame, 0);
    });
    this.writer.seal(this.times());
  }

  batch(frames: readonly Uint8Array[], fields: { peer?: number; type?: number; sequence?: number } = {}): number {
    this.seal(frames, fields);
    return this.writer.writePending();
  }
}
