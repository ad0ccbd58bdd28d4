/** The three lanes to one peer on the ways that the link names. */
import { beforeEach, expect, test } from 'vitest';
import { BULK, DATA, HEARTBEAT, type TypeIndex } from '../../../agent/base/packet-type.ts';
import type { Way } from '../../../agent/core/lane-sender.ts';
import { OutgoingLanes } from '../../../agent/core/outgoing-lanes.ts';

const SETTINGS = { retainBytes: 10_000, maxAgeMs: 2000, storageWindowBytes: 10_000, hasNetwork: true };
const FRAME = new Uint8Array(100);
const TYPES = [HEARTBEAT, DATA, BULK] as const;

/** What left, by way: type and number. */
let left: Record<Exclude<Way, 'none'>, string[]>;
let storageHasRoom: boolean;
let lanes: OutgoingLanes;

const ways = (type: TypeIndex) => ({
  network: (sequence: number) => left.network.push(`${type}:${sequence}`) > 0,
  storage: (sequence: number) => storageHasRoom && left.storage.push(`${type}:${sequence}`) > 0,
});

beforeEach(() => {
  left = { network: [], storage: [] };
  storageHasRoom = true;
  lanes = new OutgoingLanes(SETTINGS, ways, undefined);
});

test('heartbeats leave at once by both ways; data and bulk by the network when it is the way', () => {
  for (const type of TYPES) expect(lanes.enqueue(type, FRAME, 0, 0)).toBe(true);
  expect(left).toEqual({ network: [`${HEARTBEAT}:1`], storage: [`${HEARTBEAT}:1`] });
  lanes.pump('network', 0);
  expect(left.network).toEqual([`${HEARTBEAT}:1`, `${DATA}:1`, `${BULK}:1`]);
  expect(left.storage).toHaveLength(1);
});

test('by storage the failover lanes wait for their turn', () => {
  for (const type of TYPES) lanes.enqueue(type, FRAME, 0, 0);
  lanes.pump('storage', 0);
  expect(left.storage).toEqual([`${HEARTBEAT}:1`]);
  expect(lanes.pumpStorage(BULK, 0)).toBe('done');
  expect(left.storage).toEqual([`${HEARTBEAT}:1`, `${BULK}:1`]);
  storageHasRoom = false;
  expect(lanes.pumpStorage(DATA, 0)).toBe('refused');
});

test('what waits for its turn and grows too old goes without one', () => {
  lanes.enqueue(DATA, FRAME, 0, 0);
  lanes.pump('storage', SETTINGS.maxAgeMs);
  expect(lanes.frames).toBe(1);
  lanes.pump('storage', SETTINGS.maxAgeMs + 1);
  expect([lanes.frames, lanes.data.counters.expired]).toEqual([0, 1]);
});

test('frames count as ours until each lane has its own confirmed', () => {
  storageHasRoom = false;
  for (const type of TYPES) for (let i = 0; i < 3; i++) lanes.enqueue(type, FRAME, 0, 0);
  lanes.pump('network', 0);
  expect(lanes.frames).toBe(9);
  lanes.confirm(3, 2);
  expect([lanes.data.keptFrames, lanes.bulk.keptFrames, lanes.heartbeat.waiting]).toEqual([1, 2, 3]);
  storageHasRoom = true;
  lanes.pump('network', 0);
  lanes.confirm(4, 4);
  expect(lanes.frames).toBe(0);
});

test('[ORD1] numbers go on where earlier lanes to the peer ended, each its own', () => {
  for (const type of [HEARTBEAT, DATA, DATA, BULK, BULK, BULK] as const) lanes.enqueue(type, FRAME, 0, 0);
  expect(lanes.next).toEqual({ heartbeat: 2, data: 3, bulk: 4 });
  expect(new OutgoingLanes(SETTINGS, ways, lanes.next).next).toEqual(lanes.next);
});

test('a peer that began anew gets what never left, and nothing that did', () => {
  lanes.enqueue(DATA, FRAME, 0, 0);
  lanes.pump('network', 0);
  lanes.enqueue(DATA, FRAME, 0, 0);
  lanes.peerBeganAnew();
  left.network = [];
  lanes.pump('network', 0);
  expect(left.network).toEqual([`${DATA}:2`]);
});
