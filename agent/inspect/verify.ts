/**
 * `inspect --verify`: what can be proven of a volume, and what not. The walk over a ring has proven each batch's seal, place
 * and order already; here is the rest: that what a batch says fits (its records, whom it is for, what is to be zero), that the
 * head blocks and the copies of the superblock agree with it, and the account of every byte.
 *
 * Bytes are `proven` by a seal or checksum, `structure` where a seal cannot be opened for want of the key, `damaged`, or
 * `unused`: never written, or left of a former lap, which nothing vouches for and nobody reads.
 */
import { roundUp } from '../base/bytes.ts';
import { TYPE_COUNT } from '../base/packet-type.ts';
import { isAddressedTo, recordSpan } from '../volume/batch.ts';
import {
  ACKNOWLEDGEMENT,
  BATCH,
  BATCH_FLAG,
  BATCH_TAIL_BYTES,
  BLOCK_BYTES,
  slotOfTenant,
  SUPERBLOCK_COPIES,
} from '../volume/layout.ts';
import { walkRecords } from '../wire/record.ts';
import type { InspectedVolume } from './inspected-volume.ts';
import type { SlotHead } from './node-view.ts';
import type { BadPlace, FoundBatch, Place } from './ring-walk.ts';

export interface ByteAccount {
  proven: number;
  structure: number;
  damaged: number;
  unused: number;
}

export class Verification {
  readonly #volume: InspectedVolume;
  readonly #heads: readonly SlotHead[];
  readonly bytes: ByteAccount = { proven: 0, structure: 0, damaged: 0, unused: 0 };
  /** What is wrong outside the rings, in words. */
  readonly problems: readonly string[];
  batches = 0;

  constructor(volume: InspectedVolume, heads: readonly SlotHead[]) {
    this.#volume = volume;
    this.#heads = heads;
    this.problems = [...this.#superblocks(), ...this.#headBlocks()];
    const { superblock, device } = volume;
    const { bytes } = this;
    bytes.damaged += Math.max(0, superblock.volumeBytes - device.bytes);
  }

  #superblocks(): string[] {
    const { copies, superblock, device } = this.#volume;
    const bad = copies.flatMap((copy, index) => (copy === 'good' ? [] : [`copy ${index} of the superblock: ${copy}`]));
    this.bytes.damaged += bad.length * BLOCK_BYTES;
    this.bytes.proven += (SUPERBLOCK_COPIES - bad.length) * BLOCK_BYTES;
    const lost = superblock.volumeBytes - device.bytes;
    return lost > 0
      ? [...bad, `${lost} of ${superblock.volumeBytes} bytes are not here: the volume was cut short`]
      : bad;
  }

  #headBlocks(): string[] {
    return this.#heads.flatMap(({ slot, state, proven }) => {
      const name = this.#volume.nodeName(slot);
      if (state === 'running' || state === 'stopped') {
        this.bytes[proven ? 'proven' : 'structure'] += BLOCK_BYTES;
        return [];
      }
      this.bytes[state === 'never' ? 'unused' : 'damaged'] += BLOCK_BYTES;
      return state === 'never' ? [] : [`head block of node ${name}: ${state}`];
    });
  }

  /** Takes a place into the account; answers it, or what is wrong with a batch that the walk took for good. */
  place(place: Place): Place {
    if (place.kind !== 'batch') {
      this.bytes.damaged += place.bytes;
      return place;
    }
    this.batches++;
    const detail = place.isOpen ? this.#misfit(place) : null;
    if (detail === null) {
      this.bytes[place.isOpen ? 'proven' : 'structure'] += place.header.batchBytes;
      return place;
    }
    const { position, batchBytes } = place.header;
    this.bytes.damaged += batchBytes;
    const bad: BadPlace = {
      kind: 'damaged',
      slot: place.slot,
      position,
      bytes: batchBytes,
      fault: 'inconsistent',
      detail,
    };
    return bad;
  }

  /** To be called behind the last place: what was not met is unused. */
  finish(): void {
    const { bytes } = this;
    const met = bytes.proven + bytes.structure + bytes.damaged + bytes.unused;
    bytes.unused += Math.max(0, this.#volume.superblock.volumeBytes - met);
  }

  get isGood(): boolean {
    return this.problems.length === 0 && this.bytes.damaged === 0;
  }

  #misfit(batch: FoundBatch): string | null {
    return this.#markMisfit(batch) ?? this.#paddingMisfit(batch) ?? this.#recordsMisfit(batch);
  }

  #markMisfit({ slot, header }: FoundBatch): string | null {
    const head = this.#heads.find((one) => one.slot === slot)?.head;
    const isOfHead = head && header.incarnation.every((byte, i) => byte === head.incarnation[i]);
    if (!isOfHead || header.orderMark < head.reservedMark) return null;
    return `its order mark ${header.orderMark} was never reserved (up to ${head.reservedMark})`;
  }

  /** Between payload and tail no proof covers anything: it is zero. */
  #paddingMisfit({ header, bytes }: FoundBatch): string | null {
    const start = BATCH.bytes + header.payloadBytes;
    const end = header.batchBytes - BATCH_TAIL_BYTES;
    for (let at = start; at < end; at++) if (bytes[at] !== 0) return `byte ${at} behind its payload is not zero`;
    return null;
  }

  #recordsMisfit({ header, bytes }: FoundBatch): string | null {
    if ((header.flags & BATCH_FLAG.wrap) !== 0) return header.recordCount === 0 ? null : 'records in the end of a lap';
    if (header.acknowledgementCount * ACKNOWLEDGEMENT.bytes > header.payloadBytes)
      return 'more acknowledgements than bytes';
    let records = 0;
    let misfit: string | null = null;
    const [start, end] = recordSpan(header);
    const isWhole = walkRecords(bytes, start, end, ({ type, peer, frameBytes }, offset) => {
      records++;
      if (type >= TYPE_COUNT) misfit ??= `record ${records} is of type ${type}, which does not exist`;
      if (!isAddressedTo(header, slotOfTenant(peer))) {
        misfit ??= `record ${records} is for slot ${slotOfTenant(peer)}, which the header does not name: nobody reads it`;
      }
      const padding = bytes.subarray(offset + frameBytes, roundUp(offset + frameBytes, 8));
      if (padding.some((byte) => byte !== 0)) misfit ??= `bytes behind record ${records} are not zero`;
    });
    if (misfit !== null) return misfit;
    if (!isWhole) return `record ${records + 1} is longer than the batch`;
    return records === header.recordCount ? null : `${records} records, and the header says ${header.recordCount}`;
  }
}
