/** `storage.limits`: everything that the flush thread writes keeps to them, by a clock that the test moves. */
import { expect, test } from 'vitest';
import { DATA } from '../../../agent/base/packet-type.ts';
import type { Limits } from '../../../agent/flush/budget.ts';
import { FlushLoop, type FlushSettings } from '../../../agent/flush/flush-loop.ts';
import { AGENT, AGENT_TIME, SharedState, sharedStateBytes } from '../../../agent/queue/shared-state.ts';
import { WriteBuffer, writeBufferBytes } from '../../../agent/queue/write-buffer.ts';
import { SLOT_BYTES_MIN, SLOTS_OFFSET } from '../../../agent/volume/layout.ts';
import { MemoryDisk } from '../../support/memory-disk.ts';
import { TestWriter } from '../../support/volume.ts';

const STEP_MS = 0.5;
const SECONDS = 5;
/** More than any of the limits lets through. */
const RECORDS_A_STEP = 4;
const RECORD = new Uint8Array(1400);

let nowMs: number;
let state: SharedState;
let buffer: WriteBuffer;
let loop: FlushLoop;

const settings = (limits: Limits): FlushSettings => ({
  deadlineMs: 0.2,
  beaconMs: 1000,
  maxAgeMs: 2000,
  slotBytes: SLOT_BYTES_MIN,
  limits,
  peers: [{ seat: 0, tenant: 1, reader: 0 }],
});

function make(limits: Limits): void {
  nowMs = 1000;
  state = new SharedState(new SharedArrayBuffer(sharedStateBytes(1)), 1);
  buffer = new WriteBuffer(new SharedArrayBuffer(writeBufferBytes), state, 65_536);
  const { writer } = new TestWriter(new MemoryDisk(SLOTS_OFFSET + SLOT_BYTES_MIN));
  const now = () => ({ nowMs, monotonicUs: Math.round(nowMs * 1000), wallUs: Math.round(nowMs * 1000) });
  loop = new FlushLoop(writer, buffer, state, settings(limits), now);
}

/**
 * More data than the limits let through, and head blocks as often as they may be; answers what was written, a second.
 */
function flood(): { readonly bytes: number; readonly operations: number } {
  const written = () => ({
    bytes: state.times[AGENT_TIME.bytesWritten] ?? 0,
    operations: state.times[AGENT_TIME.writes] ?? 0,
  });
  const before = written();
  for (const end = nowMs + SECONDS * 1000; nowMs < end; nowMs += STEP_MS) {
    for (let i = 0; i < RECORDS_A_STEP && buffer.submit(DATA, 1, 1, RECORD, nowMs); i++);
    Atomics.store(state.words, AGENT.headWanted, 1);
    Atomics.store(state.words, AGENT.flushNow, 1);
    for (let i = 0; i < 20 && loop.step() <= 0; i++);
  }
  const after = written();
  return {
    bytes: (after.bytes - before.bytes) / SECONDS,
    operations: (after.operations - before.operations) / SECONDS,
  };
}

function expectWithin(share: number): void {
  expect(share).toBeLessThan(1.05);
  expect(share).toBeGreaterThan(0.9);
}

test.each([
  ['60 operations', { bytesPerSecond: 0, operationsPerSecond: 60 }],
  ['200 kB', { bytesPerSecond: 200_000, operationsPerSecond: 0 }],
  ['3 MB', { bytesPerSecond: 3_000_000, operationsPerSecond: 0 }],
])('%s a second hold within a twentieth for batches and head blocks together, and are used', (_name, limits) => {
  make(limits);
  flood();
  const { bytes, operations } = flood();
  expect(state.times[AGENT_TIME.headWrites]).toBeGreaterThan(SECONDS);
  expectWithin(
    limits.operationsPerSecond > 0 ? operations / limits.operationsPerSecond : bytes / limits.bytesPerSecond,
  );
});

test('other limits count from their plan on', () => {
  make({ bytesPerSecond: 0, operationsPerSecond: 90 });
  for (const operationsPerSecond of [60, 120, 30]) {
    loop.apply(settings({ bytesPerSecond: 0, operationsPerSecond }));
    expectWithin(flood().operations / operationsPerSecond);
  }
});
