/** [AG4] When the flush thread writes and how long it sleeps, by a clock that the test moves. */
import { beforeEach, describe, expect, test } from 'vitest';
import { DATA } from '../../../agent/base/packet-type.ts';
import { FlushLoop } from '../../../agent/flush/flush-loop.ts';
import { READER } from '../../../agent/queue/reader-words.ts';
import { AGENT, AGENT_TIME, SharedState, sharedStateBytes } from '../../../agent/queue/shared-state.ts';
import { WriteBuffer, writeBufferBytes } from '../../../agent/queue/write-buffer.ts';
import { SLOT_BYTES_MIN, SLOTS_OFFSET } from '../../../agent/volume/layout.ts';
import { MemoryDisk } from '../../support/memory-disk.ts';
import { incarnationOf, TestWriter } from '../../support/volume.ts';

const DEADLINE_MS = 5;
const FLOOD_DEADLINE_MS = 0.7;
const THRESHOLD_BYTES = 4096;
const BEACON_MS = 1000;
let nowMs: number;
let disk: MemoryDisk;
let state: SharedState;
let buffer: WriteBuffer;
let loop: FlushLoop;

function make(deadlineMs: number): void {
  nowMs = 1000;
  state = new SharedState(new SharedArrayBuffer(sharedStateBytes(1)), 1);
  buffer = new WriteBuffer(new SharedArrayBuffer(writeBufferBytes), state, THRESHOLD_BYTES);
  disk = new MemoryDisk(SLOTS_OFFSET + SLOT_BYTES_MIN);
  loop = new FlushLoop(
    new TestWriter(disk).writer,
    buffer,
    state,
    {
      deadlineMs,
      beaconMs: BEACON_MS,
      maxAgeMs: 2000,
      slotBytes: SLOT_BYTES_MIN,
      limits: { bytesPerSecond: 0, operationsPerSecond: 0 },
      peers: [{ seat: 0, tenant: 1, reader: 0 }],
    },
    () => ({ nowMs, monotonicUs: Math.round(nowMs * 1000), wallUs: Math.round(nowMs * 1000) }),
  );
  settle();
}

/** Steps until the loop wants to sleep; answers for how long. */
function settle(): number {
  for (let i = 0; i < 10; i++) {
    const sleepMs = loop.step();
    if (sleepMs > 0) return sleepMs;
  }
  throw new Error('the loop does not come to rest');
}

const submit = (bytes: number): boolean => buffer.submit(DATA, 1, 1, new Uint8Array(bytes), nowMs);
const wakes = (): number => Atomics.load(state.words, AGENT.flushWake);
const batches = (): number => state.times[AGENT_TIME.batches] ?? 0;

describe('[AG4] the flush thread', () => {
  beforeEach(() => make(DEADLINE_MS));

  test('[AG4] a lone packet wakes it, and is written when the deadline is over and not before', () => {
    submit(100);
    expect(wakes()).toBe(1);
    expect(settle()).toBeCloseTo(DEADLINE_MS, 6);
    nowMs += DEADLINE_MS - 0.1;
    submit(100);
    expect(settle()).toBeCloseTo(0.1, 6);
    expect([wakes(), batches()]).toEqual([1, 0]);
    nowMs += 0.2;
    settle();
    expect(batches()).toBe(1);
    expect(buffer.isEmpty).toBe(true);
  });

  test('[AG4] reaching the threshold wakes and writes at once, however far the deadline', () => {
    make(1e9);
    submit(100);
    expect(settle()).toBeGreaterThan(BEACON_MS / 2);
    const before = wakes();
    submit(1000);
    expect([wakes(), batches()]).toEqual([before, 0]);
    submit(THRESHOLD_BYTES);
    expect(wakes()).toBe(before + 1);
    settle();
    expect(batches()).toBe(1);
    expect(buffer.isEmpty).toBe(true);
  });

  test('[AG4] with nothing to do it sleeps: until the next beacon, and writes nothing but beacons', () => {
    const writes = state.times[AGENT_TIME.writes] ?? 0;
    const steps = 10;
    for (let i = 0; i < steps; i++) {
      const sleepMs = settle();
      expect(sleepMs).toBeCloseTo(BEACON_MS, 6);
      nowMs += sleepMs;
    }
    settle();
    expect((state.times[AGENT_TIME.writes] ?? 0) - writes).toBe(steps);
    expect(wakes()).toBe(0);
    // Nor does it when it is woken for nothing.
    buffer.flushNow();
    settle();
    expect(batches()).toBe(0);
  });

  test('[AG4] the end of a round is written at once, whatever the deadline', () => {
    make(1e9);
    buffer.isRound = true;
    submit(100);
    expect(wakes()).toBe(0);
    buffer.endRound();
    expect(wakes()).toBe(1);
    settle();
    expect(batches()).toBe(1);
  });

  test('[AG4] in a flood answers wait for one another, at most until the deadline of the flood', () => {
    make(0.1);
    Atomics.store(state.readers[5]!.words, READER.flood, 1);
    const round = (): void => {
      buffer.isRound = true;
      submit(100);
      buffer.endRound();
    };
    round();
    expect(wakes()).toBe(1);
    expect(settle()).toBeCloseTo(FLOOD_DEADLINE_MS, 6);
    nowMs += FLOOD_DEADLINE_MS - 0.1;
    round();
    expect([wakes(), batches()]).toEqual([1, 0]);
    expect(settle()).toBeCloseTo(0.1, 6);
    nowMs += 0.2;
    settle();
    expect([batches(), buffer.isEmpty]).toEqual([1, true]);
    round();
    expect(wakes()).toBe(2);
  });
});

test('[ONE1] a second writer is seen though we write heads much more often than it, whatever the phase', () => {
  for (let phaseMs = 0; phaseMs < BEACON_MS; phaseMs += 10) {
    make(DEADLINE_MS);
    const start = { incarnationNumber: 2, orderMark: 1 << 20, position: 0, head: null };
    const second = new TestWriter(disk, { incarnation: incarnationOf(2), start });
    const beganMs = nowMs;
    for (let otherMs = nowMs + phaseMs; Atomics.load(state.words, AGENT.slotTaken) === 0; nowMs += 5) {
      expect([phaseMs, nowMs - beganMs < 3 * BEACON_MS]).toEqual([phaseMs, true]);
      if (nowMs >= otherMs) {
        second.head();
        otherMs += BEACON_MS;
      }
      // Words for a peer want a head every 20 ms, as while the storage is the only way.
      Atomics.store(state.words, AGENT.headWanted, 1);
      settle();
    }
  }
});
