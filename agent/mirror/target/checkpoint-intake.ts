/**
 * A checkpoint as it comes in, part by part: when the last one is here, a list that the apply thread takes, its references
 * resolved to places in the arrival journal (RF4, at the target). A reference that leads nowhere stays in the list: it is
 * asked for as data with those whose content does not hold.
 */
import { ArrivedTransfers } from '../core/transfers.ts';
import type { JournalVolume } from '../store/superblock.ts';
import { NO_PLACE, type CheckpointList } from '../threads/checkpoint-work.ts';
import {
  CHECKPOINT_BLOCK,
  CHECKPOINT_HOW,
  CHECKPOINT_PART,
  decodeCheckpointPart,
  type CheckpointBlock,
} from '../wire/checkpoint.ts';
import { ENTRY } from '../wire/entry.ts';
import { BLOCK_BYTES } from '../wire/layout.ts';

/** Complete: brings a copy that shows `base`, or a cut between, to `cut`. */
export interface Checkpoint {
  readonly cut: number;
  readonly base: number;
  readonly blocks: readonly CheckpointBlock[];
  readonly list: CheckpointList;
}

/** Where the entry of a mark lies; null when it is not here. */
export type PlaceOf = (mark: number) => { readonly position: number; readonly end: number } | null;

interface Open {
  readonly cut: number;
  readonly base: number;
  readonly blocks: CheckpointBlock[];
  readonly records: Uint8Array[];
  readonly data: Uint8Array[];
  bytes: number;
}

/** Of one checkpoint: its source keeps to less. */
const BYTES_MAX = 256 * 1024 * 1024;

export class CheckpointIntake {
  readonly #volumes: readonly JournalVolume[];
  #transfers = new ArrivedTransfers();
  #open: Open | null = null;

  constructor(volumes: readonly JournalVolume[]) {
    this.#volumes = volumes;
  }

  /** The session is over: what its transfers brought cannot be referred to any more ([MI5]). */
  reset(): void {
    this.#transfers = new ArrivedTransfers();
    this.#open = null;
  }

  /** The next entry of a transfer. */
  arrived(transfer: number, mark: number): void {
    this.#transfers.add(transfer, mark);
  }

  /** The receive volumes show this cut. */
  applied(cut: number): void {
    this.#transfers.forget(cut);
  }

  /** The body of a `checkpoint`: the whole of it when this was the last part, null before, or what is wrong in words. */
  take(cut: number, count: number, body: Uint8Array, placeOf: PlaceOf): Checkpoint | null | string {
    const part = decodeCheckpointPart(body, count);
    if (!part) return 'a part of a checkpoint that cannot be read';
    if (part.isFirst) this.#open = { cut, base: part.base, blocks: [], records: [], data: [], bytes: 0 };
    const open = this.#open;
    if (open?.cut !== cut || open.base !== part.base) return 'a part of a checkpoint that was not begun';
    const outside = part.blocks.find(({ volume, block }) => !this.#isInside(volume, block));
    if (outside) return `block ${outside.block} of volume ${outside.volume}, which there is not`;
    open.bytes += body.length;
    if (open.bytes > BYTES_MAX) return `a checkpoint of more than ${BYTES_MAX} bytes`;
    open.blocks.push(...part.blocks);
    open.records.push(body.subarray(CHECKPOINT_PART.bytes, CHECKPOINT_PART.bytes + count * CHECKPOINT_BLOCK.bytes));
    open.data.push(part.data);
    if (!part.isLast) return null;
    this.#open = null;
    return this.#whole(open, placeOf);
  }

  #isInside(volume: number, block: number): boolean {
    return block * BLOCK_BYTES < (this.#volumes[volume]?.bytes ?? 0);
  }

  #whole({ cut, base, blocks, records, data }: Open, placeOf: PlaceOf): Checkpoint {
    let dataAt = 0;
    const places = Float64Array.from(blocks, (block) => {
      if (block.how === CHECKPOINT_HOW.reference) return this.#placeOf(block, placeOf);
      if (block.how === CHECKPOINT_HOW.zeroes) return NO_PLACE;
      dataAt += BLOCK_BYTES;
      return dataAt - BLOCK_BYTES;
    });
    const volumeBytes = this.#volumes.map(({ bytes }) => bytes);
    return { cut, base, blocks, list: { records: joined(records), places, data: joined(data), volumeBytes } };
  }

  #placeOf(block: CheckpointBlock, placeOf: PlaceOf): number {
    const mark = this.#transfers.markAt(block);
    const entry = mark === null ? null : placeOf(mark);
    if (!entry) return NO_PLACE;
    const place = entry.position + ENTRY.bytes + block.within * BLOCK_BYTES;
    return place + BLOCK_BYTES <= entry.end ? place : NO_PLACE;
  }
}

/**
 * The list, without references to what the ring does not hold any more: to entries that were shown before its turn came. Such blocks are asked for:
 * what is verified there now might be written over before it is brought.
 */
export function heldFrom(tail: number, { list, blocks }: Checkpoint): CheckpointList {
  const isLost = (place: number, i: number): boolean =>
    blocks[i]?.how === CHECKPOINT_HOW.reference && place >= 0 && place < tail;
  if (!list.places.some(isLost)) return list;
  return { ...list, places: list.places.map((place, i) => (isLost(place, i) ? NO_PLACE : place)) };
}

function joined(pieces: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(pieces.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const piece of pieces) {
    whole.set(piece, at);
    at += piece.length;
  }
  return whole;
}
