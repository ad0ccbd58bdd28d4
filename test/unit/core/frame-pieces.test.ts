/** A long frame that is sent again through a network that loses every fifth datagram. */
import { expect, test } from 'vitest';
import { dataView } from '../../../agent/base/bytes.ts';
import { Prng } from '../../../agent/base/prng.ts';
import { DATA } from '../../../agent/base/packet-type.ts';
import { FrameMessages } from '../../../agent/core/frame-messages.ts';
import { FramePieces } from '../../../agent/core/frame-pieces.ts';
import {
  KIND,
  PIECE_BYTES_MAX,
  PIECE_HEADER_BYTES,
  readPrefix,
  writePiece,
  type Prefix,
} from '../../../agent/wire/message.ts';
import type { TunnelSender } from '../../../agent/wire/tunnel.ts';

const PREFIX: Prefix = { kind: KIND.frames, nextData: 1, nextBulk: 1, floorData: 1, floorBulk: 1, monotonicUs: 5000 };
const frame = Uint8Array.from({ length: 64_010 }, (_, i) => (i * 7) & 0xff);

function messagesTo(take: (message: Uint8Array) => boolean): FrameMessages {
  const sender = { send: (bytes: Uint8Array, length: number) => take(bytes.slice(0, length)) };
  return new FrameMessages(sender as unknown as TunnelSender, () => PREFIX);
}

test('what arrives of one repetition is kept for the next: few are enough', () => {
  const random = new Prng(7);
  const pieces = new FramePieces();
  const complete: Uint8Array[] = [];
  const messages = messagesTo((message) => {
    expect(readPrefix(message)?.kind).toBe(KIND.piece);
    if (random.chance(1, 5)) return true;
    pieces.take(message, (piece, whole) => {
      expect(piece).toMatchObject({ lane: DATA, sequence: 9, ageMs: 40 });
      complete.push(whole);
    });
    return true;
  });
  let repetitions = 0;
  while (complete.length === 0 && repetitions < 20) {
    messages.inSmallMessages(0, () => expect(messages.add(DATA, 9, frame, 40, 0)).toBe(true));
    repetitions++;
  }
  expect(complete).toEqual([frame]);
  expect(repetitions).toBeLessThanOrEqual(8);
});

test('the first time a long frame goes whole', () => {
  const kinds: unknown[] = [];
  const messages = messagesTo((message) => kinds.push(readPrefix(message)?.kind) > 0);
  messages.add(DATA, 9, frame, 0, 0);
  messages.flush(0);
  expect(kinds).toEqual([KIND.frames]);
});

test('a full socket ends a repetition, and holds the lane back', () => {
  let sent = 0;
  const messages = messagesTo(() => ++sent < 3);
  messages.inSmallMessages(0, () => messages.add(DATA, 9, frame, 0, 0));
  expect(sent).toBe(3);
  expect(messages.isBlocked).toBe(true);
});

test('pieces that contradict themselves are dropped, and memory is bounded', () => {
  const pieces = new FramePieces();
  const take = (fields: { frameBytes: number; offset: number; sequence?: number }, length: number) => {
    const bytes = new Uint8Array(PIECE_HEADER_BYTES + length);
    writePiece(dataView(bytes), PREFIX, { lane: DATA, sequence: 1, ageMs: 0, ...fields });
    let whole = 0;
    pieces.take(bytes, () => whole++);
    return whole;
  };
  expect(take({ frameBytes: 10, offset: 0 }, 10)).toBe(1);
  expect(take({ frameBytes: 10, offset: 0 }, 9)).toBe(0);
  expect(take({ frameBytes: 10, offset: 0 }, 0)).toBe(0);
  expect(take({ frameBytes: 10, offset: 1024 }, 10)).toBe(0);
  expect(take({ frameBytes: 2000, offset: 1000 }, 1000)).toBe(0);
  expect(take({ frameBytes: 0xffff_ffff, offset: 0 }, PIECE_BYTES_MAX)).toBe(0);
  // The frame that was touched longest ago makes room: its pieces count no more.
  for (let sequence = 1; sequence <= 65; sequence++) take({ frameBytes: 1500, offset: 0, sequence }, 1024);
  expect(take({ frameBytes: 1500, offset: 1024, sequence: 1 }, 476)).toBe(0);
  expect(take({ frameBytes: 1500, offset: 1024, sequence: 65 }, 476)).toBe(1);
});
