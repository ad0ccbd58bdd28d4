/** One receive volume that fails or hangs is told once, and once more when it is read again; by a clock of the test's. */
import { beforeEach, expect, test } from 'vitest';
import { READER, type ReaderWords } from '../../agent/queue/reader-words.ts';
import { SharedState, sharedStateBytes } from '../../agent/queue/shared-state.ts';
import { ReadWatch } from '../../agent/read-watch.ts';
import { Reads } from '../../agent/reader/reads.ts';
import { MemoryDisk } from '../support/memory-disk.ts';

const EIO = -5;
const DEADLINE_MS = 1000;
const INTO = new Uint8Array(512);
let nowMs: number;
let words: ReaderWords;
let disk: MemoryDisk;
let reads: Reads;
let watch: ReadWatch;

beforeEach(() => {
  nowMs = 10_000;
  words = new SharedState(new SharedArrayBuffer(sharedStateBytes(1)), 1).readers[3] as ReaderWords;
  disk = new MemoryDisk(4096);
  reads = new Reads(disk, words, () => nowMs);
  watch = new ReadWatch(words, '/v', DEADLINE_MS);
});

const FAILED = { kind: 'read-error', volume: '/v', reason: 'a read failed', errno: 5, forMs: null };

/** Looks during a read that takes so long, and answers what was told. */
function lookInRead(tookMs: number): unknown {
  let told: unknown;
  disk.readFault = () => {
    nowMs += tookMs;
    told = watch.look(nowMs);
    return null;
  };
  reads.read(0, INTO);
  disk.readFault = () => null;
  return told;
}

test('a good volume is no news', () => {
  reads.read(0, INTO);
  expect(watch.look(nowMs)).toBeNull();
  expect(lookInRead(DEADLINE_MS)).toBeNull();
});

test('a read that takes longer than the deadline hangs, until it ends', () => {
  expect(lookInRead(DEADLINE_MS + 1)).toEqual({
    kind: 'read-error',
    volume: '/v',
    reason: 'a read hangs',
    errno: null,
    forMs: DEADLINE_MS + 1,
  });
  nowMs += 500;
  expect(watch.look(nowMs)).toEqual({ kind: 'read-good', volume: '/v', afterMs: 500 });
  expect(watch.look(nowMs)).toBeNull();
});

test('reads that fail are told with their error, once', () => {
  disk.readFault = () => EIO;
  reads.read(0, INTO);
  expect(watch.look(nowMs)).toEqual(FAILED);
  nowMs += 1000;
  reads.read(0, INTO);
  expect(watch.look(nowMs)).toBeNull();
  disk.readFault = () => null;
  nowMs += 1000;
  expect(watch.look(nowMs)).toBeNull(); // nothing was read well since
  reads.read(0, INTO);
  nowMs += 1000;
  expect(watch.look(nowMs)).toEqual({ kind: 'read-good', volume: '/v', afterMs: 3000 });
});

test('a volume of which one place fails and others do not is bad throughout', () => {
  const told: unknown[] = [];
  for (let look = 0; look < 10; look++) {
    disk.readFault = () => EIO;
    reads.read(0, INTO);
    disk.readFault = () => null;
    reads.read(0, INTO);
    expect(words.words[READER.errno]).toBe(0);
    nowMs += 1000;
    const news = watch.look(nowMs);
    if (news) told.push(news);
  }
  expect(told).toEqual([FAILED]);
});
