import { beforeEach, expect, test } from 'vitest';
import { DATA } from '../../../agent/base/packet-type.ts';
import { FlushLoop } from '../../../agent/flush/flush-loop.ts';
import { SharedKeys, sharedKeysBytes } from '../../../agent/queue/shared-keys.ts';
import { AGENT_TIME, SharedState, sharedStateBytes } from '../../../agent/queue/shared-state.ts';
import { WriteBuffer, writeBufferBytes } from '../../../agent/queue/write-buffer.ts';
import { BLOCK_BYTES, SLOT_BYTES_MIN, SLOTS_OFFSET } from '../../../agent/volume/layout.ts';
import { READER_MEMORY_BYTES, SlotReader } from '../../../agent/volume/slot-reader.ts';
import { WRITER } from '../../../agent/volume/slot-writer.ts';
import type { ClusterKeys } from '../../../agent/wire/key-ring.ts';
import { MemoryDisk } from '../../support/memory-disk.ts';
import { CLUSTER_KEY, CLUSTER_UUID, incarnationOf, SEALED, slotGeometry, TestWriter } from '../../support/volume.ts';

const EIO = -5;
let disk: MemoryDisk;
let writer: TestWriter;
let state: SharedState;
let buffer: WriteBuffer;
let loop: FlushLoop;
let nowMs: number;

beforeEach(() => make(CLUSTER_KEY));

function make(key: Uint8Array | ClusterKeys): void {
  disk = new MemoryDisk(SLOTS_OFFSET + SLOT_BYTES_MIN);
  writer = new TestWriter(disk, { key });
  state = new SharedState(new SharedArrayBuffer(sharedStateBytes(1)), 1);
  buffer = new WriteBuffer(new SharedArrayBuffer(writeBufferBytes), state, 65536);
  nowMs = 1000;
  const settings = {
    deadlineMs: 0.2,
    beaconMs: 1000,
    maxAgeMs: 5000,
    slotBytes: SLOT_BYTES_MIN,
    limits: { bytesPerSecond: 1e9, operationsPerSecond: 1e6 },
    peers: [{ seat: 0, tenant: 1, reader: 0 }],
  };
  loop = new FlushLoop(writer.writer, buffer, state, settings, () => ({
    nowMs,
    monotonicUs: nowMs * 1000,
    wallUs: nowMs * 1000,
  }));
}

function runFor(durationMs: number): void {
  for (const endMs = nowMs + durationMs; nowMs < endMs;) nowMs += Math.min(100, Math.max(0.1, loop.step()));
}

/** What a reader from `position` on is handed, as order marks, until nothing more comes. */
function marksFrom(position: number): number[] {
  const memory = new Uint8Array(READER_MEMORY_BYTES);
  const reader = new SlotReader(disk, slotGeometry(0), 0, CLUSTER_UUID, SEALED, memory, 0);
  reader.accept(incarnationOf(1), position, 0);
  reader.sawHead(writer.writer.position);
  const marks: number[] = [];
  for (let i = 0; i < 20; i++) {
    reader.poll(i, (_, header) => header.recordCount === 0 || marks.push(header.orderMark) > 0);
  }
  return marks;
}

const submit = (sequence: number): boolean => buffer.submit(DATA, 1, sequence, new Uint8Array(100).fill(7), nowMs);
const isBad = (position: number) => (offset: number) =>
  offset === SLOTS_OFFSET + (position % SLOT_BYTES_MIN) ? EIO : null;

test('one ring place that cannot be written is given up, and its records go to the next', () => {
  runFor(10);
  disk.writeFault = isBad(0);
  submit(1);
  runFor(1900);
  expect(state.times[AGENT_TIME.batches]).toBe(0);
  runFor(2000);
  submit(2);
  runFor(100);
  expect(state.times[AGENT_TIME.batches]).toBe(2);
  expect(writer.writer.position).toBe(3 * BLOCK_BYTES);
  expect(marksFrom(0)).toEqual([2, 3]);
});

test('the same where the key that the batch was sealed with is dropped meanwhile: the next place is sealed with the new one', () => {
  const keys = new SharedKeys(new SharedArrayBuffer(sharedKeysBytes));
  keys.put([new Uint8Array(32).fill(1)]);
  make(keys);
  runFor(10);
  disk.writeFault = isBad(0);
  submit(1);
  runFor(1900);
  keys.put([CLUSTER_KEY]);
  runFor(2000);
  expect(state.times[AGENT_TIME.batches]).toBe(1);
  expect(writer.writer.position).toBe(2 * BLOCK_BYTES);
  expect(marksFrom(0)).toEqual([2]);
});

test('the same where the wrap at the end of the ring cannot be written', () => {
  const position = SLOT_BYTES_MIN - BLOCK_BYTES;
  writer.state[WRITER.position] = position;
  runFor(10);
  disk.writeFault = isBad(position);
  for (let sequence = 1; sequence <= 60; sequence++) submit(sequence);
  runFor(4000);
  expect(state.times[AGENT_TIME.batches]).toBe(1);
  expect(marksFrom(position)).toEqual([2]);
});

test('nothing is given up while head blocks fail as well', () => {
  runFor(10);
  disk.writeFault = () => EIO;
  submit(1);
  runFor(10_000);
  expect(writer.writer.position).toBe(0);
  disk.writeFault = () => null;
  runFor(1000);
  expect(writer.writer.position).toBe(BLOCK_BYTES);
  expect(marksFrom(0)).toEqual([1]);
});
