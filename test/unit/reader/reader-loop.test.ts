import { beforeEach, expect, test } from 'vitest';
import { PEER, PEER_TIME, SharedState, sharedStateBytes, type PeerWords } from '../../../agent/queue/shared-state.ts';
import { Ring, ringBytes } from '../../../agent/queue/ring.ts';
import { ReaderLoop } from '../../../agent/reader/reader-loop.ts';
import {
  BLOCK_BYTES,
  HEAD,
  HEAD_TABLE_OFFSET,
  SLOT_BYTES_MIN,
  SLOTS_OFFSET,
  slotOfTenant,
} from '../../../agent/volume/layout.ts';
import { READER_MEMORY_BYTES } from '../../../agent/volume/slot-reader.ts';
import { WRITER } from '../../../agent/volume/slot-writer.ts';
import { MemoryDisk } from '../../support/memory-disk.ts';
import { CLUSTER_KEY, CLUSTER_UUID, incarnationOf, SEALED, TestWriter } from '../../support/volume.ts';

let disk: MemoryDisk;
let peer: PeerWords;
let loop: ReaderLoop;
let nowMs: number;

beforeEach(() => {
  disk = new MemoryDisk(SLOTS_OFFSET + 2 * SLOT_BYTES_MIN);
  const state = new SharedState(new SharedArrayBuffer(sharedStateBytes(1)), 1);
  peer = state.peers[0]!;
  peer.words[PEER.clockKnown] = 1;
  nowMs = 1000;
  const settings = {
    reader: 0,
    pace: { idle: 10, active: 0.2 },
    maxAgeMs: 5000,
    clusterUuid: CLUSTER_UUID,
    ownTenant: 1,
    ownIncarnation: incarnationOf(9),
    beganMs: 1000,
    slotCount: 2,
    slotBytes: SLOT_BYTES_MIN,
    slotsOffset: SLOTS_OFFSET,
    peers: [{ seat: 0, since: 1, tenant: 0 }],
    patienceMs: 500,
  };
  const inbound = new Ring(new SharedArrayBuffer(ringBytes(65536)), 0, 65536);
  const ports = { deliver: () => true, head: () => {}, bell: () => {} };
  const memory = new Uint8Array(ReaderLoop.memoryBytes(2, READER_MEMORY_BYTES));
  loop = new ReaderLoop(disk, state, settings, inbound, SEALED, ports, memory, () => nowMs);
});

/** What the switch does when it accepts an incarnation and knows where it began. */
function accept(incarnation: Uint8Array, startPosition: number): void {
  peer.incarnation.set(incarnation);
  peer.words[PEER.accepted] = 1;
  peer.times[PEER_TIME.startPosition] = startPosition;
  Atomics.add(peer.words, PEER.epoch, 1);
}

/** The first round comes at once: what was accepted is followed before the heads are read again. */
function rounds(): void {
  for (let i = 0; i < 5; i++) {
    loop.step();
    if (i < 4) nowMs += 10;
  }
}

test('a new incarnation is read from its own start, wherever the head of the last one was', () => {
  const first = new TestWriter(disk, { key: CLUSTER_KEY });
  first.state[WRITER.position] = 100 * SLOT_BYTES_MIN;
  first.head();
  accept(incarnationOf(1), 100 * SLOT_BYTES_MIN);
  rounds();
  expect(peer.times[PEER_TIME.headPosition]).toBe(100 * SLOT_BYTES_MIN);
  const second = new TestWriter(disk, { key: CLUSTER_KEY, incarnation: incarnationOf(2) });
  second.state[WRITER.reservedMark] = 100;
  second.batch([new Uint8Array(10)]);
  second.head();
  accept(incarnationOf(2), 0);
  rounds();
  expect(peer.times[PEER_TIME.headPosition]).toBe(BLOCK_BYTES);
  expect(peer.times[PEER_TIME.readPosition]).toBe(BLOCK_BYTES);
});

test('[AG12] a head of another version is seen, and forgotten when the peer is rolled back', () => {
  const writer = new TestWriter(disk, { key: CLUSTER_KEY });
  const seen = (version: number): number => {
    writer.head();
    const at = HEAD_TABLE_OFFSET + slotOfTenant(0) * BLOCK_BYTES + HEAD.at.version;
    new DataView(disk.content.buffer).setUint16(at, version, true);
    rounds();
    return peer.words[PEER.headVersion] ?? -1;
  };
  expect([1, 2, 1, 2].map(seen)).toEqual([0, 2, 0, 2]);
});

test('the age of what lay in the ring, and of what comes too late, is no latency', () => {
  const writer = new TestWriter(disk, { key: CLUSTER_KEY });
  writer.head();
  // Our clock is the writer's here; its first batch is from 1002 ms.
  const written = (sequence: number): void => {
    writer.batch([new Uint8Array(10)], { sequence });
    writer.head();
  };
  written(1);
  nowMs = 4000;
  accept(incarnationOf(1), 0);
  rounds();
  expect(peer.times[PEER_TIME.readPosition]).toBe(BLOCK_BYTES);
  expect(peer.times[PEER_TIME.lagSeenMs]).toBe(0);
  writer.monotonicUs = nowMs * 1000;
  written(2);
  nowMs += 30;
  rounds();
  const seenMs = peer.times[PEER_TIME.lagSeenMs] ?? 0;
  expect(peer.times[PEER_TIME.lagMs]).toBeCloseTo(seenMs - 4041, 3);
  writer.monotonicUs = nowMs * 1000;
  written(3);
  nowMs += 6000;
  rounds();
  expect(peer.times[PEER_TIME.readPosition]).toBe(3 * BLOCK_BYTES);
  expect(peer.times[PEER_TIME.lagSeenMs]).toBe(seenMs);
});

test('[AGE1] what an earlier life of ours was sent is not too old: nobody misses it', () => {
  const writer = new TestWriter(disk, { key: CLUSTER_KEY });
  writer.head();
  const counts = (): (number | undefined)[] => [peer.words[PEER.tooOld], peer.words[PEER.duplicates]];
  // Written at 1002 ms by its clock, which is 502 ms by ours: we began at 1000.
  peer.times[PEER_TIME.offsetUs] = -500_000;
  writer.batch([new Uint8Array(10)], { sequence: 1 });
  writer.head();
  nowMs = 20_000;
  accept(incarnationOf(1), 0);
  rounds();
  expect(peer.times[PEER_TIME.readPosition]).toBe(BLOCK_BYTES);
  expect(counts()).toEqual([0, 0]);
  // One that was for us and came too late is missed; the same once more is not.
  writer.monotonicUs = 2_000_000;
  for (const sequence of [2, 2]) writer.batch([new Uint8Array(10)], { sequence });
  writer.head();
  nowMs += 30;
  rounds();
  expect(counts()).toEqual([1, 1]);
});
