import { beforeEach, describe, expect, test } from 'vitest';
import { BothLane, FailoverLane, storageWindowBytes, type LaneWays } from '../../../agent/core/lane-sender.ts';

const MAX_AGE_MS = 2000;
const WINDOW_BYTES = 1024 * 1024;
let network: number[];
let storage: number[];
let networkHasRoom: boolean;
let storageHasRoom: boolean;
const ways: LaneWays = {
  network: (sequence) => networkHasRoom && network.push(sequence) > 0,
  storage: (sequence) => storageHasRoom && storage.push(sequence) > 0,
};

beforeEach(() => {
  network = [];
  storage = [];
  networkHasRoom = true;
  storageHasRoom = true;
});

const frame = (length = 10): Uint8Array => new Uint8Array(length);

describe('failover lane', () => {
  let lane: FailoverLane;
  beforeEach(() => {
    lane = new FailoverLane(1000, MAX_AGE_MS, WINDOW_BYTES, ways);
  });

  function enqueue(count: number, nowMs = 0): void {
    for (let i = 0; i < count; i++) expect(lane.enqueue(frame(), nowMs)).toBe(true);
  }

  test('[ORD1] sends in order on one way only, and nothing without a way', () => {
    enqueue(3);
    lane.pump(0);
    expect([network, storage]).toEqual([[], []]);
    lane.setWay('network');
    lane.pump(0);
    expect([network, storage, lane.waiting]).toEqual([[1, 2, 3], [], 0]);
  });

  test('[ORD1] at a switch everything unconfirmed goes again, in order, before what is new; in both directions', () => {
    lane.setWay('network');
    enqueue(3);
    lane.pump(0);
    lane.confirm(2);
    lane.setWay('storage');
    enqueue(1);
    lane.pump(0);
    expect(storage).toEqual([2, 3, 4]);
    expect(lane.counters.resent).toBe(2);
    lane.setWay('network');
    lane.pump(0);
    expect(network).toEqual([1, 2, 3, 2, 3, 4]);
  });

  test('the same way again sends nothing again', () => {
    lane.setWay('network');
    enqueue(1);
    lane.pump(0);
    lane.setWay('network');
    lane.pump(0);
    expect(network).toEqual([1]);
  });

  test('a way without room is tried again from the same frame', () => {
    lane.setWay('storage');
    storageHasRoom = false;
    enqueue(2);
    lane.pump(0);
    expect(lane.waiting).toBe(2);
    storageHasRoom = true;
    lane.pump(0);
    expect(storage).toEqual([1, 2]);
  });

  test('confirmed frames are forgotten; impossible and old confirmations are not news', () => {
    lane.setWay('network');
    enqueue(3);
    lane.pump(0);
    expect([lane.confirm(1), lane.confirm(5), lane.confirm(3), lane.confirm(2)]).toEqual([false, false, true, false]);
    expect([lane.floor, lane.keptFrames, lane.keptBytes]).toEqual([3, 1, 10]);
  });

  test('a frame that the peer has already is not sent on the new way', () => {
    lane.setWay('network');
    enqueue(3);
    lane.pump(0);
    lane.setWay('storage');
    lane.confirm(3);
    lane.pump(0);
    expect(storage).toEqual([3]);
  });

  test('kept bytes are bounded: a full lane refuses', () => {
    for (let i = 0; i < 100; i++) lane.enqueue(frame(), 0);
    expect(lane.hasRoom(10)).toBe(false);
    expect(lane.enqueue(frame(), 0)).toBe(false);
    lane.countDropped();
    expect(lane.counters).toMatchObject({ sent: 100, bytes: 1000, dropped: 1 });
  });

  test('[AGE1] what is older than maxAgeMs is dropped and counted, and just as old is not', () => {
    enqueue(1, 0);
    enqueue(1, 1);
    lane.setWay('storage');
    lane.pump(MAX_AGE_MS + 1);
    expect(storage).toEqual([2]);
    expect([lane.counters.expired, lane.floor]).toEqual([1, 2]);
  });

  test('unconfirmed bytes are bounded by a window on either way, and confirmations move it', () => {
    const wide = new FailoverLane(16 * 1024 * 1024, MAX_AGE_MS, WINDOW_BYTES, ways);
    const fits = (bytes: number): number => Math.floor(bytes / 60_000) + 1;
    wide.setWay('network');
    for (let i = 0; i < 100; i++) wide.enqueue(frame(60_000), 0);
    expect(wide.pump(0)).toBe('done');
    const sent = network.length;
    expect(sent).toBe(fits(4 * 1024 * 1024));
    wide.confirm(2);
    wide.pump(0);
    expect(network.length).toBe(sent + 1);
    wide.setWay('storage');
    expect(wide.pump(0)).toBe('done');
    expect(storage.length).toBe(fits(WINDOW_BYTES));
    wide.pump(0);
    expect(storage.length).toBe(fits(WINDOW_BYTES));
    wide.confirm(12);
    wide.pump(0);
    expect(storage.length).toBe(fits(WINDOW_BYTES) + 10);
  });

  test('a frame larger than the window goes all the same, alone', () => {
    const narrow = new FailoverLane(1_000_000, MAX_AGE_MS, 1000, ways);
    narrow.setWay('storage');
    for (let i = 0; i < 3; i++) narrow.enqueue(frame(60_000), 0);
    narrow.pump(0);
    expect(storage).toEqual([1]);
    narrow.confirm(2);
    narrow.pump(0);
    expect(storage).toEqual([1, 2]);
  });

  test('the window of one lane for data and bulk leaves half of the ring to others, and is bounded', () => {
    expect(storageWindowBytes(4 * 1024 * 1024)).toBe(1024 * 1024);
    expect(storageWindowBytes(1024 * 1024 * 1024)).toBe(6 * 1024 * 1024);
  });

  test('a turn at the write buffer is a piece; a refused frame comes first in the next one', () => {
    lane.setWay('storage');
    enqueue(10);
    expect(lane.pump(0, 25)).toBe('more');
    expect(storage).toEqual([1, 2, 3]);
    storageHasRoom = false;
    expect(lane.pump(0, 25)).toBe('refused');
    storageHasRoom = true;
    expect(lane.pump(0, 1000)).toBe('done');
    expect(storage).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
  });

  test('sends again what the peer misses, if it was sent and is kept', () => {
    lane.setWay('network');
    enqueue(3);
    lane.pump(0);
    lane.confirm(2);
    enqueue(1);
    lane.again([1, 2, 3, 4, 9], 5);
    expect(network).toEqual([1, 2, 3, 2, 3]);
    expect(lane.counters.resent).toBe(2);
  });

  test('the last frame that was lost leaves again after two round trips and a little more', () => {
    lane.setWay('network');
    enqueue(1);
    lane.pump(100);
    lane.stillWaitsFor(1, 179, 10);
    expect(network).toEqual([1]);
    lane.stillWaitsFor(1, 180, 10);
    expect(network).toEqual([1, 1]);
  });

  test('lost on storage: everything from the lost frame on leaves again', () => {
    lane.setWay('storage');
    enqueue(3);
    lane.pump(0);
    lane.stillWaitsFor(2, 1000, 10);
    lane.pump(1000);
    expect(storage).toEqual([1, 2, 3, 2, 3]);
  });

  test('[ORD1] to a peer that began anew goes only what never left on any way', () => {
    lane.setWay('network');
    enqueue(2);
    lane.pump(0);
    enqueue(2);
    lane.peerBeganAnew();
    lane.pump(0);
    expect(network).toEqual([1, 2, 3, 4]);
    expect([lane.counters.expired, lane.floor]).toEqual([2, 3]);
  });
});

describe('both lane', () => {
  let lane: BothLane;
  beforeEach(() => {
    lane = new BothLane(25, MAX_AGE_MS, true, ways);
  });

  test('sends at once on both ways', () => {
    lane.enqueue(frame(), 0);
    lane.enqueue(frame(), 0);
    expect([network, storage, lane.next]).toEqual([[1, 2], [1, 2], 3]);
  });

  test('without a network it uses storage only', () => {
    new BothLane(25, MAX_AGE_MS, false, ways).enqueue(frame(), 0);
    expect([network, storage]).toEqual([[], [1]]);
  });

  test('[ORD1] waits for room in the write buffer without overtaking; the oldest goes first', () => {
    storageHasRoom = false;
    for (let i = 0; i < 4; i++) lane.enqueue(frame(), 0);
    expect([lane.waiting, lane.waitingBytes, lane.counters.dropped]).toEqual([2, 20, 2]);
    storageHasRoom = true;
    lane.enqueue(frame(5), 0);
    expect(storage).toEqual([]);
    lane.pump(0);
    expect(storage).toEqual([3, 4, 5]);
    expect([lane.waiting, lane.waitingBytes]).toEqual([0, 0]);
    expect(network).toEqual([1, 2, 3, 4, 5]);
  });

  test('[AGE1] what waited too long is dropped and counted', () => {
    storageHasRoom = false;
    lane.enqueue(frame(), 0);
    lane.enqueue(frame(), 1);
    storageHasRoom = true;
    lane.pump(MAX_AGE_MS + 1);
    expect(storage).toEqual([2]);
    expect(lane.counters.expired).toBe(1);
  });
});
