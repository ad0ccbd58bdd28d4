/** The three lanes from one peer: what they hold, confirm and give up. */
import { beforeEach, describe, expect, test } from 'vitest';
import { BULK, CONTROL, DATA, HEARTBEAT, type TypeIndex } from '../../../agent/base/packet-type.ts';
import { IncomingLanes } from '../../../agent/core/incoming-lanes.ts';
import { type PeerWords, SharedState, sharedStateBytes } from '../../../agent/queue/shared-state.ts';

const MAX_AGE_MS = 2000;

/** The first byte of each frame in the order of delivery. */
let delivered: number[];
let isRefusing: boolean;
let lanes: IncomingLanes;

beforeEach(() => {
  delivered = [];
  isRefusing = false;
  const { words } = new SharedState(new SharedArrayBuffer(sharedStateBytes())).peers[0] as PeerWords;
  lanes = new IncomingLanes(words, MAX_AGE_MS, ([first = 0]) => !isRefusing && delivered.push(first) > 0);
});

const offer = (type: TypeIndex, sequence: number, nowMs = 0): void =>
  void lanes.of(type)?.offer(sequence, Uint8Array.of(sequence), nowMs, nowMs);
const byStorage = (type: TypeIndex, sequence: number, nowMs: number): void =>
  void lanes.of(type)?.offer(sequence, Uint8Array.of(sequence), nowMs, nowMs, true);

test('[ORD1] each lane delivers its own numbers in order, and confirms the next', () => {
  for (const sequence of [1, 3, 2]) offer(DATA, sequence);
  offer(BULK, 1);
  expect(delivered).toEqual([1, 2, 3, 1]);
  expect([lanes.next(HEARTBEAT), lanes.next(DATA), lanes.next(BULK)]).toEqual([1, 4, 2]);
});

test('agents’ own words have no lane, nor has a type that does not exist', () => {
  expect([lanes.of(CONTROL), lanes.of(200)]).toEqual([undefined, undefined]);
});

test('a refused frame is counted, and its number is over', () => {
  isRefusing = true;
  offer(DATA, 1);
  expect([lanes.refused, lanes.next(DATA)]).toEqual([1, 2]);
});

test('only a gap in a failover lane makes a confirmation wanted', () => {
  offer(HEARTBEAT, 2);
  expect(lanes.isHeld).toBe(false);
  offer(BULK, 2);
  expect(lanes.isHeld).toBe(true);
});

test('floors give up the gaps below them, in their own lane', () => {
  offer(DATA, 2);
  offer(BULK, 2);
  lanes.floors(2, 1, 0);
  expect([lanes.next(DATA), lanes.next(BULK)]).toEqual([3, 1]);
});

describe('a gap in the heartbeats', () => {
  test.each([
    ['60 ms while storage is not read', false, 0, 60],
    ['60 ms while storage is not read, whatever copies there are', false, 100, 60],
    ['400 ms where storage may still bring it', true, 0, 400],
    ['two steps longer where a copy is made in steps', true, 100, 600],
  ])('waits %s', (_, isStorageRead, stepMs, patienceMs) => {
    offer(HEARTBEAT, 2);
    lanes.expire(patienceMs - 1, isStorageRead, stepMs);
    expect(delivered).toEqual([]);
    lanes.expire(patienceMs, isStorageRead, stepMs);
    expect(delivered).toEqual([2]);
  });

  test('is over when storage has brought what is behind it: the network alone may still close it', () => {
    offer(HEARTBEAT, 2);
    byStorage(HEARTBEAT, 3, 50);
    lanes.expire(59, true, 100);
    expect(delivered).toEqual([]);
    lanes.expire(60, true, 100);
    expect(delivered).toEqual([2, 3]);
  });

  test('is not given up for a quick storage that is slow this once', () => {
    byStorage(HEARTBEAT, 1, 1);
    offer(HEARTBEAT, 4);
    lanes.expire(399, true);
    byStorage(HEARTBEAT, 2, 399);
    byStorage(HEARTBEAT, 3, 399);
    expect([delivered, lanes.of(HEARTBEAT)?.lost]).toEqual([[1, 2, 3, 4], 0]);
  });

  test('is no measure for data: that waits for as long as it may grow old', () => {
    offer(DATA, 2);
    lanes.expire(MAX_AGE_MS - 1, false);
    expect(lanes.next(DATA)).toBe(1);
    lanes.expire(MAX_AGE_MS, false);
    expect(lanes.next(DATA)).toBe(3);
  });
});

test('a gap that a reader closes is drained', () => {
  offer(DATA, 2);
  lanes.of(DATA)?.gate.offer(1, () => delivered.push(1));
  lanes.drain(0);
  expect(delivered).toEqual([1, 2]);
});

test('another incarnation begins at its floor, and nothing held of the former one is delivered', () => {
  offer(DATA, 2);
  lanes.begin(DATA, 1);
  offer(DATA, 1);
  expect(delivered).toEqual([1]);
  expect(lanes.close()).toEqual({ [HEARTBEAT]: 1, [DATA]: 2, [BULK]: 1 });
});
