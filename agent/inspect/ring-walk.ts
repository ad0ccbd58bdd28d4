/**
 * Walks the ring of one slot from its oldest batch to its newest.
 *
 * All positions that a ring of `slotBytes` can hold lie in [end - slotBytes, end), where `end` is the position behind the
 * newest batch; so each place in the ring has exactly one position at which a batch there is in order. Behind a good
 * batch the next one must follow: what lies there instead is told with its reason. Before the first good one lie the
 * remains of a batch that the writer has half overwritten; they are passed over.
 *
 * A running agent goes on writing meanwhile: a place that looks bad is read again before it is told, and where the writer
 * may be at work just now (the newest batches, and the oldest, which it writes over) it is given a moment.
 */
import { dataView, getU64 } from '../base/bytes.ts';
import { alignedMemory } from '../platform/memory.ts';
import { openBatch, peekBatch, putIdentity, type BatchFault, type BatchHeader } from '../volume/batch.ts';
import { BATCH, BATCH_BYTES_MAX, BATCH_FLAG, BATCH_MAGIC, BATCH_TAIL_BYTES, BLOCK_BYTES } from '../volume/layout.ts';
import type { InspectedVolume } from './inspected-volume.ts';
import type { Openers } from './openers.ts';

export interface FoundBatch {
  readonly kind: 'batch';
  readonly slot: number;
  readonly header: BatchHeader;
  /** The whole batch, valid until the walk goes on; its payload is plain when `isOpen`. */
  readonly bytes: Uint8Array;
  /** False: sealed, and there is no key. */
  readonly isOpen: boolean;
}

export type PlaceFault = BatchFault | 'replayed' | 'unreadable' | 'inconsistent';

/** A part of the ring where a batch must be and no good one is. */
export interface BadPlace {
  readonly kind: 'damaged';
  readonly slot: number;
  readonly position: number;
  readonly bytes: number;
  readonly fault: PlaceFault;
  /** What of it is inconsistent. */
  readonly detail?: string;
}

/** A part of the ring that its writer has written over before it could be read. */
export interface LostPlace {
  readonly kind: 'overwritten';
  readonly slot: number;
  readonly position: number;
  readonly bytes: number;
  /** The newest batch that was read before, and the oldest that was read behind it. */
  readonly afterMark: number;
  readonly beforeMark: number;
}

export type Place = FoundBatch | BadPlace | LostPlace;

export const REASONS: Readonly<Record<PlaceFault, string>> = {
  absent: 'no batch where one must be: overwritten, or its write was lost',
  version: 'a batch of another format version',
  foreign: 'a batch of another cluster or node: a misdirected write or copy',
  stale: 'an older batch where a newer one must be: a write was lost, or not copied yet',
  ahead: 'a newer batch where an older one must be: overrun',
  torn: 'begin and end differ: the write was cut off, or is under way',
  damaged: 'the proof does not hold: altered on the disk or on the way to it',
  replayed: 'an order mark that came before: an old copy was put back',
  unreadable: 'the device answers an error',
  inconsistent: 'the batch holds, and what it says does not fit',
};

type Look = { readonly ok: true; readonly batch: FoundBatch } | { readonly ok: false; readonly fault: PlaceFault };

/** Read at once, where much is to be read. */
export const WINDOW_BYTES: number = 4 * BATCH_BYTES_MAX;
/** Of all walks together, as far as each has room for a batch. */
const MEMORY_BYTES: number = 32 * BATCH_BYTES_MAX;
export const windowBytesFor = (walks: number): number =>
  Math.max(1, Math.min(4, Math.floor(MEMORY_BYTES / BATCH_BYTES_MAX / Math.max(1, walks)))) * BATCH_BYTES_MAX;
/** Where so much cannot be read, something of it may: a bad sector takes no more than this with it. */
const CAREFUL_BYTES = 64 * 1024;
/** A writer's head follows its batches at 20 ms. */
const MOMENT_MS = 25;
const MOMENTS_A_PLACE = 3;
/** In all, so that a ring that is full of damage is walked in reasonable time. */
const MOMENTS_MAX = 40;

const asleep = new Int32Array(new SharedArrayBuffer(4));

export interface WalkOptions {
  /** Bytes of memory for reading, at least BATCH_BYTES_MAX. */
  readonly windowBytes?: number;
  /** Where the writer is now, by its own word; null: nobody knows. */
  readonly writerPosition?: () => number | null;
}

export class RingWalk {
  readonly slot: number;
  readonly #volume: InspectedVolume;
  readonly #openers: Openers;
  readonly #slotBytes: number;
  readonly #memory: Uint8Array;
  /** The same memory as numbers. */
  readonly #words: Uint32Array;
  readonly #writerPosition: () => number | null;
  #momentsLeft = MOMENTS_MAX;
  /** What of the slot is in memory: from this offset on, so many bytes. */
  #windowStart = 0;
  #windowBytes = 0;
  #lastMark = 0;
  /** Bytes of the slot that were looked at, for showing progress. */
  readBytes = 0;
  /** No more than this is read at once; a follower that reads what is new needs nothing behind it. */
  readAhead: number;

  constructor(volume: InspectedVolume, slot: number, openers: Openers, options: WalkOptions = {}) {
    const { windowBytes = BATCH_BYTES_MAX, writerPosition = () => null } = options;
    this.#volume = volume;
    this.slot = slot;
    this.#openers = openers;
    this.#slotBytes = volume.superblock.slotBytes;
    this.#memory = new Uint8Array(alignedMemory(windowBytes)).subarray(0, windowBytes);
    this.#words = new Uint32Array(this.#memory.buffer);
    this.#writerPosition = writerPosition;
    this.readAhead = windowBytes;
  }

  /** Bytes of the slot at `offset`, valid until the next call; null when the device answers an error. */
  #bytes(offset: number, length: number): Uint8Array | null {
    if (!this.#has(offset, length)) {
      for (const most of [this.readAhead, CAREFUL_BYTES, 0]) {
        if (this.#load(offset, Math.max(length, most))) break;
      }
      if (!this.#has(offset, length)) return null;
    }
    const start = offset - this.#windowStart;
    return this.#memory.subarray(start, start + length);
  }

  #has(offset: number, length: number): boolean {
    return offset >= this.#windowStart && offset + length <= this.#windowStart + this.#windowBytes;
  }

  /** True when anything could be read. */
  #load(offset: number, wanted: number): boolean {
    const length = Math.min(wanted, this.#slotBytes - offset, this.#memory.length);
    const place = this.#volume.slotOffset(this.slot) + offset;
    const got = this.#volume.device.read(place, this.#memory.subarray(0, length));
    this.#windowStart = offset;
    this.#windowBytes = Math.max(0, got);
    this.readBytes += this.#windowBytes;
    return got > 0;
  }

  /** What lies at a position; a batch's bytes are valid until the next call. */
  look(position: number): Look {
    const offset = position % this.#slotBytes;
    const space = this.#slotBytes - offset;
    const block = this.#bytes(offset, BLOCK_BYTES);
    if (!block) return { ok: false, fault: 'unreadable' };
    const peek = peekBatch(block, this.#volume.tenant(this.slot), this.#volume.superblock.clusterUuid, position, space);
    if (!peek.ok) return this.#isAltered(peek.fault, position, space) ? { ok: false, fault: 'damaged' } : peek;
    const { header } = peek;
    const bytes = this.#bytes(offset, header.batchBytes);
    if (!bytes) return { ok: false, fault: 'unreadable' };
    const seal = this.#openers.forBatch(header);
    const opened = seal ? openBatch(bytes, header, seal) : tailOf(bytes, header);
    // Opening is done in place: what does not hold is nonsense now, and so may be what its length covers.
    if (opened === 'damaged') this.refresh();
    if (opened !== 'ok') return { ok: false, fault: opened };
    if (header.orderMark <= this.#lastMark) return { ok: false, fault: 'replayed' };
    return { ok: true, batch: { kind: 'batch', slot: this.slot, header, bytes, isOpen: seal !== null } };
  }

  /** A batch that says it is another's, and whose proof holds once it says whose it should be: that was altered. */
  #isAltered(fault: PlaceFault, position: number, space: number): boolean {
    if (fault !== 'foreign' && fault !== 'version') return false;
    const { clusterUuid } = this.#volume.superblock;
    const tenant = this.#volume.tenant(this.slot);
    const offset = position % this.#slotBytes;
    const block = this.#bytes(offset, BLOCK_BYTES)?.slice();
    if (!block) return false;
    putIdentity(block, tenant, clusterUuid);
    const peek = peekBatch(block, tenant, clusterUuid, position, space);
    const bytes = peek.ok ? this.#bytes(offset, peek.header.batchBytes)?.slice() : undefined;
    if (!peek.ok || !bytes) return false;
    putIdentity(bytes, tenant, clusterUuid);
    const seal = this.#openers.forBatch(peek.header);
    return seal !== null && openBatch(bytes, peek.header, seal) === 'ok';
  }

  /** Forgets what is in memory, so that the next look reads anew. */
  refresh(): void {
    this.#windowBytes = 0;
  }

  /**
   * The position behind the newest batch. `headPosition` is the writer's own word, which may be a little old: batches
   * that follow it count. Without it (null) the whole ring is searched.
   */
  findEnd(headPosition: number | null): number {
    let position = headPosition ?? this.#searchEnd();
    for (let steps = 0; steps < this.#slotBytes / BLOCK_BYTES; steps++) {
      const header = this.#headerAt(position % this.#slotBytes);
      if (header?.position !== position) break;
      position = this.endOf(header);
    }
    return position;
  }

  #searchEnd(): number {
    let end = 0;
    for (let offset = 0; offset < this.#slotBytes; offset += BLOCK_BYTES) {
      const header = this.#headerAt(offset);
      if (header) end = Math.max(end, this.endOf(header));
    }
    return end;
  }

  /** A header that may lie at this place, of whichever lap. Not authenticated. */
  #headerAt(offset: number): BatchHeader | null {
    const block = this.#bytes(offset, BLOCK_BYTES);
    if (!block) return null;
    const position = getU64(dataView(block), BATCH.at.position);
    if (position % this.#slotBytes !== offset) return null;
    const { clusterUuid } = this.#volume.superblock;
    const peek = peekBatch(block, this.#volume.tenant(this.slot), clusterUuid, position, this.#slotBytes - offset);
    return peek.ok ? peek.header : null;
  }

  /** Where the batch behind this one begins. */
  endOf(header: BatchHeader): number {
    const wraps = (header.flags & BATCH_FLAG.wrap) !== 0;
    return header.position + (wraps ? this.#slotBytes - (header.position % this.#slotBytes) : header.batchBytes);
  }

  /** Everything that the ring holds, when the newest batch ends at `end`. */
  *history(end: number): Generator<FoundBatch | BadPlace> {
    const from = Math.max(0, end - this.#slotBytes);
    yield* this.places(from, end, from === 0);
    yield* this.#strays(end);
  }

  /** What lies in [from, to), in order. `follows`: a good batch must be right at `from`. */
  *places(from: number, to: number, follows: boolean): Generator<FoundBatch | BadPlace> {
    let mustFollow = follows;
    let bad: BadPlace | null = null;
    for (let position = from; position < to;) {
      let found = this.look(position);
      if (!found.ok && mustFollow && bad === null) found = this.#lookAgain(position);
      if (found.ok) {
        if (bad) yield bad;
        bad = null;
        const { header } = found.batch;
        this.#lastMark = header.orderMark;
        yield found.batch;
        position = this.endOf(header);
        mustFollow = true;
        continue;
      }
      // The writer has come round while we read: what was here is history no more.
      if (mustFollow && this.#isOverrun(position, found.fault)) mustFollow = false;
      else if (mustFollow) bad = extended(bad, this.slot, position, found.fault);
      position += BLOCK_BYTES;
    }
    if (bad) yield bad;
  }

  /** What looked bad, read anew: at once, and where the writer may be at work, after a moment. */
  #lookAgain(position: number): Look {
    this.refresh();
    let found = this.look(position);
    for (let moments = 0; !found.ok && moments < MOMENTS_A_PLACE && this.#momentsLeft > 0; moments++) {
      const writer = this.#writerPosition();
      const overwrittenAt = position + this.#slotBytes;
      if (writer === null || writer > overwrittenAt) break;
      const isNear = position >= writer || writer + this.#slotBytes / 4 > overwrittenAt;
      if (!isNear) break;
      this.#momentsLeft--;
      Atomics.wait(asleep, 0, 0, MOMENT_MS);
      this.refresh();
      found = this.look(position);
    }
    return found;
  }

  /** The writer has written over the batch that was here. Where nobody knows the writer, a newer batch says so. */
  #isOverrun(position: number, fault: PlaceFault): boolean {
    const writer = this.#writerPosition();
    return writer === null ? fault === 'ahead' : writer > position + this.#slotBytes;
  }

  /** On its first lap a ring is empty behind its end: a batch there does not belong to it. */
  *#strays(end: number): Generator<BadPlace> {
    let bad: BadPlace | null = null;
    for (let position = end; position < this.#slotBytes; position += BLOCK_BYTES) {
      const isRead = this.#has(position, BLOCK_BYTES) || this.#bytes(position, BLOCK_BYTES) !== null;
      // Where the device ends early there is nothing to complain of here.
      if (!isRead && this.#volume.slotOffset(this.slot) + position >= this.#volume.device.bytes) break;
      if (isRead && this.#words[(position - this.#windowStart) / 4] !== BATCH_MAGIC) continue;
      this.refresh();
      const found = this.look(position);
      if (found.ok || found.fault === 'torn') return; // a running agent has just written it
      if (bad && bad.position + bad.bytes < position) {
        yield bad;
        bad = null;
      }
      bad = extended(bad, this.slot, position, found.fault);
    }
    if (bad) yield bad;
  }
}

function extended(bad: BadPlace | null, slot: number, position: number, fault: PlaceFault): BadPlace {
  if (bad === null) return { kind: 'damaged', slot, position, bytes: BLOCK_BYTES, fault };
  return { ...bad, bytes: position + BLOCK_BYTES - bad.position };
}

/** All that can be said of a sealed batch without the key. */
function tailOf(bytes: Uint8Array, header: BatchHeader): 'ok' | 'torn' {
  const tail = getU64(dataView(bytes), header.batchBytes - BATCH_TAIL_BYTES);
  return tail === header.orderMark ? 'ok' : 'torn';
}

/** The places of several rings, one after the other by time mark; within a ring the order of the ring. */
export function* merged<P extends Place>(rings: readonly Iterator<P>[]): Generator<P> {
  const heads = rings.map((iterator) => ({ iterator, place: iterator.next(), timeUs: 0 }));
  for (;;) {
    let first: (typeof heads)[number] | undefined;
    for (const head of heads) {
      if (head.place.done === true) continue;
      // A bad place has no time of its own: it comes right behind the batch before it.
      if (head.place.value.kind === 'batch') head.timeUs = head.place.value.header.wallUs;
      if (!first || head.timeUs < first.timeUs) first = head;
    }
    if (!first || first.place.done === true) return;
    yield first.place.value;
    first.place = first.iterator.next();
  }
}
