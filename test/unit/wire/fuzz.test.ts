/**
 * What reads the network, given anything: it never throws, never reads outside, never delivers what was not sealed, and
 * nothing twice. One seed, the same inputs each time.
 */
import { describe, expect, test } from 'vitest';
import { createAead } from '../../../agent/platform/aead.ts';
import {
  HELLO_BYTES,
  KIND,
  PREFIX_BYTES,
  readAgain,
  readHello,
  readPrefix,
  writeAgain,
  writeHello,
} from '../../../agent/wire/message.ts';
import { walkRecords } from '../../../agent/wire/record.ts';
import { AeadSeal, CrcSeal, type Seal } from '../../../agent/wire/seal.ts';
import { datagramSender, TunnelReceiver, TunnelSender } from '../../../agent/wire/tunnel.ts';
import { Mutator } from '../../support/mutator.ts';
import { incarnationOf } from '../../support/volume.ts';

const TIMEOUT = { timeout: 60_000 };
const aead = new AeadSeal(createAead(new Uint8Array(32).fill(1)));

/** Datagrams of many messages; each message is filled with its own number. */
function recorded(seal: Seal, messages: number): Uint8Array[] {
  const wire: Uint8Array[] = [];
  const { prng } = new Mutator(10);
  const sender = new TunnelSender(seal, 1, incarnationOf(1), 600, new Uint8Array(65_536), (bytes, length, segment) => {
    for (let start = 0; start < length; start += segment)
      wire.push(bytes.slice(start, Math.min(length, start + segment)));
    return true;
  });
  for (let number = 1; number <= messages; number++) {
    const message = new Uint8Array(4 * prng.between(1, 500));
    new Uint32Array(message.buffer).fill(number);
    sender.send(message, message.length);
  }
  return wire;
}

describe('anything given to the tunnel', () => {
  test('[AUTH1] 300,000 datagrams, damaged, repeated, mixed, random: only what was sealed, and once', TIMEOUT, () => {
    const mutator = new Mutator(11);
    const { prng } = mutator;
    const wire = recorded(aead, 4000);
    const heard = new Set<number>();
    const receiver = new TunnelReceiver(
      () => aead,
      (_, message) => {
        const words = new Uint32Array(message.slice().buffer);
        const number = words[0] ?? 0;
        if (words.some((word) => word !== number)) throw new Error(`message ${number} was altered`);
        if (heard.has(number)) throw new Error(`message ${number} came twice`);
        heard.add(number);
      },
    );
    receiver.accept(incarnationOf(1));
    const buffer = new Uint8Array(2048);
    for (let i = 0; i < 300_000; i++) {
      // Slowly forward through the recording, and back and forth around that place.
      const near = Math.floor((i / 300_000) * wire.length) + prng.between(-20, 20);
      const datagram = wire[Math.min(Math.max(0, near), wire.length - 1)] ?? buffer;
      const start = prng.below(64);
      buffer.set(datagram, start);
      let end = start + datagram.length;
      if (i % 100 === 0) mutator.random(buffer.subarray(start + 1, end));
      else if (i % 4 !== 0) mutator.damage(buffer.subarray(start, end), 44);
      if (i % 7 === 0) end = start + prng.below(datagram.length + 1);
      receiver.receive(buffer.subarray(0, end), start, end, i);
      datagramSender(buffer.subarray(0, end), start, end);
    }
    expect(heard.size).toBeGreaterThan(500);
    expect(Math.min(...Object.values(receiver.counters))).toBeGreaterThan(100);
  });

  test('100,000 more without a key: a checksum is no secret, but nothing falls over', TIMEOUT, () => {
    const mutator = new Mutator(12);
    const wire = recorded(new CrcSeal(), 1000);
    const receiver = new TunnelReceiver(
      () => new CrcSeal(),
      (_, message) => readAll(message),
    );
    receiver.accept(incarnationOf(1));
    for (let i = 0; i < 100_000; i++) {
      const bytes = (wire[mutator.prng.below(wire.length)] ?? new Uint8Array(0)).slice();
      if (i % 3 > 0) mutator.damage(bytes, 44);
      receiver.receive(bytes, 0, bytes.length, i);
    }
    expect(receiver.counters.messages).toBeGreaterThan(100);
  });
});

/** Every reader of messages over the same bytes. */
function readAll(bytes: Uint8Array): void {
  const prefix = readPrefix(bytes);
  if (!prefix) return;
  const hello = readHello(bytes, prefix);
  const times = hello ? [hello.monotonicUs, hello.echoMonotonicUs, hello.echoDelayUs] : [prefix.monotonicUs];
  if (!times.every(Number.isSafeInteger)) throw new Error('an impossible time');
  const again = readAgain(bytes);
  if (again && again.missing.length > 64) throw new Error('too many numbers');
  walkRecords(bytes, PREFIX_BYTES, bytes.length, (record, offset) => {
    if (offset + record.frameBytes > bytes.length) throw new Error('a frame outside its message');
  });
}

test('200,000 messages: hellos, requests, frames, noise, of any length', TIMEOUT, () => {
  const mutator = new Mutator(13);
  const { prng } = mutator;
  const prefix = { kind: KIND.hello, nextData: 1, nextBulk: 2, floorData: 3, floorBulk: 4, monotonicUs: 5 };
  const hello = new Uint8Array(HELLO_BYTES);
  const echo = { echoIncarnation: incarnationOf(1), echoMonotonicUs: 6, echoDelayUs: 7 };
  writeHello(hello, { ...prefix, flags: 31, path: 1, floorHeartbeat: 8, ...echo });
  const request = new Uint8Array(400);
  writeAgain(request, prefix, 2, [1, 2, 3]);
  const bytes = new Uint8Array(400);
  for (let i = 0; i < 200_000; i++) {
    bytes.set(i % 2 === 0 ? hello : request);
    if (i % 50 === 0) mutator.random(bytes);
    else mutator.damage(bytes, 80);
    readAll(bytes.subarray(0, i % 2 === 0 && i % 3 > 0 ? HELLO_BYTES : prng.below(bytes.length + 1)));
  }
});
