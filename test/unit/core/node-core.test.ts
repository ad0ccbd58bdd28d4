/** Peers that come and go in one incarnation: seats, numbers, and what was delivered before. */
import { beforeEach, describe, expect, test } from 'vitest';
import { DATA, HEARTBEAT } from '../../../agent/base/packet-type.ts';
import { ALL_PEERS, Classifier } from '../../../agent/core/classify.ts';
import { NodeCore } from '../../../agent/core/node-core.ts';
import type { HeadWord, LinkSettings, PeerLink } from '../../../agent/core/peer-link.ts';
import { clearSeat, PEER, PEER_TIME, SharedState, sharedStateBytes } from '../../../agent/queue/shared-state.ts';
import { HELLO_FLAG, KIND } from '../../../agent/wire/message.ts';
import { buildUdp4 } from '../../support/packets.ts';
import { incarnationOf } from '../../support/volume.ts';

const OURS = incarnationOf(1);
const THEIRS = incarnationOf(2);
const FRAME = buildUdp4({ target: '10.77.0.2', sourcePort: 1000, targetPort: 2000 });
const ALL_FLAGS = Object.values(HELLO_FLAG).reduce((sum, flag) => sum | flag, 0);

let state: SharedState;
let core: NodeCore;
let nowMs: number;
let submitted: [tenant: number, sequence: number][];
let delivered: number;
/** How many records the write buffer still takes. */
let room: number;

const settings = (seat: number, since = 1, name = 'b'): LinkSettings => ({
  name,
  seat,
  since,
  addresses: [],
  sendTenant: 64 + seat,
  judge: { intervalMs: 50, misses: 3, stableForMs: 1, stableForMsMax: 1, hasNetwork: false },
  volumeVersion: 1,
  maxAgeMs: 2000,
  beaconMs: 1000,
  retainBytes: 100_000,
  storageWindowBytes: 100_000,
  readAgainBytes: 0,
});

function head(fields: Partial<HeadWord> = {}): HeadWord {
  return {
    kind: KIND.hello,
    incarnation: THEIRS,
    position: 0,
    startPosition: 0,
    orderMark: 0,
    monotonicUs: nowMs * 1000,
    nextData: 1,
    nextBulk: 1,
    floorData: 1,
    floorBulk: 1,
    flags: ALL_FLAGS,
    path: 2,
    floorHeartbeat: 1,
    echoIncarnation: OURS,
    echoMonotonicUs: nowMs * 1000 - 1000,
    echoDelayUs: 0,
    claims: { isStopped: false, knowsUs: true, addresses: [] },
    ...fields,
  };
}

/** Words come and go until the peer is known and storage is its way. */
function meet(link: PeerLink, seat: number, fields: Partial<HeadWord> = {}): void {
  for (let i = 0; i < 100; i++) {
    nowMs += 10;
    state.times.fill(nowMs, 0, 2);
    state.times[1] = nowMs;
    link.head(head(fields), nowMs);
    state.peers[seat]!.times[PEER_TIME.storageSeenMs] = nowMs;
    core.round(nowMs);
  }
  expect([link.judge.path, link.peerAccepts]).toEqual(['storage', true]);
}

beforeEach(() => {
  nowMs = 1000;
  submitted = [];
  delivered = 0;
  room = Infinity;
  state = new SharedState(new SharedArrayBuffer(sharedStateBytes()));
  core = new NodeCore(
    { links: [settings(5)], beaconMs: 1000, maxAgeMs: 2000, writeDeadlineMs: 1000 },
    new Classifier([], [{ seat: 5, addresses: ['10.77.0.2'] }]),
    OURS,
    state,
    {
      submit: (_type, tenant, sequence) => room-- > 0 && (submitted.push([tenant, sequence]), true),
      deliver: () => (delivered++, true),
      event: () => {},
      wantHead: () => {},
    },
    nowMs,
  );
});

const send = (): void => {
  core.frame(FRAME, nowMs);
  core.round(nowMs);
};

describe('[AG12] a peer comes and goes', () => {
  test('it is found by its seat, and gone at once: nothing is sent to it any more', () => {
    meet(core.at(5)!, 5);
    send();
    expect(submitted).toEqual([[69, 1]]);
    core.removePeer(5);
    expect([core.at(5), core.links.length]).toEqual([undefined, 0]);
    send();
    expect(submitted).toHaveLength(1);
    expect(state.peers[5]!.words[PEER.accepted]).toBe(0);
  });

  test('a seat is not given twice', () => {
    expect(() => core.addPeer(settings(5, 2, 'c'), nowMs)).toThrow(/seat/);
  });

  test('[ORD1] when it comes back its lanes go on counting: to it our numbers of before are past', () => {
    meet(core.at(5)!, 5);
    for (let i = 0; i < 3; i++) send();
    core.removePeer(5);
    const link = core.addPeer(settings(7, 3), nowMs);
    core.classifier = new Classifier([], [{ seat: 7, addresses: ['10.77.0.2'] }]);
    meet(link, 7);
    send();
    expect(submitted.at(-1)).toEqual([71, 4]);
    expect([link.outgoing.data.floor, link.outgoing.heartbeat.next]).toEqual([4, 1]);
  });

  test('[ORD1] what was delivered of the same incarnation is not delivered again, of another one it is', () => {
    const link = core.at(5)!;
    meet(link, 5);
    for (const sequence of [1, 2]) link.incoming.of(DATA)?.offer(sequence, FRAME, nowMs, nowMs);
    link.incoming.of(HEARTBEAT)?.offer(1, FRAME, nowMs, nowMs);
    expect(delivered).toBe(3);
    core.removePeer(5);
    clearSeat(state.peers[5]!);
    // The peer has not seen our confirmation: its floor says that it may send all of it again.
    const again = core.addPeer(settings(5, 2), nowMs);
    meet(again, 5, { floorData: 1, floorHeartbeat: 1 });
    for (const sequence of [1, 2]) again.incoming.of(DATA)?.offer(sequence, FRAME, nowMs, nowMs);
    again.incoming.of(HEARTBEAT)?.offer(1, FRAME, nowMs, nowMs);
    expect(delivered).toBe(3);
    again.incoming.of(DATA)?.offer(3, FRAME, nowMs, nowMs);
    expect(delivered).toBe(4);
    core.removePeer(5);
    const other = core.addPeer(settings(6, 3), nowMs);
    meet(other, 6, { incarnation: incarnationOf(9) });
    other.incoming.of(DATA)?.offer(1, FRAME, nowMs, nowMs);
    expect(delivered).toBe(5);
  });

  test('[ORD1] it stays so when it was there in between and never heard', () => {
    const link = core.at(5)!;
    meet(link, 5);
    send();
    for (const sequence of [1, 2]) link.incoming.of(DATA)?.offer(sequence, FRAME, nowMs, nowMs);
    core.removePeer(5);
    clearSeat(state.peers[5]!);
    core.addPeer(settings(5, 2), nowMs);
    core.removePeer(5);
    clearSeat(state.peers[5]!);
    const again = core.addPeer(settings(5, 3), nowMs);
    meet(again, 5, { floorData: 1 });
    for (const sequence of [1, 2]) again.incoming.of(DATA)?.offer(sequence, FRAME, nowMs, nowMs);
    expect(delivered).toBe(2);
    again.incoming.of(DATA)?.offer(3, FRAME, nowMs, nowMs);
    expect(delivered).toBe(3);
    send();
    expect(submitted.at(-1)).toEqual([69, 2]);
  });

  test('[AUTH1] what a reader still has in hand of a peer that went finds no gate open', () => {
    const link = core.at(5)!;
    meet(link, 5);
    const { words } = state.peers[5]!;
    const epoch = Atomics.load(words, PEER.epoch);
    core.removePeer(5);
    expect(Atomics.load(words, PEER.epoch)).not.toBe(epoch);
    const before = Atomics.load(words, PEER.epoch);
    clearSeat(state.peers[5]!);
    // Nor after the seat was given to another: its epochs go on.
    expect(Atomics.load(words, PEER.epoch)).toBeGreaterThan(before);
    expect(state.peers[5]!.times[PEER_TIME.startPosition]).toBe(-1);
  });

  test('[RING1] a peer that does not have us among its own is no way and holds up no ring', () => {
    const link = core.at(5)!;
    meet(link, 5);
    expect(state.peers[5]!.words[PEER.live]).toBe(1);
    nowMs += 20;
    link.head(head({ claims: { isStopped: false, knowsUs: false, addresses: [] }, flags: 0 }), nowMs);
    core.round(nowMs);
    expect([link.judge.path, state.peers[5]!.words[PEER.live]]).toEqual(['isolated', 0]);
  });

  test('more or fewer bytes may be kept while frames wait: none is lost', () => {
    const link = core.at(5)!;
    for (let i = 0; i < 10; i++) core.frame(FRAME, nowMs);
    link.apply({ ...settings(5), retainBytes: 300_000 });
    expect(link.outgoing.data.keptFrames).toBe(10);
    link.apply({ ...settings(5), retainBytes: FRAME.length * 2 });
    expect(link.outgoing.data.keptFrames).toBe(10);
    meet(link, 5, { nextData: 1 });
    expect([...new Set(submitted.map(([, sequence]) => sequence))]).toEqual(
      Array.from({ length: 10 }, (_, i) => i + 1),
    );
  });
});

test('lanes that share the write buffer get pieces in turns, however much the first of them has', () => {
  core.removePeer(5);
  const large = { retainBytes: 1_000_000, storageWindowBytes: 1_000_000 };
  const links = ['b', 'c'].map((name, i) => core.addPeer({ ...settings(5 + i, 2, name), ...large }, nowMs));
  links.forEach((link, i) => meet(link, 5 + i));
  room = 0;
  const frame = new Uint8Array(16_384);
  for (const link of links) for (let i = 0; i < 20; i++) expect(link.send(DATA, frame, nowMs, nowMs)).toBe(true);
  submitted = [];
  // Room comes by a little more than a piece, as the flush thread makes it.
  for (let i = 0; i < 5; i++) {
    room = 6;
    core.round(nowMs);
  }
  const shares = links.map((_, i) => submitted.filter(([tenant]) => tenant === 69 + i).length);
  expect(shares[0]! + shares[1]!).toBe(30);
  expect(Math.abs(shares[0]! - shares[1]!)).toBeLessThanOrEqual(6);
  // No piece is longer than a turn of 64 KiB, and two may follow one another.
  const pieces = submitted.map(([tenant]) => (tenant === 69 ? 'b' : 'c')).join('');
  expect(Math.max(...(pieces.match(/b+|c+/g) ?? []).map(({ length }) => length))).toBeLessThanOrEqual(8);
});

test('a classifier calls peers by their seats, and a broadcast is for all', () => {
  const peers = [
    { seat: 9, addresses: ['10.77.0.2'] },
    { seat: 62, addresses: ['10.77.0.3'] },
  ];
  const classifier = new Classifier([], peers, ['10.77.0.255']);
  const peerOf = (target: string) => classifier.classify(buildUdp4({ target })).peer;
  expect(['10.77.0.2', '10.77.0.3', '10.77.0.255'].map(peerOf)).toEqual([9, 62, ALL_PEERS]);
});
