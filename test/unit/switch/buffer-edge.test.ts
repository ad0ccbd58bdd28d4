import { beforeEach, expect, test } from 'vitest';
import { DATA } from '../../../agent/base/packet-type.ts';
import { AGENT, SharedState, sharedStateBytes } from '../../../agent/queue/shared-state.ts';
import { WriteBuffer, writeBufferBytes } from '../../../agent/queue/write-buffer.ts';
import { BufferEdge } from '../../../agent/switch/buffer-edge.ts';

let state: SharedState;
let edge: BufferEdge;
beforeEach(() => {
  state = new SharedState(new SharedArrayBuffer(sharedStateBytes()));
  edge = new BufferEdge(new WriteBuffer(new SharedArrayBuffer(writeBufferBytes), state, 1 << 20), state);
});

const word = (at: number): number => state.words[at] ?? 0;
const submit = (sequence = 1): boolean => edge.submit(DATA, 1, sequence, new Uint8Array(60_000), 0);

test('the flush thread is woken when the round ends, if something came in it', () => {
  edge.beginRound();
  edge.endRound();
  expect(word(AGENT.flushWake)).toBe(0);
  edge.beginRound();
  submit();
  expect(word(AGENT.flushWake)).toBe(0);
  edge.endRound();
  expect(word(AGENT.flushWake)).toBe(1);
});

test('a full queue asks for room, until the bell has rung', () => {
  for (let sequence = 1; submit(sequence); sequence++) expect(word(AGENT.roomWanted)).toBe(0);
  expect(word(AGENT.roomWanted)).toBe(1);
  edge.roomCame();
  expect(word(AGENT.roomWanted)).toBe(0);
});

test('a head block that is wanted wakes the flush thread at once', () => {
  edge.wantHead();
  expect([word(AGENT.headWanted), word(AGENT.flushWake)]).toEqual([1, 1]);
});
