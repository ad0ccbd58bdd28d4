import { beforeEach, describe, expect, test } from 'vitest';
import { DATA } from '../../../agent/base/packet-type.ts';
import { PATHS } from '../../../agent/base/paths.ts';
import type { CoreEvent } from '../../../agent/core/ports.ts';
import { PeerLink } from '../../../agent/core/peer-link.ts';
import { PEER, type PeerWords, SharedState, sharedStateBytes } from '../../../agent/queue/shared-state.ts';
import { HELLO_BYTES, HELLO_FLAG, KIND, writeAgain, writeHello } from '../../../agent/wire/message.ts';
import { CrcSeal } from '../../../agent/wire/seal.ts';
import { DATAGRAM, TUNNEL_MAGIC, TunnelReceiver, TunnelSender } from '../../../agent/wire/tunnel.ts';

const OURS = new Uint8Array(16).fill(0xaa);
const THEIRS = new Uint8Array(16).fill(0xbb);
const SETTINGS = {
  name: 'b',
  seat: 0,
  since: 1,
  addresses: ['10.77.0.2'],
  sendTenant: 1,
  judge: { intervalMs: 50, misses: 3, stableForMs: 1000, stableForMsMax: 4000, hasNetwork: true },
  volumeVersion: 1,
  maxAgeMs: 2000,
  beaconMs: 1000,
  retainBytes: 1 << 20,
  storageWindowBytes: 100_000,
  readAgainBytes: 1 << 20,
};
const ALL_FLAGS = HELLO_FLAG.echoes | HELLO_FLAG.accepts | HELLO_FLAG.hearsNetwork;

let words: PeerWords;
let events: CoreEvent[];
let link: PeerLink;
let receiver: TunnelReceiver;
/** Our clock; the peer's is the same. */
let nowMs: number;

const prefix = (kind: number, nextData: number, atMs: number) => ({
  kind,
  nextData,
  nextBulk: 1,
  floorData: 1,
  floorBulk: 1,
  monotonicUs: atMs * 1000,
});

/** The peer's hello, which echoes our word of `echoMs`; null: it has not heard us. */
function hello(flags: number, echoMs: number | null): void {
  const bytes = new Uint8Array(HELLO_BYTES);
  writeHello(bytes, {
    ...prefix(KIND.hello, 1, nowMs),
    flags,
    path: PATHS.indexOf('network'),
    floorHeartbeat: 1,
    echoIncarnation: echoMs === null ? new Uint8Array(16) : OURS,
    echoMonotonicUs: (echoMs ?? 0) * 1000,
    echoDelayUs: 0,
  });
  link.message(THEIRS, bytes, nowMs);
}

/** A word of the peer, said at `atMs`, that it waits for this packet next. */
function waitsFor(nextData: number, atMs: number): void {
  const bytes = new Uint8Array(100);
  const length = writeAgain(bytes, prefix(KIND.again, nextData, atMs), DATA, []);
  link.message(THEIRS, bytes.subarray(0, length), nowMs);
}

beforeEach(() => {
  nowMs = 1000;
  events = [];
  words = new SharedState(new SharedArrayBuffer(sharedStateBytes())).peers[0] as PeerWords;
  const ports = {
    submit: () => true,
    deliver: () => true,
    event: (event: CoreEvent) => events.push(event),
    wantHead: () => {},
  };
  link = new PeerLink(SETTINGS, OURS, words, ports, nowMs);
  const out = new Uint8Array(65_536);
  receiver = new TunnelReceiver(
    () => new CrcSeal(),
    () => {},
  );
  link.attachTunnel(new TunnelSender(new CrcSeal(), 1, OURS, 1472, out, () => true), receiver);
});

/** The peer accepts us at 1030. */
function getAcquainted(): void {
  hello(0, null);
  nowMs = 1020;
  hello(HELLO_FLAG.echoes, 1010);
  nowMs = 1030;
  hello(ALL_FLAGS, 1025);
  link.tick(nowMs, false, false);
  expect(link.judge.path).toBe('network');
}

describe("[ORD1] confirmations in words that are older than the peer's acceptance of us", () => {
  test('are not about us: they were for the numbers of a predecessor', () => {
    getAcquainted();
    for (let i = 0; i < 5; i++) link.send(DATA, new Uint8Array(100), nowMs, nowMs);
    link.pump(nowMs);
    expect(link.outgoing.data.keptFrames).toBe(5);
    nowMs = 1040;
    waitsFor(4, 1029); // overtaken on the way by the word that accepted us
    expect(link.outgoing.data.keptFrames).toBe(5);
    waitsFor(4, 1035);
    expect(link.outgoing.data.keptFrames).toBe(2);
  });
});

describe('[AG12] a peer of another version', () => {
  test('in datagrams and in its head block: each told once, the path is as it was', () => {
    getAcquainted();
    events.length = 0;
    const datagram = new Uint8Array(200);
    datagram[DATAGRAM.at.magic] = TUNNEL_MAGIC;
    datagram[DATAGRAM.at.version] = 3;
    receiver.receive(datagram, 0, datagram.length, nowMs);
    words.words[PEER.headVersion] = 2;
    for (let i = 0; i < 3; i++) link.tick(++nowMs, false, false);
    expect(events).toMatchObject([
      { kind: 'version', peer: 'b', what: 'tunnel', theirs: 3, ours: '1' },
      { kind: 'version', peer: 'b', what: 'volume', theirs: 2, ours: '1' },
    ]);
    expect(link.judge.path).toBe('network');
  });
});
