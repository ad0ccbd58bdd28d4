import { expect, test } from 'vitest';
import { StreamCounter, encodeStreamPacket } from '../../../agent/demo/stream-packet.ts';

const MS = 1_000_000n;

function packet(sequence: number, sentMs: number, bytes = 64): Buffer {
  const result = Buffer.alloc(bytes);
  encodeStreamPacket(result, sequence, BigInt(sentMs) * MS);
  return result;
}

/** A counter that has seen packets [sequence, sent at, arrived at]. */
function counted(...arrivals: [number, number, number][]): StreamCounter {
  const counter = new StreamCounter();
  for (const [sequence, sentMs, atMs] of arrivals) counter.arrived(packet(sequence, sentMs), BigInt(atMs) * MS);
  return counter;
}

test('a whole stream in order: all received, latency one way, nothing else', () => {
  expect(counted([0, 0, 1], [1, 10, 13], [2, 20, 22]).report).toEqual({
    received: 3,
    missing: 0,
    duplicated: 0,
    disordered: 0,
    corrupted: 0,
    longestSilenceMs: 12,
    lastLatencyMs: 2,
    latencyMs: { p50: 2, p99: 3, max: 3 },
    silences: [[13, 12]],
  });
});

test('a packet that comes twice is counted once as received and once as duplicated', () => {
  expect(counted([0, 0, 1], [1, 10, 11], [0, 0, 12], [1, 10, 13]).counts).toMatchObject({ received: 2, duplicated: 2 });
});

test('a packet behind a later one is out of order; until it comes it is missing', () => {
  const counter = counted([0, 0, 1], [2, 20, 21]);
  expect(counter.counts).toMatchObject({ received: 2, missing: 1, disordered: 0 });
  counter.arrived(packet(1, 10), 22n * MS);
  expect(counter.counts).toMatchObject({ received: 3, missing: 0, disordered: 1 });
});

test('an altered byte anywhere but in the time makes it corrupted, not received', () => {
  for (const at of [0, 4, 16, 63]) {
    const altered = packet(3, 0);
    altered[at] = (altered[at] ?? 0) ^ 1;
    const counter = new StreamCounter();
    counter.arrived(altered, MS);
    expect(counter.counts, `byte ${at}`).toMatchObject({ received: 0, corrupted: 1 });
  }
  const counter = new StreamCounter();
  counter.arrived(Buffer.alloc(3), MS);
  expect(counter.counts.corrupted).toBe(1);
});

test('sequence numbers far apart are told from one another', () => {
  const counter = counted([0, 0, 1], [1_000_000, 1, 2], [1_000_000, 1, 3], [999_999, 1, 4]);
  expect(counter.counts).toMatchObject({ received: 3, duplicated: 1, disordered: 1, missing: 999_998 });
});

test('of each 100 ms with arrivals the longest silence is kept', () => {
  const silences = counted([0, 0, 10], [1, 0, 30], [2, 0, 35], [3, 0, 430], [4, 0, 440]).report.silences;
  expect(silences).toEqual([
    [30, 20],
    [430, 395],
  ]);
});
