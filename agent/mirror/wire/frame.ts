/** The header of a frame on a link. What the body holds is told by `kind`, `count` and `id`. */
import { dataView, getU64, setU64 } from '../../base/bytes.ts';
import { crc32 } from '../../base/crc32.ts';
import { defineFields } from '../../base/fields.ts';
import { FRAME_BYTES_MAX, FRAME_MAGIC } from './layout.ts';

export const FRAME = defineFields({
  magic: 1,
  kind: 1,
  count: 2,
  bodyBytes: 4,
  session: 8,
  id: 8,
  bodyCrc: 4,
  headerCrc: 4,
} as const);

export const FRAME_KIND = {
  hello: 1,
  welcome: 2,
  begin: 3,
  entries: 4,
  stored: 5,
  sealed: 6,
  commit: 7,
  checkpoint: 8,
  want: 9,
  applied: 10,
  roll: 11,
  inquiry: 12,
  answer: 13,
  regions: 14,
  ask: 15,
  resynced: 16,
  stop: 17,
  rebase: 18,
  verify: 19,
  record: 32,
  recording: 33,
  take: 34,
  control: 35,
  data: 36,
  whole: 37,
  kept: 38,
  known: 39,
} as const;
export type FrameKind = (typeof FRAME_KIND)[keyof typeof FRAME_KIND];

const KINDS: ReadonlySet<number> = new Set(Object.values(FRAME_KIND));

/** Whether each part of the body bears a checksum of its own: then the frame has none. */
export const hasOwnSums = (kind: FrameKind): boolean => kind === FRAME_KIND.entries || kind === FRAME_KIND.data;

export interface Frame {
  readonly kind: FrameKind;
  /** Entries, blocks or regions in the body. */
  readonly count: number;
  readonly bodyBytes: number;
  readonly session: number;
  readonly id: number;
  /** CRC-32 of the body, 0 for a kind whose parts bear their own. */
  readonly bodyCrc: number;
}

export type FrameFault = 'magic' | 'checksum' | 'range';
export type FrameResult =
  { readonly ok: true; readonly frame: Frame } | { readonly ok: false; readonly fault: FrameFault };

const { at } = FRAME;
const header = new Uint8Array(FRAME.bytes);
const view = dataView(header);
const checked = header.subarray(0, at.headerCrc);

/** Writes the header into `into` at `offset`. */
export function encodeFrame(frame: Frame, into: Uint8Array, offset: number): void {
  header[at.magic] = FRAME_MAGIC;
  header[at.kind] = frame.kind;
  view.setUint16(at.count, frame.count, true);
  view.setUint32(at.bodyBytes, frame.bodyBytes, true);
  setU64(view, at.session, frame.session);
  setU64(view, at.id, frame.id);
  view.setUint32(at.bodyCrc, frame.bodyCrc, true);
  view.setUint32(at.headerCrc, crc32(checked), true);
  into.set(header, offset);
}

/**
 * Reads the header at `offset`; `bytes` hold all of it. Faults in the order they are told: no frame; damage; a kind that
 * is not known or a body that is too long, each of which ends the connection.
 */
export function decodeFrame(bytes: Uint8Array, offset: number): FrameResult {
  if (bytes[offset] !== FRAME_MAGIC || offset + FRAME.bytes > bytes.length) return { ok: false, fault: 'magic' };
  header.set(bytes.subarray(offset, offset + FRAME.bytes));
  if (view.getUint32(at.headerCrc, true) !== crc32(checked)) return { ok: false, fault: 'checksum' };
  const frame: Frame = {
    kind: header[at.kind] as FrameKind,
    count: view.getUint16(at.count, true),
    bodyBytes: view.getUint32(at.bodyBytes, true),
    session: getU64(view, at.session),
    id: getU64(view, at.id),
    bodyCrc: view.getUint32(at.bodyCrc, true),
  };
  const isSane =
    KINDS.has(frame.kind) &&
    FRAME.bytes + frame.bodyBytes <= FRAME_BYTES_MAX &&
    frame.session !== Infinity &&
    frame.id !== Infinity;
  return isSane ? { ok: true, frame } : { ok: false, fault: 'range' };
}
