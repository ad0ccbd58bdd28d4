import { beforeEach, describe, expect, test } from 'vitest';
import { BULK, CONTROL, DATA, HEARTBEAT, type TypeIndex } from '../../../agent/base/packet-type.ts';
import { READER } from '../../../agent/queue/reader-words.ts';
import { AGENT, SharedState, sharedStateBytes } from '../../../agent/queue/shared-state.ts';
import { WriteBuffer, writeBufferBytes } from '../../../agent/queue/write-buffer.ts';

const THRESHOLD = 4096;
let state: SharedState;
let buffer: WriteBuffer;

const setFlood = (reader: number, flood: number): number =>
  Atomics.store(state.readers[reader]!.words, READER.flood, flood);

beforeEach(() => {
  state = new SharedState(new SharedArrayBuffer(sharedStateBytes(1)), 1);
  buffer = new WriteBuffer(new SharedArrayBuffer(writeBufferBytes), state, THRESHOLD);
});

const wakes = (): number => Atomics.load(state.words, AGENT.flushWake);

function takeAll(lowest: TypeIndex = BULK): [TypeIndex, number, number, number, number][] {
  const taken: [TypeIndex, number, number, number, number][] = [];
  buffer.transportData(lowest, ({ type, peer, sequence, enteredMs, length }) => {
    taken.push([type, peer, sequence, enteredMs, length]);
    return true;
  });
  return taken;
}

describe('write buffer', () => {
  test('gives packets out in priority order, and in order within a type', () => {
    buffer.submit(BULK, 1, 1, new Uint8Array(1), 10);
    buffer.submit(DATA, 2, 2, new Uint8Array(2), 11);
    buffer.submit(DATA, 2, 3, new Uint8Array(3), 12);
    buffer.submit(HEARTBEAT, 3, 4, new Uint8Array(4), 13);
    buffer.submit(CONTROL, 4, 5, new Uint8Array(5), 14);
    expect(buffer.oldestEnteredMs()).toBe(10);
    expect(takeAll()).toEqual([
      [CONTROL, 4, 5, 14, 5],
      [HEARTBEAT, 3, 4, 13, 4],
      [DATA, 2, 2, 11, 2],
      [DATA, 2, 3, 12, 3],
      [BULK, 1, 1, 10, 1],
    ]);
    expect(buffer.isEmpty).toBe(true);
    expect(buffer.oldestEnteredMs()).toBe(Infinity);
  });

  test('`lowest` leaves what is less important in', () => {
    for (const type of [BULK, DATA, HEARTBEAT] as const) buffer.submit(type, 0, 0, new Uint8Array(1), 0);
    expect(takeAll(HEARTBEAT).map(([type]) => type)).toEqual([HEARTBEAT]);
    expect(takeAll().map(([type]) => type)).toEqual([DATA, BULK]);
  });

  test('what the taker has no room for stays, and everything behind it', () => {
    for (let i = 0; i < 4; i++) buffer.submit(DATA, 0, i, new Uint8Array(1), 0);
    buffer.submit(BULK, 0, 9, new Uint8Array(1), 0);
    expect(buffer.transportData(BULK, ({ sequence }) => sequence < 2)).toBe(2);
    expect(takeAll().map(([, , sequence]) => sequence)).toEqual([2, 3, 9]);
  });

  test('a full queue refuses, and those of the other types do not', () => {
    const frame = new Uint8Array(60_000);
    let count = 0;
    while (buffer.submit(HEARTBEAT, 0, 0, frame, 0)) count++;
    expect(count).toBe(4);
    expect(buffer.submit(DATA, 0, 0, frame, 0)).toBe(true);
  });

  test('the first packet wakes, later ones do not, the one that reaches the set point does', () => {
    buffer.submit(DATA, 0, 0, new Uint8Array(1000), 0);
    expect(wakes()).toBe(1);
    buffer.submit(DATA, 0, 1, new Uint8Array(1000), 0);
    expect(wakes()).toBe(1);
    expect(buffer.reachedThreshold).toBe(false);
    buffer.submit(DATA, 0, 2, new Uint8Array(3000), 0);
    expect(wakes()).toBe(2);
    expect(buffer.reachedThreshold).toBe(true);
  });

  test('the first packet wakes also where the ring goes over its end', () => {
    buffer = new WriteBuffer(new SharedArrayBuffer(writeBufferBytes), state, 65_536);
    // 262,144 bytes of heartbeats: after 26 of 10,024 bytes the next one does not fit before the end.
    for (let i = 0; i < 100; i++) {
      const before = wakes();
      buffer.submit(HEARTBEAT, 0, i, new Uint8Array(10_000), 0);
      expect(wakes(), `packet ${i}`).toBe(before + 1);
      expect(takeAll().length).toBe(1);
    }
  });

  test.each([0, 1])('a packet put in while the flush thread takes all there was wakes it again (flood %i)', (flood) => {
    setFlood(0, flood);
    const round = (frame: Uint8Array): void => {
      buffer.isRound = flood === 1;
      buffer.submit(DATA, 0, 0, frame, 0);
      if (flood === 1) buffer.endRound();
    };
    round(new Uint8Array(100));
    buffer.oldestEnteredMs();
    const before = wakes();
    // Between the look at the buffer and the copy: all is taken, and the thread goes to sleep.
    const frame = new Uint8Array(100);
    let drained = 0;
    Object.defineProperty(frame, 'length', {
      get: () => {
        if (drained === 0) drained = takeAll().length;
        expect(drained).toBe(1);
        return 100;
      },
    });
    round(frame);
    expect(wakes()).toBe(before + 1);
    // It has been told, and later packets need not.
    round(new Uint8Array(100));
    expect(wakes()).toBe(before + 1);
    expect(buffer.oldestEnteredMs()).toBe(0);
    round(new Uint8Array(100));
    expect(wakes()).toBe(before + 1);
    expect(takeAll().length).toBe(3);
    expect(buffer.oldestEnteredMs()).toBe(Infinity);
    round(new Uint8Array(100));
    expect(wakes()).toBe(before + 2);
  });

  test('flushNow wakes and says so', () => {
    buffer.flushNow();
    expect(Atomics.load(state.words, AGENT.flushNow)).toBe(1);
    expect(wakes()).toBe(1);
  });
});

describe('write buffer: rounds', () => {
  const flushNow = (): number => Atomics.exchange(state.words, AGENT.flushNow, 0);
  const round = (type: TypeIndex, frames: number, bytes: number): void => {
    buffer.isRound = true;
    for (let i = 0; i < frames; i++) buffer.submit(type, 0, i, new Uint8Array(bytes), 0);
    buffer.endRound();
  };

  test('one wake-up serves for a round, and what it brought is written at once', () => {
    round(DATA, 5, 100);
    expect([wakes(), flushNow()]).toEqual([1, 1]);
    expect(buffer.isRound).toBe(false);
  });

  test('reaching the set point wakes within a round', () => {
    buffer.isRound = true;
    buffer.submit(DATA, 0, 0, new Uint8Array(THRESHOLD), 0);
    expect(wakes()).toBe(1);
  });

  test('in a flood the answers wait: the first wakes, so that its deadline is counted, and no write is asked for', () => {
    setFlood(0, 1);
    round(DATA, 1, 100);
    round(DATA, 1, 100);
    expect([wakes(), flushNow()]).toEqual([1, 0]);
  });

  test('in a flood heartbeats do not wait, nor do answers beside one', () => {
    setFlood(0, 1);
    round(HEARTBEAT, 1, 100);
    expect(flushNow()).toBe(1);
    round(DATA, 1, 100);
    expect(flushNow()).toBe(1);
  });

  test('in a flood more than a few answers do not wait', () => {
    buffer = new WriteBuffer(new SharedArrayBuffer(writeBufferBytes), state, 65_536);
    setFlood(0, 1);
    round(DATA, 10, 1000);
    expect(flushNow()).toBe(0);
    round(DATA, 10, 1000);
    expect(flushNow()).toBe(1);
  });
});
