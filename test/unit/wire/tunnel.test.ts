import { beforeEach, describe, expect, test } from 'vitest';
import { dataView } from '../../../agent/base/bytes.ts';
import { createAead } from '../../../agent/platform/aead.ts';
import { ReplayWindow } from '../../../agent/wire/replay-window.ts';
import { AeadSeal } from '../../../agent/wire/seal.ts';
import {
  DATAGRAM,
  DATAGRAM_HEADER_BYTES,
  datagramSender,
  MESSAGE_BYTES_MAX,
  TAG_BYTES,
  TunnelReceiver,
  TunnelSender,
} from '../../../agent/wire/tunnel.ts';
import { incarnationOf } from '../../support/volume.ts';

const SEGMENT = 1400;
const sealFor = (incarnation: Uint8Array) => new AeadSeal(createAead(new Uint8Array(32).fill(incarnation[0] ?? 0)));

let wire: Uint8Array[];
let canSend: boolean;
let receiver: TunnelReceiver;
let heard: { from: number; message: Uint8Array }[];

function newSender(incarnation = incarnationOf(1)): TunnelSender {
  return new TunnelSender(
    sealFor(incarnation),
    0x1234,
    incarnation,
    SEGMENT,
    new Uint8Array(65_536),
    (bytes, length, segment) => {
      if (!canSend) return false;
      for (let start = 0; start < length; start += segment)
        wire.push(bytes.slice(start, Math.min(length, start + segment)));
      return true;
    },
  );
}

beforeEach(() => {
  wire = [];
  canSend = true;
  heard = [];
  receiver = new TunnelReceiver(sealFor, (session, message) => {
    heard.push({ from: session.incarnation[0] ?? 0, message: message.slice() });
  });
  receiver.accept(incarnationOf(1));
});

const receive = (datagram: Uint8Array, nowMs = 0): void =>
  receiver.receive(datagram.slice(), 0, datagram.length, nowMs);
const message = (length: number): Uint8Array => Uint8Array.from({ length }, (_, i) => i & 0xff);

describe('tunnel', () => {
  test.each([1, SEGMENT - DATAGRAM_HEADER_BYTES - TAG_BYTES, SEGMENT, 60_000, MESSAGE_BYTES_MAX])(
    'a message of %i bytes arrives as it was, and no datagram is too long',
    (length) => {
      expect(newSender().send(message(length), length)).toBe(true);
      expect(Math.max(...wire.map((datagram) => datagram.length))).toBeLessThanOrEqual(SEGMENT);
      for (const datagram of wire) receive(datagram);
      expect(heard).toEqual([{ from: 1, message: message(length) }]);
    },
  );

  test('pieces in any order, each twice, make one message', () => {
    newSender().send(message(10_000), 10_000);
    for (const datagram of wire.toReversed()) {
      receive(datagram);
      receive(datagram);
    }
    expect(heard.length).toBe(1);
    expect(heard[0]?.message).toEqual(message(10_000));
  });

  test('pieces of several messages mixed, from the middle of a receive buffer', () => {
    const sender = newSender();
    for (let i = 0; i < 8; i++) sender.send(message(5000 + i), 5000 + i);
    const order = wire.map((datagram, i) => ({ datagram, key: (i * 7) % wire.length })).sort((a, b) => a.key - b.key);
    for (const { datagram } of order) {
      const buffer = new Uint8Array(datagram.length + 200).fill(0x5b);
      buffer.set(datagram, 100);
      receiver.receive(buffer, 100, 100 + datagram.length, 0);
    }
    expect(heard.map(({ message }) => message.length).sort((a, b) => a - b)).toEqual(
      [0, 1, 2, 3, 4, 5, 6, 7].map((i) => 5000 + i),
    );
  });

  test('a piece that is lost loses its message, and only that', () => {
    const sender = newSender();
    sender.send(message(5000), 5000);
    wire.splice(1, 1);
    for (let i = 0; i < 40; i++) sender.send(message(3000), 3000);
    for (const datagram of wire) receive(datagram);
    expect(heard.length).toBe(40);
    expect(receiver.counters.unauthentic).toBe(0);
  });

  test('a network without room is told to the caller', () => {
    canSend = false;
    expect(newSender().send(message(10), 10)).toBe(false);
  });

  test('a smaller path: later messages go in smaller datagrams', () => {
    const sender = newSender();
    sender.segmentBytes = 600;
    expect(sender.segmentBytes).toBe(600);
    sender.send(message(2000), 2000);
    expect(Math.max(...wire.map((datagram) => datagram.length))).toBe(600);
  });

  test('the sender can be told from the datagram', () => {
    newSender().send(message(10), 10);
    const [datagram = new Uint8Array(0)] = wire;
    expect(datagramSender(datagram, 0, datagram.length)).toBe(0x1234);
    expect(datagramSender(datagram, 0, DATAGRAM_HEADER_BYTES)).toBe(-1);
    expect(datagramSender(datagram, 1, datagram.length)).toBe(-1);
  });
});

describe('[AUTH1] tunnel refuses', () => {
  test('every altered byte', () => {
    newSender().send(message(50), 50);
    const [good = new Uint8Array(0)] = wire;
    for (let at = 0; at < good.length; at++) {
      const bad = good.slice();
      bad[at] = (bad[at] ?? 0) ^ 1;
      receive(bad, at * 1000);
    }
    expect(heard).toEqual([]);
  });

  test('a message that was heard before, and one from far below the newest', () => {
    const sender = newSender();
    for (let i = 0; i < ReplayWindow.SIZE + 2; i++) sender.send(message(1), 1);
    const [first = new Uint8Array(0), second = new Uint8Array(0)] = wire;
    receive(second);
    receive(second);
    expect(receiver.counters.replayed).toBe(1);
    receive(wire.at(-1) ?? first);
    receive(first);
    expect(receiver.counters.replayed).toBe(2);
    expect(heard.length).toBe(2);
  });

  test('garbage, unknown versions and impossible lengths, each counted', () => {
    newSender().send(message(50), 50);
    const [good = new Uint8Array(0)] = wire;
    receive(good.subarray(0, DATAGRAM_HEADER_BYTES));
    receive(new Uint8Array(100));
    const changed = (offset: number, value: number): Uint8Array => {
      const bytes = good.slice();
      dataView(bytes).setUint32(offset, value, true);
      return bytes;
    };
    receive(changed(DATAGRAM.at.total, TAG_BYTES));
    receive(changed(DATAGRAM.at.total, MESSAGE_BYTES_MAX + TAG_BYTES + 1));
    receive(changed(DATAGRAM.at.offset, 0xffff_ffff));
    receive(changed(DATAGRAM.at.counter + 4, 0xffff_ffff));
    expect(receiver.counters.garbage).toBe(6);
    receive(good.map((byte, at) => (at === DATAGRAM.at.version ? 2 : byte)));
    expect(receiver.counters.version).toBe(1);
    expect(receiver.foreignVersion).toBe(2);
    expect(heard).toEqual([]);
  });

  test('strangers beyond a number a second, before it costs a key', () => {
    let derived = 0;
    const counting = new TunnelReceiver(
      (incarnation) => (derived++, sealFor(incarnation)),
      () => {},
    );
    const [datagram = new Uint8Array(0)] = (newSender().send(message(1), 1), wire);
    for (let i = 0; i < 1000; i++) {
      const forged = datagram.map((byte, at) => (at === DATAGRAM.at.incarnation ? i & 0xff : byte));
      forged[DATAGRAM.at.incarnation + 1] = i >> 8;
      counting.receive(forged, 0, forged.length, 500);
    }
    expect(derived).toBe(20);
    expect(counting.counters.unauthentic).toBe(1000);
  });
});

describe('tunnel: a peer that began anew', () => {
  test('is heard as a newcomer, and its window goes on when it is accepted', () => {
    const next = newSender(incarnationOf(2));
    next.send(message(3), 3);
    const [datagram = new Uint8Array(0)] = wire;
    receive(datagram);
    expect(heard.map(({ from }) => from)).toEqual([2]);
    receiver.accept(incarnationOf(2));
    receive(datagram);
    expect(receiver.counters.replayed).toBe(1);
  });

  test('messages in several datagrams are put together for the accepted incarnation only', () => {
    newSender(incarnationOf(2)).send(message(5000), 5000);
    for (const datagram of wire) receive(datagram);
    expect(heard).toEqual([]);
    receiver.accept(incarnationOf(2));
    for (const datagram of wire) receive(datagram);
    expect(heard.length).toBe(1);
  });

  test('is heard amid any number of strangers once the volume names it, and its window is kept', () => {
    newSender(incarnationOf(2)).send(message(3), 3);
    const [datagram = new Uint8Array(0)] = wire;
    const flood = (): void => {
      for (let i = 0; i < 100; i++) {
        receive(datagram.map((byte, at) => (at === DATAGRAM.at.incarnation ? 100 + i : byte)));
      }
    };
    flood();
    receive(datagram);
    expect(heard).toEqual([]);
    receiver.expect(incarnationOf(2));
    flood();
    receive(datagram);
    expect(heard.map(({ from }) => from)).toEqual([2]);
    receiver.expect(incarnationOf(2));
    receive(datagram);
    receiver.accept(incarnationOf(2));
    receive(datagram);
    expect(receiver.counters.replayed).toBe(2);
  });
});
