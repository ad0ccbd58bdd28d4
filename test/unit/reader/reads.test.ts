/** What readers publish of their reads: each in words of its own, which nobody else writes. */
import { beforeEach, expect, test } from 'vitest';
import { READER, READER_TIME, type ReaderWords, readsInTime } from '../../../agent/queue/reader-words.ts';
import { AGENT_TIME, clearReader, SharedState, sharedStateBytes } from '../../../agent/queue/shared-state.ts';
import { Reads } from '../../../agent/reader/reads.ts';
import { MemoryDisk } from '../../support/memory-disk.ts';

const EIO = -5;
const DEADLINE_MS = 1000;
const INTO = new Uint8Array(512);
let nowMs: number;
let state: SharedState;
let disks: [MemoryDisk, MemoryDisk];
let readers: [Reads, Reads];
let words: [ReaderWords, ReaderWords];

beforeEach(() => {
  nowMs = 5000;
  state = new SharedState(new SharedArrayBuffer(sharedStateBytes(1)), 1);
  words = [state.readers[0]!, state.readers[1]!];
  disks = [new MemoryDisk(4096), new MemoryDisk(4096)];
  readers = [new Reads(disks[0], words[0], () => nowMs), new Reads(disks[1], words[1], () => nowMs)];
});

const inTime = (): boolean[] => words.map((reader) => readsInTime(reader, nowMs, DEADLINE_MS));

test('a read that hangs is seen while another reader goes on', () => {
  disks[0].readFault = () => {
    for (let i = 0; i < 3; i++) {
      nowMs += DEADLINE_MS;
      readers[1].beat();
      readers[1].read(0, INTO);
    }
    expect(inTime()).toEqual([false, true]);
    return null;
  };
  readers[0].read(0, INTO);
  expect(inTime()).toEqual([true, true]);
  expect(words.map((reader) => reader.words[READER.beat])).toEqual([0, 3]);
});

test('an error stays seen while another reader reads well', () => {
  disks[0].readFault = () => EIO;
  readers[0].read(0, INTO);
  readers[1].read(0, INTO);
  expect(inTime()).toEqual([false, true]);
  expect(words.map((reader) => reader.words[READER.errno])).toEqual([5, 0]);
  disks[0].readFault = () => null;
  readers[0].read(0, INTO);
  expect(inTime()).toEqual([true, true]);
  expect(words[0].words[READER.failedErrno]).toBe(5);
});

test('a flood on any volume is one, and ends by itself alone', () => {
  readers[0].isFlood = true;
  readers[1].isFlood = false;
  expect(state.isFlood).toBe(true);
  readers[0].isFlood = false;
  expect(state.isFlood).toBe(false);
});

test('totals are of all readers, and do not go back when a number is given to another one', () => {
  for (let i = 0; i < 3; i++) readers[0].read(0, INTO);
  disks[1].readFault = () => EIO;
  readers[1].read(0, INTO);
  const totals = { reads: 4, bytesRead: 3 * INTO.length, readErrors: 1 };
  expect(state.readTotals).toEqual(totals);
  Atomics.store(words[0].words, READER.plan, 7);
  clearReader(state, 0);
  expect(state.readTotals).toEqual(totals);
  expect([words[0].words[READER.plan], words[0].times[READER_TIME.reads]]).toEqual([0, 0]);
  expect(state.times[AGENT_TIME.pastReads]).toBe(3);
});

test('what a reader left that died in a read holds no longer than until its successor begins', () => {
  words[0].times[READER_TIME.beganMs] = 1;
  Atomics.store(words[0].words, READER.flood, 1);
  expect(inTime()).toEqual([false, true]);
  readers[0] = new Reads(disks[0], words[0], () => nowMs);
  expect(inTime()).toEqual([true, true]);
  expect(state.isFlood).toBe(false);
});
