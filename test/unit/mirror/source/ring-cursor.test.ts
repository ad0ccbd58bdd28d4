/** A cursor over a ring whose window is small: some of it comes from the file, and entries are of all sizes. */
import { beforeEach, expect, test } from 'vitest';
import { Prng } from '../../../../agent/base/prng.ts';
import { Appender } from '../../../../agent/mirror/source/appender.ts';
import { RingCursor, type Batch, type LiveRing } from '../../../../agent/mirror/source/ring-cursor.ts';
import { allocateJournal, JournalMemory } from '../../../../agent/mirror/store/journal-memory.ts';
import type { RingPlace } from '../../../../agent/mirror/store/ring.ts';
import { decodeEntry, ENTRY, ENTRY_KIND, entryBytes } from '../../../../agent/mirror/wire/entry.ts';
import { JOURNAL_RING_OFFSET } from '../../../../agent/mirror/wire/layout.ts';

const SIZE = { windowBytes: 8192, ringBytes: 8 * 8192 };
const START: RingPlace = { position: 0, mark: 0, chain: 0n, time: 0n, cycle: 1 };

let memory: JournalMemory;
let appender: Appender;
let file: Uint8Array;
let tail: number;
let reads: number;

beforeEach(() => {
  memory = new JournalMemory(allocateJournal(SIZE));
  appender = new Appender(memory, new Uint8Array(16).fill(7), START, 0, () => 1n);
  file = new Uint8Array(JOURNAL_RING_OFFSET + SIZE.ringBytes);
  tail = 0;
  reads = 0;
});

const ring: LiveRing = {
  ...SIZE,
  get head() {
    return appender.head;
  },
  get durable() {
    return appender.durable;
  },
  windowFrom: (position) =>
    position < appender.windowStart ? null : memory.window.subarray(position % SIZE.windowBytes),
  inFile: (position) => position >= tail && position >= appender.head - SIZE.ringBytes,
};

const readFile = async (offset: number, into: Uint8Array): Promise<void> => {
  reads++;
  await Promise.resolve();
  into.set(file.subarray(offset, offset + into.length));
};

/** Appends a write, and lets the "journal thread" put it into the file at once. */
function write(bytes: number): void {
  const from = appender.head;
  const put = appender.append(ENTRY_KIND.write, 0, 0, bytes, [new Uint8Array(bytes).fill(bytes)]);
  if (!put) throw new Error('no room');
  for (let at = from; at < appender.head; at++) {
    file[JOURNAL_RING_OFFSET + (at % SIZE.ringBytes)] = memory.window[at % SIZE.windowBytes] ?? 0;
  }
  appender.durable = appender.head;
  appender.windowFloor = appender.head;
}

function marksOf({ bytes, count }: Batch): number[] {
  const marks: number[] = [];
  let at = 0;
  for (let i = 0; i < count; i++) {
    const decoded = decodeEntry(bytes, at);
    if (!decoded.ok) throw new Error(decoded.fault);
    const { mark, payloadBytes } = decoded.entry;
    expect(bytes[at + ENTRY.bytes]).toBe(payloadBytes & 255);
    marks.push(mark);
    at += entryBytes(payloadBytes);
  }
  expect(at).toBe(bytes.length);
  return marks;
}

test('every entry comes once and in order, wherever it lies, and entries are never cut', async () => {
  const prng = new Prng(3);
  const cursor = new RingCursor(ring, START, readFile);
  const seen: number[] = [];
  let written = 0;
  for (let round = 0; round < 400; round++) {
    const count = prng.below(12);
    for (let i = 0; i < count && appender.head - cursor.place.position < SIZE.ringBytes / 2; i++) {
      write(1 + prng.below(prng.below(4) === 0 ? 3500 : 200));
      written++;
    }
    tail = cursor.place.position;
    appender.ringFloor = tail;
    const batch = prng.below(2) === 0 ? cursor.take(4096) : await cursor.load(4096);
    if (batch) seen.push(...marksOf(batch));
  }
  for (let batch = await cursor.load(4096); batch; batch = await cursor.load(4096)) seen.push(...marksOf(batch));
  expect(seen).toEqual(Array.from({ length: written }, (_, i) => i + 1));
  expect(reads).toBeGreaterThan(10);
  expect(cursor.place).toEqual(appender.place);
});

test('it seeks a mark, and knows the chain there', async () => {
  const places: RingPlace[] = [START];
  for (let i = 0; i < 100; i++) {
    write(100);
    places.push(appender.place);
  }
  for (const mark of [0, 1, 37, 99, 100]) {
    const cursor = new RingCursor(ring, START, readFile);
    await cursor.seek(mark);
    expect([cursor.place.mark, cursor.place.chain]).toEqual([mark, places[mark]?.chain]);
  }
  await expect(new RingCursor(ring, START, readFile).seek(101)).rejects.toThrow('mark 101 is not in the journal');
});

test('what a former lap left where the file has not been written yet is not taken for the next entry', async () => {
  // As large as divides the window and the ring: entries of two laps begin at the same places.
  const bytes = 1024 - ENTRY.bytes - 32;
  const writeNext = (): void => {
    appender.ringFloor = appender.head;
    write(bytes);
  };
  for (let mark = 1; mark <= 66; mark++) writeNext();
  const from = appender.place;
  for (let mark = 67; mark <= 68; mark++) writeNext();
  // A start: the window is empty, and what comes is in it alone at first.
  appender = new Appender(memory, new Uint8Array(16).fill(7), appender.place, appender.head, () => 1n);
  appender.append(ENTRY_KIND.write, 0, 0, bytes, [new Uint8Array(bytes).fill(bytes)]);
  const cursor = new RingCursor(ring, from, readFile);
  const seen: number[] = [];
  for (let batch = await cursor.load(1 << 20); batch; batch = await cursor.load(1 << 20)) seen.push(...marksOf(batch));
  expect(seen).toEqual([67, 68, 69]);
});

test('what is being written to the file, or could not be, is taken from the window', async () => {
  for (let i = 0; i < 100; i++) write(100);
  const { head } = appender;
  appender.append(ENTRY_KIND.write, 0, 0, 2000, [new Uint8Array(2000).fill(2000)]);
  // Its header is there, and nothing of its payload.
  for (let at = head; at < head + ENTRY.bytes; at++) {
    file[JOURNAL_RING_OFFSET + (at % SIZE.ringBytes)] = memory.window[at % SIZE.windowBytes] ?? 0;
  }
  const cursor = new RingCursor(ring, START, readFile);
  const seen: number[] = [];
  for (let batch = await cursor.load(1 << 20); batch; batch = await cursor.load(1 << 20)) seen.push(...marksOf(batch));
  expect([reads, seen]).toEqual([1, Array.from({ length: 101 }, (_, i) => i + 1)]);
});

test('what was written over is told, never sent', async () => {
  for (let i = 0; i < 200; i++) write(100);
  const cursor = new RingCursor(ring, START, readFile);
  tail = appender.head - 8192;
  await expect(cursor.load(4096)).rejects.toThrow('what it lacks has been written over');
  expect(cursor.place).toEqual(START);
});

test('damage in the file is told by its place', async () => {
  for (let i = 0; i < 200; i++) write(100);
  file[JOURNAL_RING_OFFSET + 10] = 99;
  await expect(new RingCursor(ring, START, readFile).load(4096)).rejects.toThrow(
    'the journal is damaged at position 0',
  );
});
