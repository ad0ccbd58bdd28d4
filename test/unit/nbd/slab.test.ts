/** Payload in slabs that are used again: nothing in them is overwritten while somebody needs it, and all come back. */
import { describe, expect, test } from 'vitest';
import { Prng } from '../../../agent/base/prng.ts';
import { ByteStream } from '../../../agent/nbd/byte-stream.ts';
import { Intake } from '../../../agent/nbd/intake.ts';
import { COMMAND } from '../../../agent/nbd/protocol.ts';
import { SlabPool } from '../../../agent/nbd/slab.ts';
import { MemoryVolume } from './memory-volume.ts';
import { pick, request, transmitting } from './session.ts';

const MIB = 1024 * 1024;

function randomBytes(random: Prng, length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  random.fill(bytes);
  return bytes;
}

/** Writes side by side that fill the volume, some small and some large. */
function writesOver(random: Prng, content: Uint8Array): Buffer[] {
  const words: Buffer[] = [];
  for (let offset = 0; offset < content.length;) {
    const length = 1 + random.below(random.below(3) === 0 ? 300_000 : 5000);
    const data = content.subarray(offset, offset + length);
    words.push(request({ type: COMMAND.write, cookie: words.length, offset, data }));
    offset += data.length;
  }
  return words;
}

describe('writes that are answered late and in any order', () => {
  test(
    'write what was sent, on connections that share the memory, and give all of it back',
    { timeout: 60_000 },
    () => {
      for (let seed = 1; seed <= 20; seed++) {
        const random = new Prng(seed);
        const pool = new SlabPool(256 * MIB);
        const ends = [1, 2].map(() => {
          const content = randomBytes(random, 6 * MIB);
          const volume = new MemoryVolume(content.length, { isSlow: true });
          const { session } = transmitting(volume, [], { pool });
          return { content, volume, session, intake: new Intake(pool), words: writesOver(random, content) };
        });
        const answerSome = (count: number) => {
          for (const { volume, session } of ends) {
            for (let left = Math.min(count, volume.waiting.length); left > 0; left--) {
              volume.waiting.splice(random.below(volume.waiting.length), 1)[0]?.();
            }
            session.turn();
          }
        };
        while (ends.some(({ words }) => words.length > 0)) {
          const { session, intake, words } = pick(random, ends);
          const some = Buffer.concat(words.splice(0, 1 + random.below(20)));
          session.receive(some, intake, pick(random, [MIB, 65_536, 1000 + random.below(100_000)]));
          answerSome(random.below(20));
        }
        answerSome(Infinity);
        for (const { content, volume, session, intake } of ends) {
          expect(Buffer.from(volume.bytes).equals(content), `seed ${seed}`).toBe(true);
          session.connection.close();
          session.turn();
          intake.close();
        }
        expect(pool.heldBytes).toBe(0);
      }
    },
  );
});

test('what was found in a slab stays there until the next look, or its answer would be written over it', () => {
  const pool = new SlabPool(256 * MIB);
  const stream = new ByteStream();
  const slab = pool.take(1);
  stream.push(slab.bytes.subarray(0, 20), slab);
  slab.release();
  expect(stream.take(20)).toBe(true);
  expect(pool.take(1) === slab).toBe(false);
  expect(stream.take(1)).toBe(false);
  expect(pool.take(1) === slab).toBe(true);
});

test('[NBD3] small writes that stay under way do not hold a slab each for ever', () => {
  const limit = 8 * MIB;
  const pool = new SlabPool(limit);
  const content = randomBytes(new Prng(1), 64 * MIB);
  const volume = new MemoryVolume(content.length, { isSlow: true });
  const { session } = transmitting(volume, [], { pool });
  const intake = new Intake(pool);
  // One small write that is answered last for each large one that is answered at once: the small ones lie apart.
  const late: (() => void)[] = [];
  const part = MIB / 2;
  for (let offset = 0; offset < content.length; offset += part) {
    for (const [from, to] of [
      [offset, offset + 512],
      [offset + 512, offset + part],
    ] as const) {
      session.receive(
        request({ type: COMMAND.write, cookie: from, offset: from, data: content.subarray(from, to) }),
        intake,
        MIB,
      );
    }
    const small = volume.waiting.shift();
    if (small) late.push(small);
    for (const answer of volume.waiting.splice(0)) answer();
    session.turn();
  }
  expect(late).toHaveLength(128);
  expect(pool.heldBytes).toBeLessThanOrEqual(limit + 2 * MIB);
  for (const answer of late) answer();
  expect(Buffer.from(volume.bytes).equals(content)).toBe(true);
});
