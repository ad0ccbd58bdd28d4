/** Our client of an export: against the real server, against nbdkit, and against servers that are not to be trusted. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { Prng } from '../../agent/base/prng.ts';
import { TOOL_PATH } from '../../agent/demo/shell.ts';
import { NbdClient } from '../../agent/nbd/client.ts';
import { parseNbdUri } from '../../agent/nbd/uri.ts';
import { readExportKeys } from '../../agent/settings/export-keys.ts';
import { until } from '../support/until.ts';
import { MemoryVolume } from '../unit/nbd/memory-volume.ts';
import { emptyFile, NbdBed, PskFile, WAYS } from './nbd-bed.ts';

const MIB = 1 << 20;
const ends: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).toReversed()) await end();
});

async function opened(uri: string): Promise<NbdClient> {
  const { endpoint, name, tls } = parseNbdUri(uri);
  const key = tls && {
    identity: tls.identity,
    key: readExportKeys(tls.keyFile).get(tls.identity) ?? new Uint8Array(32),
  };
  const client = await NbdClient.open({ endpoint, name, key });
  ends.push(() => client.close());
  return client;
}

function folder(): string {
  const made = mkdtempSync(join(tmpdir(), 'stillbeat-nbd-'));
  ends.push(() => rmSync(made, { recursive: true }));
  return made;
}

/** Ranges that do not overlap are under way together; in the end all is as a model has it. */
async function exercised(client: NbdClient): Promise<Buffer> {
  const random = new Prng(7);
  const model = Buffer.alloc(client.size);
  const part = client.size / 32;
  for (let round = 0; round < 8; round++) {
    const all = Array.from({ length: 32 }, async (_, i) => {
      const from = i * part + random.below(part / 2);
      const content = Buffer.alloc(1 + random.below(part / 2));
      const kind = random.below(3);
      if (kind > 0) random.fill(content);
      await (kind === 0 ? client.zero(from, content.length) : client.write(from, content));
      content.copy(model, from);
      const there = new Uint8Array(content.length);
      await client.read(from, there);
      expect(Buffer.compare(there, content)).toBe(0);
    });
    await Promise.all(all);
  }
  await client.flush();
  const there = Buffer.alloc(client.size);
  await client.read(0, there);
  expect(there.equals(model)).toBe(true);
  return model;
}

test.each(WAYS)('many requests under way, by %s', async (way) => {
  const volume = new MemoryVolume(4 * MIB);
  const bed = await NbdBed.open(way, [volume]);
  ends.push(async () => bed.close());
  const client = await opened(bed.uri());
  expect([client.size, client.isReadOnly, client.canZero]).toEqual([4 * MIB, false, true]);
  expect(Buffer.compare(volume.bytes, await exercised(client))).toBe(0);
  expect(Buffer.compare(volume.stable, volume.bytes)).toBe(0);
  client.close();
  await until('the server sees it go', () => bed.server.connections === 0);
});

test('another server: nbdkit', async () => {
  const [image, socket] = [join(folder(), 'image'), join(folder(), 'socket')];
  emptyFile(image, 4 * MIB);
  const child = spawn('nbdkit', ['-f', '-U', socket, 'file', image], { env: { ...process.env, PATH: TOOL_PATH } });
  const exit = once(child, 'exit');
  ends.push(async () => {
    child.kill('SIGKILL');
    await exit;
  });
  await until('nbdkit listens', () => existsSync(socket));
  const model = await exercised(await opened(`nbd+unix:///?socket=${socket}`));
  expect(readFileSync(image).equals(model)).toBe(true);
});

test('what a server refuses is told, and the connection goes on; what cannot be had is one line', async () => {
  const volume = new MemoryVolume(MIB);
  const bed = await NbdBed.open('tls', [volume]);
  ends.push(async () => bed.close());
  const client = await opened(bed.uri());
  volume.errno = 28;
  await expect(client.write(4096, new Uint8Array(512))).rejects.toThrow(/refuses 512 bytes from 4096 on \(ENOSPC\)/);
  volume.errno = 0;
  await client.write(4096, new Uint8Array(512));
  await expect(opened(bed.uri('other'))).rejects.toThrow('it has no export "other"');
  const clear = bed.uri().replace(/^nbds:\/\/alice@/, 'nbd://');
  await expect(opened(clear)).rejects.toThrow(/it wants TLS: write nbds:/);
  const wrong = join(folder(), 'keys');
  new PskFile('alice').write(wrong);
  await expect(opened(bed.uri('data', 'alice', wrong))).rejects.toThrow(/does not take the key of alice/);
  const plain = await NbdBed.open('tcp', [volume]);
  ends.push(async () => plain.close());
  const { port } = plain.server;
  const secured = `nbds://alice@127.0.0.1:${port}/data?tls-psk-file=${bed.keyFile}`;
  await expect(opened(secured)).rejects.toThrow(/it takes no TLS/);
  await plain.server.close(0);
  await expect(opened(`nbd://127.0.0.1:${port}/data`)).rejects.toThrow(/cannot be reached \(ECONNREFUSED\)/);
});

test('a server that goes: all that was asked fails, and what is asked then', async () => {
  const volume = new MemoryVolume(MIB, { isSlow: true });
  const bed = await NbdBed.open('tcp', [volume]);
  ends.push(async () => bed.close());
  const client = await opened(bed.uri());
  // More than may be under way.
  const asked = Array.from({ length: 40 }, async (_, i) => client.write(i * 4096, new Uint8Array(4096)));
  const all = Promise.allSettled(asked);
  await until('they are under way', () => volume.waiting.length === 16);
  await bed.server.close(0);
  for (const outcome of await all) expect(outcome).toMatchObject({ status: 'rejected', reason: { reason: 'failed' } });
  await expect(client.flush()).rejects.toThrow('the server closed the connection');
});

const GREETING = '4e42444d4147494349484156454f50540003';
const ANSWER = '0003e889045565a9';
const GO = '00000007';
const info = (size: string): string => `${ANSWER}${GO}000000030000000c0000${size}006d`;
const INFO = info('0000000000100000');
const ACK = `${ANSWER}${GO}0000000100000000`;

/** A server that says this to whoever comes, and what to a first request. */
async function scripted(words: string, then: string | null = null): Promise<number> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
    socket.write(Buffer.from(words, 'hex'));
    let heard = 0;
    socket.on('data', (chunk: Buffer) => {
      const before = heard;
      heard += chunk.length;
      // Flags, the option GO with four letters, and behind them a request.
      const hello = 4 + 16 + 4 + 4 + 4;
      if (then !== null && before <= hello && heard > hello) socket.write(Buffer.from(then, 'hex'));
    });
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  ends.push(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  const address = server.address();
  return typeof address === 'object' && address ? address.port : 0;
}

const open = async (port: number): Promise<NbdClient> => {
  const endpoint = { host: '127.0.0.1', port };
  const client = await NbdClient.open({ endpoint, name: 'data', handshakeMs: 700, silenceMs: 700 });
  ends.push(() => client.close());
  return client;
};

test.each([
  ['says nothing', '', /said too little within 0.7 s/],
  ['stops in the middle', GREETING.slice(0, 20), /said too little/],
  ['is another kind', '48545450'.repeat(9), /greets as no NBD server/],
  ['has the old handshake', GREETING.replace(/3$/, '0'), /knows only the old handshake/],
  ['answers another option', `${GREETING}${ANSWER}000000060000000100000000`, /answers what was not asked/],
  ['answers without the magic', `${GREETING}${'00'.repeat(20)}`, /answers what was not asked/],
  ['announces 4 GiB', `${GREETING}${ANSWER}${GO}00000003ffffffff`, /announces an answer of 4294967295 bytes/],
  ['says no size', `${GREETING}${ACK}`, /says no size/],
  ['has 2^63 bytes', `${GREETING}${info('8000000000000000')}${ACK}`, /says no size/],
  ['says its size in too many words', `${GREETING}${ANSWER}${GO}000000030000000d${'00'.repeat(13)}`, /too many words/],
  ['goes on and on', `${GREETING}${INFO.repeat(80)}`, /answers without end/],
])('a server that %s', async (_, words, line) => {
  const port = await scripted(words);
  await expect(open(port)).rejects.toThrow(line);
});

const reply = (cookie: string, more = ''): string => `67446698${'00'.repeat(4)}${cookie}${more}`;
const FIRST = '0000000000000001';

test.each([
  ['answers what was not asked', reply('0000000000000002'), /answers what was not asked/],
  ['answers with a high half', reply('0000000100000001'), /answers what was not asked/],
  ['answers twice', reply(FIRST, 'aa'.repeat(512)) + reply(FIRST), /answers what was not asked/],
  ['says noise', 'ff'.repeat(4096), /answers what was not asked/],
  ['stops in the middle of the data', reply(FIRST, 'aa'.repeat(100)), /has not answered for 1 s/],
  ['says nothing', '', /has not answered for 1 s/],
])('a server that %s to a read', async (_, then, line) => {
  const client = await open(await scripted(`${GREETING}${INFO}${ACK}`, then));
  expect(client.size).toBe(MIB);
  const into = new Uint8Array(512);
  const read = client.read(0, into).then(async () => client.read(512, new Uint8Array(512)));
  await expect(read).rejects.toThrow(line);
});
