import { describe, expect, test } from 'vitest';
import { Prng } from '../../../agent/base/prng.ts';
import { emptyRingRecord, Ring, RING_HEADER_BYTES, ringBytes } from '../../../agent/queue/ring.ts';

const CAPACITY = 1024;
const newRing = (): Ring => new Ring(new SharedArrayBuffer(64 + ringBytes(CAPACITY)), 64, CAPACITY);

function put(ring: Ring, bytes: Uint8Array, a = 0, b = 0, time = 0): boolean {
  const offset = ring.reserve(bytes.length);
  if (offset < 0) return false;
  ring.bytes.set(bytes, offset);
  ring.commit(bytes.length, a, b, time);
  return true;
}

function take(ring: Ring): { bytes: Uint8Array; a: number; b: number; time: number } | null {
  const record = emptyRingRecord();
  if (!ring.peek(record)) return null;
  const { offset, length, a, b, time } = record;
  const bytes = ring.bytes.slice(offset, offset + length);
  ring.release(record);
  return { bytes, a, b, time };
}

describe('ring', () => {
  test('what goes in comes out, with its words', () => {
    const ring = newRing();
    expect(take(ring)).toBeNull();
    put(ring, Uint8Array.of(1, 2, 3), 0xffff_ffff, 7, 1234.5);
    put(ring, new Uint8Array(0));
    expect(take(ring)).toEqual({ bytes: Uint8Array.of(1, 2, 3), a: 0xffff_ffff, b: 7, time: 1234.5 });
    expect(take(ring)?.bytes.length).toBe(0);
    expect(ring.isEmpty).toBe(true);
  });

  test('a record that is reserved and not committed cannot be seen', () => {
    const ring = newRing();
    ring.reserve(8);
    expect(ring.isEmpty).toBe(true);
  });

  test('may be committed shorter than reserved, never longer', () => {
    const ring = newRing();
    ring.reserve(100);
    ring.commit(4, 0, 0, 0);
    expect(ring.usedBytes).toBe(RING_HEADER_BYTES + 8);
    ring.reserve(8);
    expect(() => ring.commit(9, 0, 0, 0)).toThrow('larger than reserved');
  });

  test('is full to its last byte and not one further', () => {
    const ring = newRing();
    const half = new Uint8Array(CAPACITY / 2 - RING_HEADER_BYTES);
    expect(put(ring, half)).toBe(true);
    expect(put(ring, half)).toBe(true);
    expect(ring.usedBytes).toBe(CAPACITY);
    expect(put(ring, new Uint8Array(0))).toBe(false);
    expect(() => ring.reserve(half.length + 1)).toThrow('half the ring');
  });

  test('keeps records whole, in order and in place over many laps, in step with a model', () => {
    const ring = newRing();
    const prng = new Prng(1);
    const model: Uint8Array[] = [];
    let next = 0;
    for (let step = 0; step < 50_000; step++) {
      if (prng.chance(1, 2)) {
        const bytes = Uint8Array.from({ length: prng.below(300) }, () => prng.u32());
        if (!put(ring, bytes, next, step, step)) continue;
        model.push(bytes);
        next++;
      } else {
        const expected = model.shift();
        const found = take(ring);
        const isSame =
          found && expected && Buffer.compare(found.bytes, expected) === 0 && found.a === next - model.length - 1;
        if (!isSame && (found || expected)) throw new Error(`step ${step}: not what was put in`);
      }
      if (ring.usedBytes > CAPACITY) throw new Error(`step ${step}: fuller than full`);
    }
    expect(next).toBeGreaterThan(10_000);
  });

  test('cursors that wrap at 2^32 change nothing', () => {
    const buffer = new SharedArrayBuffer(ringBytes(CAPACITY));
    for (const cursor of [0, 16]) new Int32Array(buffer)[cursor] = -512; // both cursors 512 bytes before the wrap
    const ring = new Ring(buffer, 0, CAPACITY);
    for (let i = 0; i < 100; i++) {
      expect(put(ring, Uint8Array.of(i))).toBe(true);
      expect(take(ring)?.bytes).toEqual(Uint8Array.of(i));
    }
  });
});
