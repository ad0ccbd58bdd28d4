/** The switch's mind with ports that a test holds: what a full lane does to the others, and who gets the write buffer. */
import { beforeEach, expect, test } from 'vitest';
import { Classifier } from '../../../agent/core/classify.ts';
import { NodeCore } from '../../../agent/core/node-core.ts';
import { SharedState, sharedStateBytes } from '../../../agent/queue/shared-state.ts';
import { buildUdp4 } from '../../support/packets.ts';

const PEERS = ['10.77.0.2', '10.77.0.3'];
const RETAIN_BYTES = 65_536;
const PUSH_BACK_MS = 3;
let core: NodeCore;

beforeEach(() => {
  const state = new SharedState(new SharedArrayBuffer(sharedStateBytes()));
  const judge = { intervalMs: 50, misses: 3, stableForMs: 3000, stableForMsMax: 60_000, hasNetwork: true };
  const links = PEERS.map((name, i) => ({
    name,
    seat: i,
    since: 1,
    addresses: [],
    volumeVersion: 1,
    sendTenant: i + 1,
    judge,
    maxAgeMs: 5000,
    beaconMs: 1000,
    retainBytes: RETAIN_BYTES,
    storageWindowBytes: 16_384,
    readAgainBytes: 65_536,
  }));
  core = new NodeCore(
    { links, beaconMs: 1000, maxAgeMs: 5000, writeDeadlineMs: 1000 },
    new Classifier(
      [],
      PEERS.map((address) => ({ addresses: [address] })),
    ),
    new Uint8Array(16).fill(1),
    state,
    { submit: () => false, deliver: () => true, event: () => {}, wantHead: () => {} },
    0,
  );
});

const data = (peer: number): Uint8Array =>
  buildUdp4({ source: '10.77.0.1', target: PEERS[peer] ?? '', targetPort: 4000, payload: new Uint8Array(1400) });

/** Offers frames to the first peer until its lane is full: nobody confirms anything. */
function fill(): void {
  for (let i = 0; i < RETAIN_BYTES / 1400 + 1; i++) if (!core.frame(data(0), 0)) return;
  throw new Error('the lane does not fill');
}

test('a full lane pushes back for a while, and then drops the newest', () => {
  fill();
  expect(core.frame(data(0), PUSH_BACK_MS - 0.1)).toBe(false);
  expect(core.links[0]?.outgoing.data.counters.dropped).toBe(0);
  expect(core.frame(data(0), PUSH_BACK_MS)).toBe(true);
  expect(core.links[0]?.outgoing.data.counters.dropped).toBe(1);
});

test('a lane that stays full holds nobody up: after its one wait the others’ frames are taken between its drops', () => {
  fill();
  expect(core.frame(data(0), PUSH_BACK_MS)).toBe(true);
  for (let i = 0; i < 20; i++) {
    expect(core.frame(data(1), PUSH_BACK_MS)).toBe(true);
    expect(core.frame(data(0), PUSH_BACK_MS)).toBe(true);
  }
  expect(core.links[1]?.outgoing.data.counters).toMatchObject({ sent: 20, dropped: 0 });
  expect(core.links[0]?.outgoing.data.counters.dropped).toBe(21);
});

test('a lane that moves again may push back again', () => {
  fill();
  core.frame(data(0), PUSH_BACK_MS);
  const lane = core.links[0]?.outgoing.data;
  expect(lane?.confirm(3)).toBe(true);
  while (lane?.hasRoom(1500)) core.frame(data(0), 10);
  expect(core.frame(data(0), 10)).toBe(false);
  expect(lane?.counters.dropped).toBe(1);
});
