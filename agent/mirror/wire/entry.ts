/**
 * An entry: one write in the order of its group, as it lies in a ring and travels on a link. This file knows the header;
 * the payload follows it, then zeros up to ENTRY_ALIGN.
 *
 * The chain goes over what an entry means (bytes 0 to 55, the payload's checksum among them) and not over where it lies,
 * so that a ring may put it elsewhere.
 */
import { dataView, getU64, roundUp, setU64 } from '../../base/bytes.ts';
import { crc32 } from '../../base/crc32.ts';
import { defineFields } from '../../base/fields.ts';
import { xxh64 } from './hash.ts';
import { ENTRY_ALIGN, ENTRY_MAGIC, GENERATION_BYTES, PAYLOAD_BYTES_MAX, VOLUMES_MAX } from './layout.ts';

export const ENTRY = defineFields({
  magic: 4,
  kind: 1,
  flags: 1,
  volume: 2,
  mark: 8,
  /** Hybrid logical clock, ns since 1970: 64 bits, beyond what a number holds. */
  time: 8,
  cycle: 8,
  offset: 8,
  length: 8,
  payloadBytes: 4,
  payloadCrc: 4,
  position: 8,
  generation: GENERATION_BYTES,
  chain: 8,
  durableBack: 4,
  headerCrc: 4,
} as const);

export const ENTRY_KIND = { skip: 0, write: 1, zero: 2, trim: 3, seal: 4, image: 5 } as const;
export type EntryKind = (typeof ENTRY_KIND)[keyof typeof ENTRY_KIND];

export const ENTRY_FLAG = { durable: 1 } as const;

/** A header. Mutable, so that a writer can fill in the same one for each entry. */
export interface Entry {
  kind: EntryKind;
  /** `ENTRY_FLAG`s. */
  flags: number;
  volume: number;
  mark: number;
  /** ns since 1970. */
  time: bigint;
  cycle: number;
  /** Bytes of the volume; of a skip, `length` is the way to the next entry in the ring. */
  offset: number;
  length: number;
  payloadBytes: number;
  payloadCrc: number;
  /** Where it lies in the ring that it is in, ever growing; a multiple of ENTRY_ALIGN. */
  position: number;
  generation: Uint8Array;
  /** Of this entry; 0 of a skip and of an image. */
  chain: bigint;
  /** Bytes from what was durable in this ring when the entry was put there; a multiple of ENTRY_ALIGN. */
  durableBack: number;
}

export type EntryFault = 'magic' | 'checksum' | 'range';
export type EntryResult =
  { readonly ok: true; readonly entry: Entry } | { readonly ok: false; readonly fault: EntryFault };

const { at } = ENTRY;
const CHAINED_BYTES = at.position;
const FORMER_BYTES = 8;

/** The former chain, then a header: together they begin with the bytes that the chain goes over. */
const scratch = new Uint8Array(FORMER_BYTES + ENTRY.bytes);
const scratchView = dataView(scratch);
const header = scratch.subarray(FORMER_BYTES);
const headerView = dataView(header);
const chained = scratch.subarray(0, FORMER_BYTES + CHAINED_BYTES);
const checked = header.subarray(0, at.headerCrc);

/** Bytes that an entry takes in a ring. */
export const entryBytes = (payloadBytes: number): number => roundUp(ENTRY.bytes + payloadBytes, ENTRY_ALIGN);

/** How far the next entry in a ring lies behind this one. */
export const ringBytesOf = ({ kind, length, payloadBytes }: Entry): number =>
  kind === ENTRY_KIND.skip ? length : entryBytes(payloadBytes);

/** Whether the kind has a mark and a place in the chain of its own. */
export const isChained = (kind: EntryKind): boolean => kind !== ENTRY_KIND.skip && kind !== ENTRY_KIND.image;

/**
 * Writes the header into `into` at `offset`. Its chain is reckoned from `former`, the chain of the entry before it, and
 * is the answer; a kind without a place in the chain answers `former`. `entry.chain` is not looked at.
 */
export function encodeEntry(entry: Entry, former: bigint, into: Uint8Array, offset: number): bigint {
  headerView.setUint32(at.magic, ENTRY_MAGIC, true);
  header[at.kind] = entry.kind;
  header[at.flags] = entry.flags;
  headerView.setUint16(at.volume, entry.volume, true);
  setU64(headerView, at.mark, entry.mark);
  headerView.setBigUint64(at.time, entry.time, true);
  setU64(headerView, at.cycle, entry.cycle);
  setU64(headerView, at.offset, entry.offset);
  setU64(headerView, at.length, entry.length);
  headerView.setUint32(at.payloadBytes, entry.payloadBytes, true);
  headerView.setUint32(at.payloadCrc, entry.payloadCrc, true);
  setU64(headerView, at.position, entry.position);
  header.set(entry.generation, at.generation);
  headerView.setUint32(at.durableBack, entry.durableBack / ENTRY_ALIGN, true);
  const hasChain = isChained(entry.kind);
  const chain = hasChain ? chainOfScratch(former) : former;
  headerView.setBigUint64(at.chain, hasChain ? chain : 0n, true);
  headerView.setUint32(at.headerCrc, crc32(checked), true);
  into.set(header, offset);
  return chain;
}

function chainOfScratch(former: bigint): bigint {
  scratchView.setBigUint64(0, former, true);
  return xxh64(chained);
}

/** The chain that the header at `offset` must have behind `former`. */
export function chainAt(bytes: Uint8Array, offset: number, former: bigint): bigint {
  header.set(bytes.subarray(offset, offset + ENTRY.bytes));
  return chainOfScratch(former);
}

/** Reads the header at `offset`. Faults in the order they are told: no entry; damage; a value that no writer writes. */
export function decodeEntry(bytes: Uint8Array, offset: number): EntryResult {
  if (offset + ENTRY.bytes > bytes.length) return { ok: false, fault: 'magic' };
  header.set(bytes.subarray(offset, offset + ENTRY.bytes));
  if (headerView.getUint32(at.magic, true) !== ENTRY_MAGIC) return { ok: false, fault: 'magic' };
  if (headerView.getUint32(at.headerCrc, true) !== crc32(checked)) return { ok: false, fault: 'checksum' };
  const entry: Entry = {
    kind: header[at.kind] as EntryKind,
    flags: header[at.flags] ?? 0,
    volume: headerView.getUint16(at.volume, true),
    mark: getU64(headerView, at.mark),
    time: headerView.getBigUint64(at.time, true),
    cycle: getU64(headerView, at.cycle),
    offset: getU64(headerView, at.offset),
    length: getU64(headerView, at.length),
    payloadBytes: headerView.getUint32(at.payloadBytes, true),
    payloadCrc: headerView.getUint32(at.payloadCrc, true),
    position: getU64(headerView, at.position),
    generation: header.slice(at.generation, at.generation + GENERATION_BYTES),
    chain: headerView.getBigUint64(at.chain, true),
    durableBack: headerView.getUint32(at.durableBack, true) * ENTRY_ALIGN,
  };
  return isSane(entry) ? { ok: true, entry } : { ok: false, fault: 'range' };
}

const isLength = (value: number): boolean => value > 0 && value !== Infinity;

function isSane(entry: Entry): boolean {
  const { kind, length, payloadBytes, position } = entry;
  if (entry.volume >= VOLUMES_MAX || (entry.flags & ~ENTRY_FLAG.durable) !== 0) return false;
  if (entry.mark === Infinity || entry.cycle === Infinity || !Number.isSafeInteger(entry.offset + length)) return false;
  if (position === Infinity || position % ENTRY_ALIGN !== 0 || entry.durableBack > position) return false;
  switch (kind) {
    case ENTRY_KIND.write:
    case ENTRY_KIND.image:
      return length > 0 && payloadBytes === length && payloadBytes <= PAYLOAD_BYTES_MAX;
    case ENTRY_KIND.zero:
    case ENTRY_KIND.trim:
      return isLength(length) && payloadBytes === 0;
    case ENTRY_KIND.skip:
      return isLength(length) && length % ENTRY_ALIGN === 0 && payloadBytes === 0;
    case ENTRY_KIND.seal:
      return length === 0 && payloadBytes === 0;
    default:
      return false;
  }
}
