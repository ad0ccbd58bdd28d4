/** Two ends of a tunnel, joined by their messages as they are before they are sealed. */
import { beforeEach, describe, expect, test } from 'vitest';
import { BULK, DATA } from '../../../agent/base/packet-type.ts';
import { IncomingLanes } from '../../../agent/core/incoming-lanes.ts';
import { PeerTunnel } from '../../../agent/core/peer-tunnel.ts';
import { type PeerWords, SharedState, sharedStateBytes } from '../../../agent/queue/shared-state.ts';
import { type Hello, KIND, type Prefix, readAgain, readHello, readPrefix } from '../../../agent/wire/message.ts';
import { CrcSeal } from '../../../agent/wire/seal.ts';
import { TunnelReceiver, type TunnelSender } from '../../../agent/wire/tunnel.ts';
import { incarnationOf } from '../../support/volume.ts';

const PREFIX: Prefix = { kind: KIND.frames, nextData: 3, nextBulk: 4, floorData: 1, floorBulk: 2, monotonicUs: 5000 };
const HELLO: Hello = {
  ...PREFIX,
  kind: KIND.hello,
  flags: 9,
  path: 1,
  floorHeartbeat: 7,
  echoIncarnation: incarnationOf(3),
  echoMonotonicUs: 11,
  echoDelayUs: 12,
};

let sent: Uint8Array[];
let hasRoom: boolean;
let tunnel: PeerTunnel;

const newReceiver = (): TunnelReceiver =>
  new TunnelReceiver(
    () => new CrcSeal(),
    () => {},
  );

beforeEach(() => {
  sent = [];
  hasRoom = true;
  const sender = { send: (bytes: Uint8Array, length: number) => hasRoom && sent.push(bytes.slice(0, length)) > 0 };
  tunnel = new PeerTunnel(sender as unknown as TunnelSender, newReceiver(), () => PREFIX);
});

const kindOf = (message: Uint8Array): number => readPrefix(message)?.kind ?? -1;

/** What the messages that were sent give out at the other end, as `type:sequence+ageMs bytes`. */
function received(): string[] {
  const frames: string[] = [];
  for (const message of sent) {
    tunnel.takeFrames(kindOf(message), message, (type, sequence, frame, ageMs) => {
      frames.push(`${type}:${sequence}+${ageMs} ${frame.length}`);
    });
  }
  return frames;
}

test('a hello arrives as it was given, with its own words in front', () => {
  tunnel.sendHello(HELLO);
  const [message = new Uint8Array(0)] = sent;
  expect(readHello(message, readPrefix(message) as Prefix)).toEqual(HELLO);
});

test('frames share a message and arrive with their ages', () => {
  tunnel.add(DATA, 5, new Uint8Array(100), 20, 0);
  tunnel.add(BULK, 6, new Uint8Array(60), 30, 0);
  expect(sent).toEqual([]);
  tunnel.flush(0);
  expect(sent).toHaveLength(1);
  expect(received()).toEqual([`${DATA}:5+20 100`, `${BULK}:6+30 60`]);
});

test('what is sent again goes in short messages: a long frame in pieces, given out with the last', () => {
  tunnel.inSmallMessages(0, () => void tunnel.add(DATA, 5, new Uint8Array(3000), 20, 0));
  expect(sent.map(kindOf)).toEqual([KIND.piece, KIND.piece, KIND.piece]);
  expect(received()).toEqual([`${DATA}:5+20 3000`]);
});

test('pieces of a former incarnation’s frame are not joined with those of the next', () => {
  tunnel.inSmallMessages(0, () => void tunnel.add(DATA, 5, new Uint8Array(3000), 20, 0));
  const last = sent.pop() as Uint8Array;
  expect(received()).toEqual([]);
  tunnel.accept(incarnationOf(4));
  sent = [last];
  expect(received()).toEqual([]);
});

test('a full socket holds frames back until it has room', () => {
  hasRoom = false;
  tunnel.add(DATA, 1, new Uint8Array(100), 0, 0);
  tunnel.flush(0);
  expect([tunnel.isBlocked, tunnel.add(DATA, 2, new Uint8Array(100), 0, 0)]).toEqual([true, false]);
  tunnel.unblock();
  expect(tunnel.add(DATA, 2, new Uint8Array(100), 0, 0)).toBe(true);
});

describe('a word is owed after 256 KiB', () => {
  beforeEach(() => {
    for (let sequence = 1; sequence <= 5; sequence++) tunnel.add(DATA, sequence, new Uint8Array(60_000), 0, 0);
    tunnel.flush(0);
    for (const message of sent.slice(0, 4)) tunnel.takeFrames(KIND.frames, message, () => {});
    expect(tunnel.owesWord).toBe(false);
    tunnel.takeFrames(KIND.frames, sent[4] as Uint8Array, () => {});
    expect(tunnel.owesWord).toBe(true);
  });

  test.each<[string, () => void]>([
    ['a hello', () => tunnel.sendHello(HELLO)],
    [
      'a message of frames',
      () => {
        tunnel.add(DATA, 9, new Uint8Array(10), 0, 0);
        tunnel.flush(0);
      },
    ],
  ])('%s pays it', (_, pay) => {
    pay();
    expect(tunnel.owesWord).toBe(false);
  });

  test('an empty round does not', () => {
    tunnel.flush(0);
    expect(tunnel.owesWord).toBe(true);
  });
});

describe('what is missing is asked for', () => {
  let incoming: IncomingLanes;
  beforeEach(() => {
    const { words } = new SharedState(new SharedArrayBuffer(sharedStateBytes())).peers[0] as PeerWords;
    incoming = new IncomingLanes(words, 2000, () => true);
  });

  test('each lane for itself, once in a round trip', () => {
    incoming.of(DATA)?.offer(3, new Uint8Array(1), 0, 0);
    incoming.of(BULK)?.offer(2, new Uint8Array(1), 0, 0);
    tunnel.askAgain(incoming, 30, 100);
    expect(sent.map(readAgain)).toEqual([
      { lane: DATA, missing: [1, 2] },
      { lane: BULK, missing: [1] },
    ]);
    tunnel.askAgain(incoming, 30, 129);
    expect(sent).toHaveLength(2);
    tunnel.askAgain(incoming, 30, 130);
    expect(sent).toHaveLength(4);
  });

  test('every 5 ms at most, and nothing without a gap', () => {
    tunnel.askAgain(incoming, 0, 100);
    expect(sent).toEqual([]);
    incoming.of(DATA)?.offer(2, new Uint8Array(1), 0, 0);
    for (const atMs of [100, 104, 105]) tunnel.askAgain(incoming, 0, atMs);
    expect(sent).toHaveLength(2);
  });
});
