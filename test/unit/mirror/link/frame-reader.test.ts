import { expect, test } from 'vitest';
import { crc32 } from '../../../../agent/base/crc32.ts';
import { Prng } from '../../../../agent/base/prng.ts';
import { FrameReader } from '../../../../agent/mirror/link/frame-reader.ts';
import { encodeFrame, FRAME, FRAME_KIND, type Frame } from '../../../../agent/mirror/wire/frame.ts';
import { FRAME_BYTES_MAX } from '../../../../agent/mirror/wire/layout.ts';

function bytesOf(kind: number, id: number, body: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(FRAME.bytes + body.length);
  const bodyCrc = kind === FRAME_KIND.entries ? 0 : crc32(body);
  encodeFrame({ kind: kind as Frame['kind'], count: 1, bodyBytes: body.length, session: 3, id, bodyCrc }, bytes, 0);
  bytes.set(body, FRAME.bytes);
  return bytes;
}

function read(pieces: readonly Uint8Array[]): { frames: [number, number, string][]; fault: string | null } {
  const frames: [number, number, string][] = [];
  const reader = new FrameReader(({ kind, id }, body) => frames.push([kind, id, Buffer.from(body).toString('hex')]));
  let fault: string | null = null;
  for (const piece of pieces) fault = reader.feed(piece);
  return { frames, fault };
}

test('however the stream is cut, the same frames come out', () => {
  const prng = new Prng(7);
  const kinds = Object.values(FRAME_KIND);
  const frames = Array.from({ length: 60 }, (_, id) => {
    const body = Uint8Array.from({ length: prng.below(200) }, () => prng.below(256));
    return { kind: kinds[id % kinds.length] ?? 1, id, body };
  });
  const stream = Buffer.concat(frames.map(({ kind, id, body }) => bytesOf(kind, id, body)));
  const expected = frames.map(({ kind, id, body }) => [kind, id, Buffer.from(body).toString('hex')]);
  for (let round = 0; round < 200; round++) {
    const pieces: Uint8Array[] = [];
    for (let at = 0; at < stream.length;) {
      const length = 1 + prng.below(round % 2 === 0 ? 40 : 2000);
      pieces.push(stream.subarray(at, at + length));
      at += length;
    }
    expect(read(pieces)).toEqual({ frames: expected, fault: null });
  }
});

test('each flipped bit of a frame ends the link, and nothing of the frame is believed', () => {
  const good = bytesOf(FRAME_KIND.hello, 1, new TextEncoder().encode('{"a":1}'));
  for (let bit = 0; bit < good.length * 8; bit++) {
    const bytes = good.slice();
    bytes[bit >> 3] = (bytes[bit >> 3] ?? 0) ^ (1 << (bit & 7));
    const { frames, fault } = read([bytes, good]);
    expect([bit, frames.length, fault !== null]).toEqual([bit, 0, true]);
  }
});

test('a body that is too long is refused before anything is kept for it', () => {
  const bytes = new Uint8Array(FRAME.bytes);
  const bodyBytes = FRAME_BYTES_MAX - FRAME.bytes + 1;
  encodeFrame({ kind: FRAME_KIND.entries, count: 1, bodyBytes, session: 1, id: 1, bodyCrc: 0 }, bytes, 0);
  expect(read([bytes]).fault).toBe('a frame of a kind or a length that there is not');
});
