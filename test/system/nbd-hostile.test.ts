/** Clients that misbehave, die or dawdle, against the real server on real sockets; others must not notice. */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, expect, test } from 'vitest';
import { Prng } from '../../agent/base/prng.ts';
import { FileVolume } from '../../agent/nbd/file-volume.ts';
import { COMMAND, NBD_ERROR, OPTION } from '../../agent/nbd/protocol.ts';
import { until } from '../support/until.ts';
import { MemoryVolume } from '../unit/nbd/memory-volume.ts';
import { clientFlags, go, option, replies, request } from '../unit/nbd/session.ts';
import { client, emptyFile, NbdBed, type RawClient } from './nbd-bed.ts';

const KIB = 1024;
const MIB = 1024 * KIB;
const folder = mkdtempSync(join(tmpdir(), 'stillbeat-nbd-hostile-'));
let bed: NbdBed | null = null;
afterEach(async () => {
  await bed?.close();
  bed = null;
});
afterAll(() => rmSync(folder, { recursive: true }));

/** Through the handshake without structured replies; answers how many bytes came until then. */
async function entered(raw: RawClient): Promise<number> {
  raw.socket.write(Buffer.concat([clientFlags(), go('data')]));
  const end = Buffer.from('0003e889045565a9000000070000000100000000', 'hex');
  await until('the export is chosen', () => raw.received.subarray(-20).equals(end));
  return raw.received.length;
}

const answersOthers = async (open: NbdBed) =>
  expect(await client(['nbdinfo', '--size', open.uri()])).toMatch(/^\d+\n$/);

test.each([
  ['bad magic', Buffer.concat([clientFlags(), Buffer.alloc(64, 0x41)]), /magic/],
  ['another protocol', Buffer.from('GET / HTTP/1.1\r\nHost: here\r\n\r\n'), /client flags/],
  ['an option of 4 GiB', Buffer.concat([clientFlags(), option(OPTION.go, Buffer.alloc(0), 0xffffffff)]), /4294967295/],
])('%s: closed, with one line', async (_, words, why) => {
  bed = await NbdBed.open('tcp', [new MemoryVolume(MIB)]);
  const raw = await bed.rawSocket();
  raw.socket.write(words);
  await raw.untilClosed();
  expect(bed.lines).toHaveLength(1);
  expect(bed.lines[0]).toMatch(why);
  expect(bed.lines[0]).toMatch(/^NBD client 127\.0\.0\.1:\d+: /);
  await answersOthers(bed);
});

test.each([
  ['says nothing', Buffer.alloc(0)],
  ['stops in the middle of an option', Buffer.concat([clientFlags(), go('data').subarray(0, 20)])],
  ['stops before TLS', Buffer.concat([clientFlags(), option(OPTION.startTls)])],
])('a client that %s has a limited time', async (_, words) => {
  bed = await NbdBed.open('tls', [new MemoryVolume(MIB)], { handshakeMs: 700 });
  const raw = await bed.rawSocket();
  raw.socket.write(words);
  await raw.untilClosed();
  expect(bed.lines).toEqual([expect.stringContaining('no export chosen within 700 ms')]);
  expect(bed.server.connections).toBe(0);
});

test('one that has chosen its export may be silent for as long as it likes', async () => {
  bed = await NbdBed.open('tcp', [new MemoryVolume(MIB)], { handshakeMs: 300, stallMs: 300 });
  const raw = await bed.rawSocket();
  const from = await entered(raw);
  const since = performance.now();
  await until('several looks of the server', () => performance.now() - since > 1800);
  raw.socket.write(request({ type: COMMAND.flush }));
  await until('an answer', () => raw.received.length > from);
  expect(bed.lines).toEqual([]);
});

test('a write beyond the end is ENOSPC, a read EINVAL, and the last byte can be had', async () => {
  const volume = new MemoryVolume(MIB + 1);
  bed = await NbdBed.open('tcp', [volume]);
  const raw = await bed.rawSocket();
  const from = await entered(raw);
  raw.socket.write(request({ type: COMMAND.write, offset: MIB, data: Buffer.from('xy'), cookie: 1 }));
  raw.socket.write(request({ type: COMMAND.read, offset: MIB, length: 2, cookie: 2 }));
  raw.socket.write(request({ type: COMMAND.write, offset: MIB, data: Buffer.from('z'), cookie: 3 }));
  raw.socket.write(request({ type: COMMAND.read, offset: MIB, length: 1, cookie: 4 }));
  await until('four answers', () => raw.received.length === from + 4 * 16 + 1);
  const found = replies(raw.received, from, { '4': 1 });
  expect(found.map(({ error }) => error)).toEqual([NBD_ERROR.ENOSPC, NBD_ERROR.EINVAL, 0, 0]);
  expect(found[3]?.data.toString()).toBe('z');
});

test('[NBD1] a client that dies in the middle of a write has written nothing', async () => {
  const path = emptyFile(join(folder, 'halved'), 16 * MIB);
  bed = await NbdBed.open('tcp', [FileVolume.open({ name: 'data', path, readOnly: false })]);
  for (const missing of [1, 4 * MIB]) {
    const raw = await bed.rawSocket();
    const from = await entered(raw);
    const words = request({ type: COMMAND.write, offset: MIB, data: Buffer.alloc(8 * MIB, 0xee), cookie: 1 });
    raw.socket.write(request({ type: COMMAND.write, data: Buffer.from('whole') }));
    raw.socket.write(words.subarray(0, words.length - missing));
    await until('the first write is answered', () => raw.received.length > from);
    await until('the rest is in the server', () => raw.socket.writableLength === 0 && (bed?.server.usedBytes ?? 0) > 0);
    raw.socket.resetAndDestroy();
    await until('the server has noticed', () => bed?.server.connections === 0);
    expect(bed.server.usedBytes).toBe(0);
  }
  const file = readFileSync(path);
  expect(file.toString('latin1', 0, 5)).toBe('whole');
  expect(file.subarray(5).every((byte) => byte === 0)).toBe(true);
});

test('[NBD3] who takes the room of others and neither sends nor reads is sent away', async () => {
  bed = await NbdBed.open('tcp', [new MemoryVolume(32 * MIB)], { bytes: 1, stallMs: 1000 });
  const half = request({ type: COMMAND.write, data: Buffer.alloc(32 * MIB) }).subarray(0, 1000);
  const dawdlers = [await bed.rawSocket(), await bed.rawSocket()];
  for (const raw of dawdlers) {
    await entered(raw);
    raw.socket.write(half);
  }
  await until('all room is taken', () => (bed?.server.usedBytes ?? 0) > 64 * MIB);
  const raw = await bed.rawSocket();
  const from = await entered(raw);
  raw.socket.write(request({ type: COMMAND.flush }));
  await until('an answer', () => raw.received.length > from, 10_000);
  expect(bed.lines.length).toBeGreaterThan(0);
  expect(bed.lines[0]).toContain('while others waited');
});

test('[NBD3] a client that asks for 10 GiB and reads none of it costs no more than its share', async () => {
  bed = await NbdBed.open('tcp', [new MemoryVolume(32 * MIB)]);
  const raw = await bed.rawSocket();
  await entered(raw);
  raw.socket.pause();
  const before = process.memoryUsage().rss;
  for (let i = 0; i < 320; i++) raw.socket.write(request({ type: COMMAND.read, length: 32 * MIB, cookie: i }));
  await until('its share is taken', () => (bed?.server.usedBytes ?? 0) >= 32 * MIB);
  await answersOthers(bed);
  expect(bed.server.usedBytes).toBeLessThanOrEqual(64 * MIB);
  expect(process.memoryUsage().rss - before).toBeLessThan(200 * MIB);
  raw.socket.destroy();
});

test('more connections than allowed are sent away, and places come free again', async () => {
  bed = await NbdBed.open('tcp', [new MemoryVolume(MIB)], { connections: 2 });
  const first = await bed.rawSocket();
  const second = await bed.rawSocket();
  await expect(bed.rawSocket()).rejects.toThrow('closed without a greeting');
  expect(bed.lines).toEqual([expect.stringContaining('2 are connected')]);
  first.socket.destroy();
  second.socket.destroy();
  await until('both are gone', () => bed?.server.connections === 0);
  await answersOthers(bed);
});

test('noise on many connections at once: the server stays, and forgets them', async () => {
  bed = await NbdBed.open('tcp', [new MemoryVolume(MIB)]);
  const random = new Prng(5);
  const descriptors = () => readdirSync('/proc/self/fd').length;
  const before = descriptors();
  for (let round = 0; round < 5; round++) {
    const all = await Promise.all(Array.from({ length: 20 }, async () => bed?.rawSocket()));
    for (const raw of all) {
      const noise = Buffer.alloc(random.below(3000) + 100);
      random.fill(noise);
      if (random.below(2) === 0) raw?.socket.write(Buffer.concat([clientFlags(), go('data')]));
      raw?.socket.write(noise);
    }
    for (const raw of all) await raw?.untilClosed();
  }
  await until('all are gone', () => bed?.server.connections === 0);
  expect(bed.server.usedBytes).toBe(0);
  expect(bed.lines).toHaveLength(100);
  await until('their descriptors are closed', () => descriptors() <= before);
  await answersOthers(bed);
});

test('the stop of a server answers what is under way, tells the rest, and ends within its grace', async () => {
  const volume = new MemoryVolume(MIB, { isSlow: true });
  bed = await NbdBed.open('tcp', [volume]);
  const [busy, idle] = [await bed.rawSocket(), await bed.rawSocket()];
  const from = await entered(busy);
  await entered(idle);
  busy.socket.write(request({ type: COMMAND.flush, cookie: 1 }));
  await until('the volume has it', () => volume.waiting.length === 1);
  const closed = bed.server.close(5000);
  await idle.untilClosed();
  busy.socket.write(request({ type: COMMAND.flush, cookie: 2 }));
  await until('the second is refused', () => busy.received.length === from + 16);
  volume.waiting[0]?.();
  await closed;
  await busy.untilClosed();
  const found = replies(busy.received, from).map(({ cookie, error }) => [Number(cookie), error]);
  expect(found).toEqual([
    [2, NBD_ERROR.ESHUTDOWN],
    [1, 0],
  ]);
  expect(bed.lines).toEqual([]);
});
