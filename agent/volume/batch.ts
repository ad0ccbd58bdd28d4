/**
 * A batch: what one flush writes. Header, then sealed payload (acknowledgements, records), then padding, and the order
 * mark once more in the last 8 bytes.
 *
 * A reader tells apart: nothing new (`stale`: an older lap), `torn` (head and tail disagree: a write under way, or one
 * that was cut off), `foreign`, `damaged` (whole, but the proof does not hold), `ahead` (the writer has lapped us).
 */
import { dataView, getU64, roundUp, sameBytes, setU64 } from '../base/bytes.ts';
import { assert } from '../base/errors.ts';
import { recordBytes, RECORD_HEADER_BYTES, writeRecordHeader, type RecordHeader } from '../wire/record.ts';
import {
  ACKNOWLEDGEMENT,
  BATCH,
  BATCH_BYTES_MAX,
  BATCH_FLAG,
  BATCH_MAGIC,
  BATCH_TAIL_BYTES,
  BLOCK_BYTES,
  FORMAT_VERSION,
  slotOfTenant,
} from './layout.ts';
import type { Seal } from '../wire/seal.ts';

export interface Acknowledgement {
  peerIndex: number;
  incarnationTag: number;
  readPosition: number;
  nextData: number;
  nextBulk: number;
}

/** Everything in a batch header but the lengths. */
export interface BatchIdentity {
  nodeIndex: number;
  clusterUuid: Uint8Array;
  incarnation: Uint8Array;
  orderMark: number;
  position: number;
  wallUs: number;
  monotonicUs: number;
}

export interface BatchHeader extends BatchIdentity {
  batchBytes: number;
  payloadBytes: number;
  recordCount: number;
  acknowledgementCount: number;
  flags: number;
  /** Bits of the slots 0 to 31, and 32 to 63. */
  addressedLow: number;
  addressedHigh: number;
}

const { at } = BATCH;
const ALL_BITS = 0xffff_ffff;
const PAYLOAD_BYTES_MAX = BATCH_BYTES_MAX - BATCH.bytes - BATCH_TAIL_BYTES;

/** The first four bytes of an incarnation as a number: enough to tell to whom a confirmation is. */
export const incarnationTag = (incarnation: Uint8Array): number => dataView(incarnation).getUint32(0, true);

/** Builds batches in one piece of page-aligned memory; nothing is allocated for a batch. */
export class BatchBuilder {
  /** BATCH_BYTES_MAX bytes. */
  readonly memory: Uint8Array;
  readonly #view: DataView;
  #end = 0;
  #records = 0;
  #acknowledgements = 0;
  #addressedLow = 0;
  #addressedHigh = 0;

  constructor(memory: Uint8Array) {
    assert(memory.length >= BATCH_BYTES_MAX, 'batch memory too small');
    this.memory = memory;
    this.#view = dataView(memory);
  }

  get recordCount(): number {
    return this.#records;
  }

  begin(): void {
    this.#end = BATCH.bytes;
    this.#records = 0;
    this.#acknowledgements = 0;
    this.#addressedLow = 0;
    this.#addressedHigh = 0;
  }

  /** It has something for everybody: confirmations that somebody waits for. */
  addressAll(): void {
    this.#addressedLow = ALL_BITS;
    this.#addressedHigh = ALL_BITS;
  }

  #address(tenant: number): void {
    const slot = slotOfTenant(tenant);
    if (slot < 32) this.#addressedLow |= 1 << slot;
    else this.#addressedHigh |= 1 << (slot - 32);
  }

  /** All acknowledgements come before the first record. */
  acknowledge(ack: Acknowledgement): void {
    assert(this.#records === 0, 'acknowledgement behind a record');
    const a = ACKNOWLEDGEMENT.at;
    const view = this.#view;
    view.setUint16(this.#end + a.peerIndex, ack.peerIndex, true);
    view.setUint16(this.#end + a.reserved, 0, true);
    view.setUint32(this.#end + a.incarnationTag, ack.incarnationTag, true);
    setU64(view, this.#end + a.readPosition, ack.readPosition);
    view.setUint32(this.#end + a.nextData, ack.nextData, true);
    view.setUint32(this.#end + a.nextBulk, ack.nextBulk, true);
    this.#end += ACKNOWLEDGEMENT.bytes;
    this.#acknowledgements++;
  }

  /** True when a frame of this size still fits below `limit` bytes of batch. */
  hasRoom(frameBytes: number, limit: number): boolean {
    const payload = this.#end - BATCH.bytes + recordBytes(frameBytes);
    return payload <= PAYLOAD_BYTES_MAX && payload + BATCH.bytes + BATCH_TAIL_BYTES <= limit;
  }

  /** Adds a record; the frame is copied from `source` at `offset`. */
  add(header: RecordHeader, source: Uint8Array, offset: number): void {
    writeRecordHeader(this.#view, this.#end, header);
    const frameStart = this.#end + RECORD_HEADER_BYTES;
    this.memory.set(source.subarray(offset, offset + header.frameBytes), frameStart);
    const next = this.#end + recordBytes(header.frameBytes);
    this.memory.fill(0, frameStart + header.frameBytes, next);
    this.#end = next;
    this.#records++;
    this.#address(header.peer);
  }

  /** Bytes that the batch will take on the volume if finished now. */
  get batchBytes(): number {
    return roundUp(this.#end + BATCH_TAIL_BYTES, BLOCK_BYTES);
  }

  /** Completes and seals the batch; answers its bytes on the volume. The memory then holds what is to be written. */
  finish(identity: BatchIdentity, seal: Seal, flags: number): number {
    const { memory } = this;
    const bytes = this.batchBytes;
    memory.fill(0, this.#end, bytes);
    encodeIdentity(this.#view, memory, identity);
    const view = this.#view;
    view.setUint32(at.batchBytes, bytes, true);
    view.setUint32(at.payloadBytes, this.#end - BATCH.bytes, true);
    view.setUint32(at.recordCount, this.#records, true);
    view.setUint32(at.acknowledgementCount, this.#acknowledgements, true);
    view.setUint32(at.flags, flags, true);
    if (this.#records === 0) this.addressAll();
    view.setUint32(at.addressed, this.#addressedLow, true);
    view.setUint32(at.addressed + 4, this.#addressedHigh, true);
    setU64(this.#view, bytes - BATCH_TAIL_BYTES, identity.orderMark);
    seal.seal(
      identity.orderMark,
      memory.subarray(0, at.tag),
      memory.subarray(BATCH.bytes, this.#end),
      memory.subarray(at.tag, BATCH.bytes),
    );
    return bytes;
  }
}

function encodeIdentity(view: DataView, bytes: Uint8Array, identity: BatchIdentity): void {
  view.setUint32(at.magic, BATCH_MAGIC, true);
  view.setUint16(at.version, FORMAT_VERSION >>> 16, true);
  view.setUint16(at.nodeIndex, identity.nodeIndex, true);
  bytes.set(identity.clusterUuid, at.clusterUuid);
  bytes.set(identity.incarnation, at.incarnation);
  setU64(view, at.orderMark, identity.orderMark);
  setU64(view, at.position, identity.position);
  setU64(view, at.wallUs, identity.wallUs);
  setU64(view, at.monotonicUs, identity.monotonicUs);
  bytes.fill(0, at.keyId, at.tag);
}

export type BatchFault = 'absent' | 'version' | 'foreign' | 'stale' | 'ahead' | 'torn' | 'damaged';

/**
 * Looks at the block at ring position `position`: the header, or why there is none to believe. Nothing is authenticated
 * yet. `bytes` starts with the block; `spaceBytes` is what is left of the ring at this place.
 */
export function peekBatch(
  bytes: Uint8Array,
  nodeIndex: number,
  clusterUuid: Uint8Array,
  position: number,
  spaceBytes: number,
): { ok: true; header: BatchHeader } | { ok: false; fault: BatchFault } {
  const view = dataView(bytes);
  if (view.getUint32(at.magic, true) !== BATCH_MAGIC) return { ok: false, fault: 'absent' };
  if (view.getUint16(at.version, true) !== FORMAT_VERSION >>> 16) return { ok: false, fault: 'version' };
  if (!sameBytes(bytes, at.clusterUuid, clusterUuid, 0, 16) || view.getUint16(at.nodeIndex, true) !== nodeIndex) {
    return { ok: false, fault: 'foreign' };
  }
  const found = getU64(view, at.position);
  if (found < position) return { ok: false, fault: 'stale' };
  if (found > position) return { ok: false, fault: found === Infinity ? 'damaged' : 'ahead' };
  const header = decodeHeader(view, bytes);
  const { batchBytes, payloadBytes, acknowledgementCount } = header;
  const sane =
    batchBytes >= BLOCK_BYTES &&
    batchBytes % BLOCK_BYTES === 0 &&
    batchBytes <= Math.min(BATCH_BYTES_MAX, spaceBytes) &&
    BATCH.bytes + payloadBytes + BATCH_TAIL_BYTES <= batchBytes &&
    acknowledgementCount * ACKNOWLEDGEMENT.bytes <= payloadBytes &&
    header.orderMark !== Infinity &&
    header.wallUs !== Infinity &&
    header.monotonicUs !== Infinity;
  return sane ? { ok: true, header } : { ok: false, fault: 'damaged' };
}

/**
 * Gives a header that says it is of another version, cluster or node what should stand there. When the proof holds then,
 * it was altered; otherwise it is what it says.
 */
export function putIdentity(bytes: Uint8Array, nodeIndex: number, clusterUuid: Uint8Array): void {
  const view = dataView(bytes);
  view.setUint16(at.version, FORMAT_VERSION >>> 16, true);
  view.setUint16(at.nodeIndex, nodeIndex, true);
  bytes.set(clusterUuid, at.clusterUuid);
}

/** The fields of a batch header, whatever they say; for `inspect`, and behind `peekBatch`. */
export function decodeHeader(view: DataView, bytes: Uint8Array): BatchHeader {
  return {
    nodeIndex: view.getUint16(at.nodeIndex, true),
    clusterUuid: bytes.slice(at.clusterUuid, at.clusterUuid + 16),
    incarnation: bytes.slice(at.incarnation, at.incarnation + 16),
    orderMark: getU64(view, at.orderMark),
    position: getU64(view, at.position),
    wallUs: getU64(view, at.wallUs),
    monotonicUs: getU64(view, at.monotonicUs),
    batchBytes: view.getUint32(at.batchBytes, true),
    payloadBytes: view.getUint32(at.payloadBytes, true),
    recordCount: view.getUint32(at.recordCount, true),
    acknowledgementCount: view.getUint32(at.acknowledgementCount, true),
    flags: view.getUint32(at.flags, true),
    addressedLow: view.getUint32(at.addressed, true),
    addressedHigh: view.getUint32(at.addressed + 4, true),
  };
}

/** True when the batch has something for the node in this slot. */
export const isAddressedTo = (header: BatchHeader, slot: number): boolean =>
  (slot < 32 ? (header.addressedLow >>> slot) & 1 : (header.addressedHigh >>> (slot - 32)) & 1) === 1;

/**
 * Opens the whole batch in `bytes` in place. `torn` when its last 8 bytes bear another order mark, `damaged` when the
 * proof does not hold. After true the payload is plain and may be believed, if the incarnation may.
 */
export function openBatch(bytes: Uint8Array, header: BatchHeader, seal: Seal): 'ok' | 'torn' | 'damaged' {
  const view = dataView(bytes);
  if (getU64(view, header.batchBytes - BATCH_TAIL_BYTES) !== header.orderMark) return 'torn';
  const opened = seal.open(
    header.orderMark,
    bytes.subarray(0, at.tag),
    bytes.subarray(BATCH.bytes, BATCH.bytes + header.payloadBytes),
    bytes.subarray(at.tag, BATCH.bytes),
  );
  return opened ? 'ok' : 'damaged';
}

/** The acknowledgements of an opened batch; one with an impossible position is passed over. */
export function* acknowledgements(bytes: Uint8Array, header: BatchHeader): Generator<Acknowledgement> {
  const view = dataView(bytes);
  const a = ACKNOWLEDGEMENT.at;
  for (let i = 0; i < header.acknowledgementCount; i++) {
    const offset = BATCH.bytes + i * ACKNOWLEDGEMENT.bytes;
    if (getU64(view, offset + a.readPosition) === Infinity) continue;
    yield {
      peerIndex: view.getUint16(offset + a.peerIndex, true),
      incarnationTag: view.getUint32(offset + a.incarnationTag, true),
      readPosition: getU64(view, offset + a.readPosition),
      nextData: view.getUint32(offset + a.nextData, true),
      nextBulk: view.getUint32(offset + a.nextBulk, true),
    };
  }
}

/** Where an opened batch's records lie, as [start, end). */
export const recordSpan = (header: BatchHeader): readonly [number, number] => [
  BATCH.bytes + header.acknowledgementCount * ACKNOWLEDGEMENT.bytes,
  BATCH.bytes + header.payloadBytes,
];

export const batchFlags = (sealed: boolean, wrap: boolean): number =>
  (sealed ? BATCH_FLAG.sealed : 0) | (wrap ? BATCH_FLAG.wrap : 0);
