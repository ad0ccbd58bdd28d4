/** What a target tells in few bytes and often: bodies of `stored` and `answer`. The frame's checksum covers them. */
import { dataView, getU64, setU64 } from '../../base/bytes.ts';
import { defineFields } from '../../base/fields.ts';

export const STORED = defineFields({ durable: 8, roomBytes: 8 } as const);
export const ANSWER = defineFields({ journalErrno: 4, volumesErrno: 4 } as const);

export interface Stored {
  /** Contiguous mark that is durable in the arrival journal. */
  readonly durable: number;
  /** Room in its ring. */
  readonly roomBytes: number;
}

export interface Answer {
  /** 0 is well, 110 (ETIMEDOUT) hangs. */
  readonly journalErrno: number;
  readonly volumesErrno: number;
}

export function encodeStored({ durable, roomBytes }: Stored): Uint8Array {
  const body = new Uint8Array(STORED.bytes);
  const view = dataView(body);
  setU64(view, STORED.at.durable, durable);
  setU64(view, STORED.at.roomBytes, roomBytes);
  return body;
}

/** Null for a body that no target writes. */
export function decodeStored(body: Uint8Array): Stored | null {
  if (body.length < STORED.bytes) return null;
  const view = dataView(body);
  const stored = { durable: getU64(view, STORED.at.durable), roomBytes: getU64(view, STORED.at.roomBytes) };
  return stored.durable === Infinity || stored.roomBytes === Infinity ? null : stored;
}

export function encodeAnswer({ journalErrno, volumesErrno }: Answer): Uint8Array {
  const body = new Uint8Array(ANSWER.bytes);
  const view = dataView(body);
  view.setUint32(ANSWER.at.journalErrno, journalErrno, true);
  view.setUint32(ANSWER.at.volumesErrno, volumesErrno, true);
  return body;
}

/** Null for a body that no target writes. */
export function decodeAnswer(body: Uint8Array): Answer | null {
  if (body.length < ANSWER.bytes) return null;
  const view = dataView(body);
  return {
    journalErrno: view.getUint32(ANSWER.at.journalErrno, true),
    volumesErrno: view.getUint32(ANSWER.at.volumesErrno, true),
  };
}
