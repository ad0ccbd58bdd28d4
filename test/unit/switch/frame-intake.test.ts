/** What comes out of the interface: taken, kept back, or thrown away after a standstill. */
import { beforeEach, describe, expect, test } from 'vitest';
import { EntryTime } from '../../../agent/core/entry-time.ts';
import { FrameIntake } from '../../../agent/switch/frame-intake.ts';

const MAX_AGE_MS = 2000;

/** The first byte of each frame that lies in the interface, and of each that the core took. */
let queue: number[];
let taken: number[];
let hasRoom: boolean;
let isGone: boolean;
let standstillMs: number;
let stale: number;
/** Where the core's lane wants the next frame. */
let place: Uint8Array | null;
let intake: FrameIntake;

beforeEach(() => {
  [queue, taken] = [[], []];
  [hasRoom, isGone, standstillMs, stale, place] = [true, false, 0, 0, null];
  const device = {
    name: 'sb0',
    read: (into: Uint8Array) => {
      if (isGone) return -5;
      const first = queue.shift();
      if (first !== undefined) into[0] = first;
      return first === undefined ? 0 : 1;
    },
  };
  const core = {
    entry: new EntryTime(),
    frame: ([first = 0]: Uint8Array) => hasRoom && taken.push(first) > 0,
    place: () => place,
    standstillMs: () => standstillMs,
    countStale: (frames: number) => void (stale += frames),
  };
  intake = new FrameIntake(device, core, MAX_AGE_MS);
});

test('takes what is there, so many in a round that others are not kept waiting', () => {
  queue = Array.from({ length: 100 }, (_, i) => i);
  expect(intake.take(true, 0)).toBe(true);
  expect(taken).toHaveLength(64);
  expect(intake.take(true, 0)).toBe(false);
  expect(taken).toEqual(Array.from({ length: 100 }, (_, i) => i));
});

test('an interface that has nothing is not read', () => {
  isGone = true;
  expect(intake.take(false, 0)).toBe(false);
  expect(() => intake.take(true, 0)).toThrow('the interface sb0 is gone');
});

describe('a frame that its lane has no room for', () => {
  beforeEach(() => {
    queue = [1, 2];
    hasRoom = false;
    expect(intake.take(true, 0)).toBe(false);
  });

  test('keeps the interface from being read, and goes first when there is room', () => {
    expect([intake.isWaiting, queue]).toEqual([true, [2]]);
    expect(intake.take(true, 0)).toBe(false);
    expect(queue).toEqual([2]);
    hasRoom = true;
    intake.take(true, 0);
    expect([taken, intake.isWaiting]).toEqual([[1, 2], false]);
  });

  test('is thrown away with the rest after a standstill', () => {
    standstillMs = MAX_AGE_MS + 1;
    intake.beginRound(0);
    expect([intake.isWaiting, queue, stale]).toEqual([false, [], 2]);
  });
});

test('[AGE1] after a standstill that no packet outlives nothing is thrown away that may still be young', () => {
  queue = [1, 2];
  standstillMs = MAX_AGE_MS;
  intake.beginRound(0);
  expect([queue, stale]).toEqual([[1, 2], 0]);
});

test('one that waits in its lane’s own memory is kept when something else goes there', () => {
  place = new Uint8Array(1);
  queue = [7];
  hasRoom = false;
  intake.take(true, 0);
  intake.keepWaiting();
  place[0] = 99;
  hasRoom = true;
  intake.take(true, 0);
  expect(taken).toEqual([7]);
});
