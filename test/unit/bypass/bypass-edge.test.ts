/** What the readers are told of the bypass. Without routes of its own the edge asks nothing of the kernel. */
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { PeerLink } from '../../../agent/core/peer-link.ts';
import { PEER, SharedState, sharedStateBytes } from '../../../agent/queue/shared-state.ts';
import { BypassEdge } from '../../../agent/switch/bypass-edge.ts';

const PLAN = { interfaceIndex: 1, table: 0, routes: { b: [] }, isKernelLeaving: true };

let link: { bypass: { active: boolean }; judge: { hasCarrier: boolean } };
let edge: BypassEdge;
let words: Int32Array;
let applied: boolean[];

/** The word that a reader waits by. */
const told = (): number => Atomics.load(words, PEER.bypass);

beforeEach(() => {
  const state = new SharedState(new SharedArrayBuffer(sharedStateBytes(1)), 1);
  words = state.peers[0]!.words;
  applied = [];
  const bypass = { active: true, willing: true, peerWilling: true, asks: () => false };
  const fields = { bypass, judge: { hasCarrier: true, path: 'network' }, settings: { seat: 0, name: 'b' } };
  link = fields;
  edge = new BypassEdge(PLAN, state, 1, (event) => {
    if (event.kind === 'bypass') applied.push(event.active);
  });
  edge.attach(fields as unknown as PeerLink);
  edge.round(1000);
  expect([told(), applied]).toEqual([1, [true]]);
});

afterEach(() => edge.close());

function loseCarrier(nowMs: number): void {
  link.judge.hasCarrier = false;
  link.bypass.active = false;
  edge.round(nowMs);
}

function findCarrier(nowMs: number, active: boolean): void {
  link.judge.hasCarrier = true;
  link.bypass.active = active;
  edge.round(nowMs);
}

test('a route that is left to the kernel holds up no reader, though it is removed later', () => {
  loseCarrier(2000);
  expect([told(), applied]).toEqual([0, [true]]);
  edge.round(2299);
  expect(applied).toEqual([true]);
  edge.round(2300);
  expect([told(), applied]).toEqual([0, [true, false]]);
});

test('a carrier that is back at once: the reader waits again, and the next loss counts from its own beginning', () => {
  loseCarrier(2000);
  findCarrier(2010, true);
  expect([told(), applied]).toEqual([1, [true]]);
  loseCarrier(5000);
  expect([told(), applied]).toEqual([0, [true]]);
});

test('a carrier that is back without the bypass: the route is removed, and the reader told', () => {
  loseCarrier(2000);
  findCarrier(2010, false);
  expect([told(), applied]).toEqual([0, [true, false]]);
});

test('[AG12] a peer that loses its bypass by a plan holds up no reader', () => {
  edge.detach(0);
  expect(told()).toBe(0);
});
