/** Readers are watched one by one: one that stands still does not hide behind another's beat. Real threads, as short as can be. */
import { Worker } from 'node:worker_threads';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { READER, READER_TIME } from '../../agent/queue/reader-words.ts';
import { SharedState, sharedStateBytes } from '../../agent/queue/shared-state.ts';
import { Supervisor } from '../../agent/supervisor.ts';
import { systemClock } from '../../agent/platform/clock.ts';
import { until } from '../support/until.ts';

/** Beats in the word that it is given, unless that one's neighbour says to stand still; ends when told to. */
const BEATS = `
  const { workerData: { buffer, beatAt }, parentPort } = require('node:worker_threads');
  const words = new Int32Array(buffer);
  const timer = setInterval(() => Atomics.load(words, beatAt + 7) === 0 && Atomics.add(words, beatAt, 1), 20);
  parentPort.once('message', () => { clearInterval(timer); });
`;
const PLACE_FREE = 7;
const SOON_MS = 10_000;

let state: SharedState;
let supervisor: Supervisor;
let told: { kind: string; volume?: string; thread?: string }[];
let workers: Map<number, Worker>;
let wanted: Set<number>;

beforeEach(() => {
  state = new SharedState(new SharedArrayBuffer(sharedStateBytes(1)), 1);
  supervisor = new Supervisor(state, { writeDeadlineMs: 1000, beaconMs: 100 });
  told = [];
  supervisor.on('event', (event) => told.push(event));
  workers = new Map();
  wanted = new Set([0, 1]);
  for (const reader of wanted) {
    const start = (): Worker => {
      const beatAt = state.readers[reader]!.words.byteOffset / 4 + READER.beat;
      const worker = new Worker(BEATS, { eval: true, workerData: { buffer: state.buffer, beatAt } });
      workers.set(reader, worker);
      return worker;
    };
    supervisor.supervise({ thread: 'reader', reader, volume: `/v${reader}` }, start, () => wanted.has(reader));
  }
});
afterEach(async () => supervisor.stop(0));

const standStill = (reader: number, is: boolean): number =>
  Atomics.store(state.readers[reader]!.words, PLACE_FREE, is ? 1 : 0);
const events = (kind: string) => told.filter((event) => event.kind === kind).map(({ volume }) => volume);

test('a reader that stands still is told with its volume, though another beats; and so is that it moves', async () => {
  await until('both beat', () => state.readers.slice(0, 2).every(({ words }) => words[READER.beat]! > 2), SOON_MS);
  standStill(1, true);
  await until('it is told', () => events('thread-stalled').length > 0, SOON_MS);
  expect(events('thread-stalled')).toEqual(['/v1']);
  expect(supervisor.isMoving).toBe(false);
  // In a call to the storage it may stand still; the other's reads say nothing of that.
  state.readers[0]!.times[READER_TIME.beganMs] = systemClock.monotonicMs();
  expect(supervisor.isMoving).toBe(false);
  state.readers[0]!.times[READER_TIME.beganMs] = 0;
  state.readers[1]!.times[READER_TIME.beganMs] = systemClock.monotonicMs() - 1;
  expect(supervisor.isMoving).toBe(true);
  await until('the hanging read is told', () => events('read-error').length > 0, SOON_MS);
  state.readers[1]!.times[READER_TIME.beganMs] = 0;
  standStill(1, false);
  await until('that is over', () => events('thread-moves').length > 0 && events('read-good').length > 0, SOON_MS);
  for (const kind of ['thread-moves', 'read-error', 'read-good']) expect(events(kind)).toEqual(['/v1']);
}, 40_000);

test('one that dies is started again and told with its volume; one that ends unwanted is not missed', async () => {
  const [first] = workers.values();
  await first?.terminate();
  await until('another is there', () => workers.get(0) !== first, SOON_MS);
  expect(told).toMatchObject([{ kind: 'thread-died', thread: 'reader', volume: '/v0' }]);
  wanted.delete(1);
  const before = state.readers[1]!.words[READER.beat];
  workers.get(1)?.postMessage('end');
  await until('reader 0 beats on', () => state.readers[0]!.words[READER.beat]! > 200, SOON_MS);
  expect(state.readers[1]!.words[READER.beat]).toBeGreaterThanOrEqual(before!);
  expect(events('thread-stalled')).toEqual([]);
}, 40_000);

test('one whose number is another’s by the time that its end is heard of is not started again', async () => {
  const former = workers.get(1);
  wanted.delete(1);
  // Its end is on the way, and the number is given away meanwhile.
  former?.postMessage('end');
  let starts = 0;
  const start = (): Worker => {
    starts++;
    const beatAt = state.readers[1]!.words.byteOffset / 4 + READER.beat;
    return new Worker(BEATS, { eval: true, workerData: { buffer: state.buffer, beatAt } });
  };
  supervisor.supervise({ thread: 'reader', reader: 1, volume: '/other' }, start);
  wanted.add(1);
  await new Promise((resolve) => former?.once('exit', resolve));
  await until('reader 0 beats on', () => state.readers[0]!.words[READER.beat]! > 20, SOON_MS);
  // On a busy machine a thread may stand still for a while, which is told too.
  const ends = told.filter(({ kind }) => kind !== 'thread-stalled' && kind !== 'thread-moves');
  expect([starts, workers.get(1) === former, ends]).toEqual([1, true, []]);
}, 40_000);
