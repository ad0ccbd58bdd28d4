/**
 * What agents say to each other: the plain text of tunnel messages, and of `control` records on the storage way.
 *
 * Every message begins with the same 32 bytes: kind, confirmations of the failover lanes, the sender's floors (nothing
 * below them will come again) and its clock. Then, by kind: a hello (probe, handshake and clock exchange in one), frames
 * as records, a request to send again, or a piece of a long frame that was lost.
 */
import { dataView, getU64, setU64 } from '../base/bytes.ts';
import { defineFields } from '../base/fields.ts';

export const KIND = { hello: 1, frames: 2, again: 3, piece: 4 } as const;

export const PREFIX = defineFields({
  kind: 1,
  reserved: 3,
  nextData: 4,
  nextBulk: 4,
  floorData: 4,
  floorBulk: 4,
  padding: 4,
  monotonicUs: 8,
} as const);
export const PREFIX_BYTES: number = PREFIX.bytes;

export const HELLO = defineFields({
  flags: 1,
  path: 1,
  reserved: 2,
  /** The next heartbeat's sequence number: where a new acquaintance begins to listen. */
  floorHeartbeat: 4,
  echoIncarnation: 16,
  echoMonotonicUs: 8,
  echoDelayUs: 8,
} as const);
export const HELLO_BYTES: number = PREFIX.bytes + HELLO.bytes;

/** Bits of a hello's (and a head entry's) flags. */
export const HELLO_FLAG = {
  /** I hear you on the primary network. */
  hearsNetwork: 1,
  /** I see your beacon on storage. */
  hearsStorage: 2,
  /** My own writes to storage succeed. */
  storageAvailable: 4,
  /** I have seen a word of yours: the echo fields mean something. */
  echoes: 8,
  /** I accept your present incarnation: what you send now will be taken. */
  accepts: 16,
  /** I am willing to take the bypassed packets past the agents (`mode: route`). */
  bypass: 32,
} as const;

export interface Prefix {
  kind: number;
  nextData: number;
  nextBulk: number;
  floorData: number;
  floorBulk: number;
  monotonicUs: number;
}

export interface Hello extends Prefix {
  flags: number;
  path: number;
  floorHeartbeat: number;
  echoIncarnation: Uint8Array;
  echoMonotonicUs: number;
  echoDelayUs: number;
}

export function writePrefix(view: DataView, prefix: Prefix): void {
  const { at } = PREFIX;
  view.setUint32(at.kind, prefix.kind, true);
  view.setUint32(at.nextData, prefix.nextData, true);
  view.setUint32(at.nextBulk, prefix.nextBulk, true);
  view.setUint32(at.floorData, prefix.floorData, true);
  view.setUint32(at.floorBulk, prefix.floorBulk, true);
  view.setUint32(at.padding, 0, true);
  setU64(view, at.monotonicUs, Math.round(prefix.monotonicUs));
}

/** The common beginning, or null when the message is too short to be one or its clock is beyond the safe integers. */
export function readPrefix(bytes: Uint8Array): Prefix | null {
  if (bytes.length < PREFIX_BYTES) return null;
  const view = dataView(bytes);
  const { at } = PREFIX;
  if (getU64(view, at.monotonicUs) === Infinity) return null;
  return {
    kind: view.getUint8(at.kind),
    nextData: view.getUint32(at.nextData, true),
    nextBulk: view.getUint32(at.nextBulk, true),
    floorData: view.getUint32(at.floorData, true),
    floorBulk: view.getUint32(at.floorBulk, true),
    monotonicUs: getU64(view, at.monotonicUs),
  };
}

/** Writes a hello into `bytes`; answers its length. */
export function writeHello(bytes: Uint8Array, hello: Hello): number {
  const view = dataView(bytes);
  writePrefix(view, hello);
  const base = PREFIX_BYTES;
  const { at } = HELLO;
  view.setUint8(base + at.flags, hello.flags);
  view.setUint8(base + at.path, hello.path);
  view.setUint16(base + at.reserved, 0, true);
  view.setUint32(base + at.floorHeartbeat, hello.floorHeartbeat, true);
  bytes.set(hello.echoIncarnation, base + at.echoIncarnation);
  setU64(view, base + at.echoMonotonicUs, Math.round(hello.echoMonotonicUs));
  setU64(view, base + at.echoDelayUs, Math.round(hello.echoDelayUs));
  return HELLO_BYTES;
}

/** The rest of a hello; null when it is not exactly as long as one, or its times are beyond the safe integers. */
export function readHello(bytes: Uint8Array, prefix: Prefix): Hello | null {
  if (bytes.length !== HELLO_BYTES) return null;
  const view = dataView(bytes);
  const base = PREFIX_BYTES;
  const { at } = HELLO;
  const echoMonotonicUs = getU64(view, base + at.echoMonotonicUs);
  const echoDelayUs = getU64(view, base + at.echoDelayUs);
  if (echoMonotonicUs === Infinity || echoDelayUs === Infinity) return null;
  // Each field by name, here and where hellos are made: a spread costs more than all else of a probe.
  return {
    kind: prefix.kind,
    nextData: prefix.nextData,
    nextBulk: prefix.nextBulk,
    floorData: prefix.floorData,
    floorBulk: prefix.floorBulk,
    monotonicUs: prefix.monotonicUs,
    flags: view.getUint8(base + at.flags),
    path: view.getUint8(base + at.path),
    floorHeartbeat: view.getUint32(base + at.floorHeartbeat, true),
    echoIncarnation: bytes.slice(base + at.echoIncarnation, base + at.echoIncarnation + 16),
    echoMonotonicUs,
    echoDelayUs,
  };
}

/** A request to send again; behind it up to {@link AGAIN_MAX} missing sequence numbers of four bytes. */
export const AGAIN = defineFields({
  /** The packet type. */
  lane: 4,
} as const);
export const AGAIN_MAX = 64;
const AGAIN_BYTES = PREFIX.bytes + AGAIN.bytes;

export function writeAgain(bytes: Uint8Array, prefix: Prefix, lane: number, missing: readonly number[]): number {
  const view = dataView(bytes);
  writePrefix(view, { ...prefix, kind: KIND.again });
  view.setUint32(PREFIX_BYTES + AGAIN.at.lane, lane, true);
  missing.forEach((sequence, i) => view.setUint32(AGAIN_BYTES + i * 4, sequence, true));
  return AGAIN_BYTES + missing.length * 4;
}

export function readAgain(bytes: Uint8Array): { lane: number; missing: number[] } | null {
  const rest = bytes.length - AGAIN_BYTES;
  if (rest < 0 || rest % 4 !== 0 || rest / 4 > AGAIN_MAX) return null;
  const view = dataView(bytes);
  const missing = Array.from({ length: rest / 4 }, (_, i) => view.getUint32(AGAIN_BYTES + i * 4, true));
  return { lane: view.getUint32(PREFIX_BYTES + AGAIN.at.lane, true), missing };
}

/** A piece of a frame that is sent again: so many bytes, that many datagrams are not lost with any one of them. */
export const PIECE = defineFields({
  /** The packet type. */
  lane: 4,
  sequence: 4,
  /** Of the whole frame. */
  frameBytes: 4,
  /** Where in the frame the bytes of this piece belong: a multiple of {@link PIECE_BYTES_MAX}. */
  offset: 4,
  ageMs: 4,
  padding: 4,
} as const);
export const PIECE_BYTES_MAX = 1024;
export const PIECE_HEADER_BYTES: number = PREFIX.bytes + PIECE.bytes;

export interface Piece {
  lane: number;
  sequence: number;
  frameBytes: number;
  offset: number;
  ageMs: number;
}

/** Writes what stands before the bytes of a piece. */
export function writePiece(view: DataView, prefix: Prefix, piece: Piece): void {
  writePrefix(view, prefix);
  const { at } = PIECE;
  view.setUint32(PREFIX_BYTES + at.lane, piece.lane, true);
  view.setUint32(PREFIX_BYTES + at.sequence, piece.sequence, true);
  view.setUint32(PREFIX_BYTES + at.frameBytes, piece.frameBytes, true);
  view.setUint32(PREFIX_BYTES + at.offset, piece.offset, true);
  view.setUint32(PREFIX_BYTES + at.ageMs, Math.min(0xffff_ffff, Math.max(0, Math.round(piece.ageMs))), true);
  view.setUint32(PREFIX_BYTES + at.padding, 0, true);
}

/** What a piece says of itself; null when its bytes do not fit into the frame that it names. */
export function readPiece(bytes: Uint8Array): Piece | null {
  const length = bytes.length - PIECE_HEADER_BYTES;
  if (length <= 0) return null;
  const view = dataView(bytes);
  const { at } = PIECE;
  const frameBytes = view.getUint32(PREFIX_BYTES + at.frameBytes, true);
  const offset = view.getUint32(PREFIX_BYTES + at.offset, true);
  const isWhole = length === Math.min(PIECE_BYTES_MAX, frameBytes - offset);
  if (offset % PIECE_BYTES_MAX !== 0 || offset >= frameBytes || !isWhole) return null;
  return {
    lane: view.getUint32(PREFIX_BYTES + at.lane, true),
    sequence: view.getUint32(PREFIX_BYTES + at.sequence, true),
    frameBytes,
    offset,
    ageMs: view.getUint32(PREFIX_BYTES + at.ageMs, true),
  };
}
