/** The stream of a client is the same however it is cut, and anything at all is borne. */
import { describe, expect, test } from 'vitest';
import { Prng } from '../../../agent/base/prng.ts';
import { Budget } from '../../../agent/nbd/budget.ts';
import { SlabPool } from '../../../agent/nbd/slab.ts';
import { COMMAND, COMMAND_FLAG, INFO, OPTION } from '../../../agent/nbd/protocol.ts';
import { MemoryVolume } from './memory-volume.ts';
import { clientFlags, contexts, go, info, option, pick, request, Session } from './session.ts';

const SIZE = 300_000;
const TIMEOUT = { timeout: 60_000 };

/** All options, then many requests, some of them wrong. */
function conversation(random: Prng): Buffer {
  const words = [
    clientFlags(),
    option(OPTION.list),
    option(4711, Buffer.alloc(random.below(500))),
    info('data', [INFO.name, INFO.blockSize]),
  ];
  if (random.below(2) === 0) {
    words.push(option(OPTION.structuredReply));
    words.push(contexts(OPTION.listMetaContext, 'data', []));
    words.push(contexts(OPTION.setMetaContext, 'data', ['base:allocation']));
  }
  words.push(go('nothing'), random.below(2) === 0 ? go('data') : option(OPTION.exportName, Buffer.from('data')));
  for (let cookie = 0; cookie < 60; cookie++) words.push(anyRequest(random, cookie));
  words.push(request({ type: COMMAND.disconnect }));
  return Buffer.concat(words);
}

function anyRequest(random: Prng, cookie: number): Buffer {
  const type = random.below(9);
  const offset = random.below(SIZE + 1000);
  const length = random.below(random.below(10) === 0 ? 70_000 : 3000);
  const flags = random.below(4) === 0 ? pick(random, Object.values(COMMAND_FLAG)) : 0;
  if (type === COMMAND.disconnect) return request({ type: COMMAND.flush, cookie });
  if (type === COMMAND.flush) return request({ type, cookie });
  if (type !== COMMAND.write) return request({ type, flags, cookie, offset, length });
  const data = new Uint8Array(length);
  random.fill(data);
  return request({ type, flags, cookie, offset, data });
}

function run(words: Buffer, cuts: readonly number[]) {
  const volume = new MemoryVolume(SIZE);
  const session = new Session([volume]);
  let from = 0;
  for (const to of [...cuts, words.length]) {
    session.feed(words.subarray(from, to));
    from = to;
  }
  return { output: session.output, bytes: Buffer.from(volume.bytes), calls: volume.calls, session };
}

describe('however the stream is cut', () => {
  test('all replies and the volume are the same', TIMEOUT, () => {
    for (let seed = 1; seed <= 40; seed++) {
      const random = new Prng(seed);
      const words = conversation(random);
      const whole = run(words, []);
      expect(whole.session.hasEnded).toBe(true);
      expect(whole.session.refusal).toBeNull();
      const step = 1 + random.below(40);
      const even = Array.from({ length: Math.floor((words.length - 1) / step) }, (_, i) => (i + 1) * step);
      const wild = Array.from({ length: 1 + random.below(200) }, () => random.below(words.length)).sort(
        (a, b) => a - b,
      );
      for (const cuts of [even, wild]) {
        const cut = run(words, cuts);
        expect(cut.output.equals(whole.output), `replies, seed ${seed}`).toBe(true);
        expect(cut.bytes.equals(whole.bytes), `volume, seed ${seed}`).toBe(true);
        expect(cut.calls).toEqual(whole.calls);
        expect(cut.session.budget.used).toBe(0);
      }
    }
  });
});

describe('[NBD3] whatever comes', () => {
  /** One budget and one pool for all, as a server has: what a client leaves behind would show. */
  const budget = new Budget(70 * 1024 * 1024);
  const pool = new SlabPool(2 * budget.limit);
  const serve = (pieces: readonly Buffer[]) => {
    const session = new Session([new MemoryVolume(SIZE)], { budget, pool });
    for (const piece of pieces) session.feed(piece);
    session.connection.close();
    session.turn();
    expect(budget.used).toBe(0);
    return session;
  };

  test('damaged conversations never throw and leave nothing taken', TIMEOUT, () => {
    for (let seed = 1; seed <= 800; seed++) {
      const random = new Prng(seed);
      const words = conversation(random);
      // Damage mostly in the first part, where the options are; most requests follow unharmed or are read as garbage.
      const within = random.below(2) === 0 ? 600 : words.length;
      for (let i = random.below(6); i >= 0; i--)
        words[random.below(Math.min(within, words.length))] = random.below(256);
      const cut = random.below(words.length);
      serve([
        words.subarray(0, cut),
        words.subarray(cut, random.below(3) === 0 ? cut + random.below(2000) : undefined),
      ]);
    }
  });

  test('noise is refused soon', () => {
    for (let seed = 1; seed <= 500; seed++) {
      const random = new Prng(seed);
      const noise = Buffer.alloc(200);
      random.fill(noise);
      const begin = pick(random, [[], [clientFlags()], [clientFlags(), go('data')]]);
      expect(serve([...begin, noise]).refusal).not.toBeNull();
    }
  });
});
