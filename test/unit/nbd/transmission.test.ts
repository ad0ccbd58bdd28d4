/** Requests and replies of the NBD transmission. */
import { describe, expect, test } from 'vitest';
import { CHUNK, COMMAND, COMMAND_FLAG, NBD_ERROR, OPTION, wireError } from '../../../agent/nbd/protocol.ts';
import { MemoryVolume } from './memory-volume.ts';
import { contexts, option, request, transmitting } from './session.ts';

const KIB = 1024;
const MIB = 1024 * KIB;
const SIZE = 64 * KIB + 1;
const pattern = (length: number, seed = 1) => Buffer.from(Array.from({ length }, (_, i) => (i * 7 + seed) & 0xff));
const plain = (volume: MemoryVolume) => transmitting(volume, []);

describe('reads and writes', () => {
  test('what was written is read, up to the last byte', () => {
    const volume = new MemoryVolume(SIZE);
    const { session, since } = transmitting(volume);
    const data = pattern(5000);
    session.feed(request({ type: COMMAND.write, offset: SIZE - 5000, data, cookie: 7 }));
    session.feed(request({ type: COMMAND.read, offset: SIZE - 5000, length: 5000, cookie: 8n << 40n }));
    const [written, read] = since();
    expect(written).toMatchObject({ cookie: 7n, error: 0, type: -1 });
    expect(read).toMatchObject({ cookie: 8n << 40n, type: CHUNK.offsetData, flags: 1 });
    expect(read?.data.readBigUInt64BE(0)).toBe(BigInt(SIZE - 5000));
    expect(read?.data.subarray(8).equals(data)).toBe(true);
  });

  test('a client without structured replies gets simple ones', () => {
    const volume = new MemoryVolume(SIZE);
    volume.bytes.set(pattern(SIZE));
    const { session, since } = plain(volume);
    session.feed(request({ type: COMMAND.read, offset: 3, length: 100, cookie: 5 }));
    const [read] = since({ '5': 100 });
    expect(read?.type).toBe(-1);
    expect(read?.data.equals(pattern(SIZE).subarray(3, 103))).toBe(true);
  });

  test('replies come in the order in which the volume is done, each with its own data', () => {
    const volume = new MemoryVolume(SIZE, { isSlow: true });
    volume.bytes.set(pattern(SIZE));
    const { session, since } = transmitting(volume);
    for (let i = 0; i < 8; i++) {
      session.feed(request({ type: COMMAND.read, offset: 1000 * i, length: 1000, cookie: i }));
    }
    for (const i of [3, 0, 7, 1, 2, 6, 5, 4]) {
      volume.waiting[i]?.();
      session.turn();
    }
    expect(since().map(({ cookie }) => Number(cookie))).toEqual([3, 0, 7, 1, 2, 6, 5, 4]);
    for (const { cookie, data } of since()) {
      const from = 1000 * Number(cookie);
      expect(data.subarray(8).equals(pattern(SIZE).subarray(from, from + 1000))).toBe(true);
    }
  });

  test('[NBD1] a write is nothing until its last byte is here', () => {
    const volume = new MemoryVolume(SIZE);
    const { session } = transmitting(volume);
    const words = request({ type: COMMAND.write, data: pattern(30_000) });
    session.feed(words.subarray(0, words.length - 1));
    session.connection.close();
    expect(volume.calls).toEqual([]);
    expect(volume.bytes.every((byte) => byte === 0)).toBe(true);
    expect(session.budget.used).toBe(0);
  });

  test('[NBD3] a payload in single bytes needs hardly more memory than in one piece', () => {
    const volume = new MemoryVolume(MIB);
    const { session, since } = transmitting(volume);
    const data = pattern(MIB);
    const words = request({ type: COMMAND.write, data });
    // Each byte a chunk of its own, as a client can make them; they must not all be kept as such.
    const before = process.memoryUsage().rss;
    for (let i = 0; i < words.length; i++) session.connection.feed(words.subarray(i, i + 1));
    session.turn();
    expect(since()).toMatchObject([{ error: 0 }]);
    expect(Buffer.from(volume.bytes).equals(data)).toBe(true);
    expect(process.memoryUsage().rss - before).toBeLessThan(64 * MIB);
  });
});

describe('[NBD2] durability', () => {
  const durable = (words: Buffer) => {
    const volume = new MemoryVolume(SIZE);
    volume.bytes.fill(1);
    volume.stable.fill(1);
    const { session, since } = transmitting(volume);
    session.feed(words);
    expect(since().every(({ error }) => error === 0)).toBe(true);
    volume.cutPower();
    return volume.bytes;
  };

  test('FUA reaches the volume with each command that writes', () => {
    const flags = COMMAND_FLAG.fua;
    expect(durable(request({ type: COMMAND.write, flags, data: pattern(10) })).subarray(0, 10)).toEqual(
      new Uint8Array(pattern(10)),
    );
    expect(durable(request({ type: COMMAND.writeZeroes, flags, length: 10 }))[5]).toBe(0);
    const volume = new MemoryVolume(SIZE);
    transmitting(volume).session.feed(request({ type: COMMAND.trim, flags, length: 10 }));
    expect(volume.calls).toEqual(['trim 0 10 fua']);
  });

  test('and only where it was asked for', () => {
    expect(durable(request({ type: COMMAND.write, data: pattern(10) }))[0]).toBe(1);
  });

  test('FLUSH covers what was answered before', () => {
    const write = request({ type: COMMAND.write, data: pattern(10) });
    expect(durable(Buffer.concat([write, request({ type: COMMAND.flush })]))[3]).toBe(pattern(10)[3]);
  });
});

describe('zeroes and trim', () => {
  test.each([
    [0, 'zero 5 10 punch'],
    [COMMAND_FLAG.noHole, 'zero 5 10'],
    [COMMAND_FLAG.fastZero, 'zero 5 10 punch fast'],
    [COMMAND_FLAG.fua | COMMAND_FLAG.noHole, 'zero 5 10 fua'],
  ])('flags %i of WRITE_ZEROES are the volume’s to follow', (flags, call) => {
    const volume = new MemoryVolume(SIZE);
    transmitting(volume).session.feed(request({ type: COMMAND.writeZeroes, flags, offset: 5, length: 10 }));
    expect(volume.calls).toEqual([call]);
  });

  test('ENOTSUP is told only to who asked for it fast', () => {
    const volume = new MemoryVolume(SIZE);
    volume.errno = NBD_ERROR.ENOTSUP;
    const { session, since } = transmitting(volume);
    session.feed(request({ type: COMMAND.writeZeroes, flags: COMMAND_FLAG.fastZero, length: 10 }));
    session.feed(request({ type: COMMAND.writeZeroes, length: 10 }));
    expect(since().map(({ error }) => error)).toEqual([NBD_ERROR.ENOTSUP, NBD_ERROR.EIO]);
  });
});

describe('refused requests', () => {
  const { read, write, flush, trim, cache, writeZeroes, blockStatus } = COMMAND;
  const { EINVAL, ENOSPC, EPERM, EOVERFLOW } = NBD_ERROR;
  const end = { offset: SIZE - 10, length: 11 };

  test.each([
    ['read beyond the end', { type: read, ...end }, EINVAL],
    ['write beyond the end', { type: write, offset: SIZE - 10, data: pattern(11) }, ENOSPC],
    ['zeroes beyond the end', { type: writeZeroes, ...end }, ENOSPC],
    ['trim beyond the end', { type: trim, ...end }, EINVAL],
    ['cache beyond the end', { type: cache, ...end }, EINVAL],
    ['status beyond the end', { type: blockStatus, ...end }, EINVAL],
    ['an offset of 2^64 - 1', { type: read, offset: 2n ** 64n - 1n, length: 1 }, EINVAL],
    ['a read of more than a payload', { type: read, length: 32 * MIB + 1 }, EINVAL],
    ['a command that there is not', { type: 99 }, EINVAL],
    ['a flag that there is not', { type: write, flags: 1 << 9, data: pattern(10) }, EINVAL],
    ['a flag of another command', { type: read, flags: COMMAND_FLAG.noHole, length: 1 }, EINVAL],
    ['a flush of a range', { type: flush, length: 1 }, EINVAL],
    ['a status of nothing', { type: blockStatus }, EINVAL],
  ])('%s', (_, words, error) => {
    const volume = new MemoryVolume(SIZE);
    const { session, since } = transmitting(volume);
    session.feed(request(words)).feed(request({ type: flush, cookie: 2 }));
    // The connection goes on, and the volume has heard of the second one alone.
    expect(since().map((reply) => reply.error)).toEqual([error, 0]);
    expect(volume.calls).toEqual(['flush']);
    expect(session.budget.used).toBe(0);
  });

  test('a read too large is an overflow when the volume could hold it', () => {
    const { session, since } = transmitting(new MemoryVolume(1, { claimedSize: 2 ** 40 }));
    session.feed(request({ type: read, length: 32 * MIB + 1 }));
    expect(since().map(({ error }) => error)).toEqual([EOVERFLOW]);
  });

  test.each([
    ['write', { type: write, data: pattern(10) }],
    ['zeroes', { type: writeZeroes, length: 10 }],
    ['trim', { type: trim, length: 10 }],
  ])('a read-only volume is not to be changed: %s', (_, words) => {
    const volume = new MemoryVolume(SIZE, { readOnly: true });
    const { session, since } = transmitting(volume);
    session.feed(request(words));
    expect(since().map(({ error }) => error)).toEqual([EPERM]);
    expect(volume.calls).toEqual([]);
  });

  test('without structured replies errors come without data, and DF is not known', () => {
    const { session, since } = plain(new MemoryVolume(SIZE));
    session.feed(request({ type: read, ...end }));
    session.feed(request({ type: read, flags: COMMAND_FLAG.dontFragment, length: 1 }));
    expect(since()).toMatchObject([
      { error: EINVAL, type: -1 },
      { error: EINVAL, type: -1 },
    ]);
  });

  test('errors of the volume arrive, in the protocol’s own numbers', () => {
    const volume = new MemoryVolume(SIZE);
    volume.errno = 5;
    const { session, since } = transmitting(volume);
    session.feed(request({ type: read, length: 10 })).feed(request({ type: write, data: pattern(5) }));
    expect(since().map(({ error, type }) => [error, type])).toEqual([
      [5, CHUNK.error],
      [5, -1],
    ]);
    expect([0, 13, 30, 27, 122, 110].map(wireError)).toEqual([0, EPERM, EPERM, ENOSPC, ENOSPC, NBD_ERROR.EIO]);
  });

  test('after the stop everything new is ESHUTDOWN, and what is under way is answered', () => {
    const volume = new MemoryVolume(SIZE, { isSlow: true });
    const { session, since } = transmitting(volume);
    session.feed(request({ type: read, length: 10, cookie: 1 }));
    session.connection.stop();
    session.feed(request({ type: read, length: 10, cookie: 2 }));
    session.feed(request({ type: write, data: pattern(10), cookie: 3 }));
    volume.waiting[0]?.();
    session.turn();
    const { ESHUTDOWN } = NBD_ERROR;
    expect(since().map(({ cookie, error }) => [cookie, error])).toEqual([
      [2n, ESHUTDOWN],
      [3n, ESHUTDOWN],
      [1n, 0],
    ]);
  });

  test.each([
    ['magic', Buffer.alloc(28, 0x55), 'magic'],
    ['a write of 4 GiB', request({ type: write, length: 0xffffffff }), '4294967295'],
  ])('hostile words end the connection: %s', (_, words, why) => {
    const volume = new MemoryVolume(SIZE);
    const { session, since } = transmitting(volume);
    session.feed(words).feed(request({ type: flush }));
    expect(session.refusal).toContain(why);
    expect(since()).toEqual([]);
    expect(volume.calls).toEqual([]);
  });
});

describe('DISC', () => {
  test('ends the connection when all has been answered, and nothing behind it counts', () => {
    const volume = new MemoryVolume(SIZE, { isSlow: true });
    const { session, since } = transmitting(volume);
    session.feed(request({ type: COMMAND.read, length: 10 }));
    session.feed(Buffer.concat([request({ type: COMMAND.disconnect }), request({ type: COMMAND.flush })]));
    session.feed(request({ type: COMMAND.flush }));
    expect(session.hasEnded).toBe(false);
    volume.waiting[0]?.();
    session.turn();
    expect(since()).toHaveLength(1);
    expect(session.hasEnded).toBe(true);
    expect(volume.calls).toHaveLength(1);
    expect(session.refusal).toBeNull();
  });
});

describe('BLOCK_STATUS', () => {
  const selected = (queries: readonly string[]) => {
    const volume = new MemoryVolume(SIZE, { contexts: ['x-test:dirty'] });
    const words = [option(OPTION.structuredReply), contexts(OPTION.setMetaContext, 'data', queries)];
    return { volume, ...transmitting(volume, words) };
  };
  const extents = (data: Buffer) => {
    const found: number[][] = [];
    for (let at = 4; at < data.length; at += 8) found.push([data.readUInt32BE(at), data.readUInt32BE(at + 4)]);
    return found;
  };

  test('one chunk for each context, the last of them is marked', () => {
    const { volume, session, since } = selected(['base:allocation', 'x-test:dirty']);
    volume.extents = {
      'base:allocation': [
        { length: 4096, flags: 3 },
        { length: 100, flags: 0 },
      ],
      'x-test:dirty': [{ length: 50_000, flags: 1 }],
    };
    session.feed(request({ type: COMMAND.blockStatus, offset: 100, length: 60_000 }));
    const [first, second, ...more] = since();
    expect(more).toEqual([]);
    expect(first).toMatchObject({ type: CHUNK.blockStatus, flags: 0 });
    expect(second).toMatchObject({ type: CHUNK.blockStatus, flags: 1 });
    expect([first?.data.readUInt32BE(0), second?.data.readUInt32BE(0)]).toEqual([1, 2]);
    expect(extents(first?.data ?? Buffer.alloc(0))).toEqual([
      [4096, 3],
      [100, 0],
    ]);
    expect(extents(second?.data ?? Buffer.alloc(0))).toEqual([[50_000, 1]]);
  });

  test('no extent is longer than what was asked, none empty, and one alone for who wants one', () => {
    const { volume, session, since } = selected(['base:allocation']);
    const long = [
      { length: 0, flags: 3 },
      { length: 500, flags: 0 },
      { length: 5000, flags: 3 },
    ];
    volume.extents = { 'base:allocation': long };
    session.feed(request({ type: COMMAND.blockStatus, length: 1000 }));
    session.feed(request({ type: COMMAND.blockStatus, length: 1000, flags: COMMAND_FLAG.requestOne }));
    const [all, one] = since();
    expect(extents(all?.data ?? Buffer.alloc(0))).toEqual([
      [500, 0],
      [500, 3],
    ]);
    expect(extents(one?.data ?? Buffer.alloc(0))).toEqual([[500, 0]]);
  });

  test('who selected no context is refused, as are the contexts of another export', () => {
    const { volume, session, since } = selected([]);
    session.feed(request({ type: COMMAND.blockStatus, length: 10 }));
    expect(since()).toMatchObject([{ type: CHUNK.error, error: NBD_ERROR.EINVAL }]);
    expect(volume.calls).toEqual([]);
  });

  test('a volume that has nothing to say is an error, not an empty answer', () => {
    const { session, since } = selected(['base:allocation', 'x-test:dirty']);
    session.feed(request({ type: COMMAND.blockStatus, length: 10 }));
    expect(since()).toMatchObject([{ type: CHUNK.error, error: NBD_ERROR.EIO }]);
  });
});
