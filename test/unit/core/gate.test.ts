import { describe, expect, test } from 'vitest';
import { Gate, GATE_WORDS } from '../../../agent/core/gate.ts';

const newGate = (first: number): Gate => {
  const gate = new Gate(new Int32Array(new SharedArrayBuffer(2 * GATE_WORDS * 4)), GATE_WORDS);
  gate.reset(first);
  return gate;
};

describe('gate', () => {
  test('[ORD1] delivers each number once, in its turn', () => {
    const gate = newGate(1);
    const delivered: number[] = [];
    const offer = (sequence: number) => gate.offer(sequence, () => delivered.push(sequence));
    expect([offer(2), offer(1), offer(1), offer(2), offer(1)]).toEqual([
      'ahead',
      'delivered',
      'duplicate',
      'delivered',
      'duplicate',
    ]);
    expect(delivered).toEqual([1, 2]);
    expect([gate.next, gate.isPast(2), gate.isPast(3)]).toEqual([3, true, false]);
  });

  test('[ORD1] goes over the wrap of numbers', () => {
    const gate = newGate(0xffff_ffff);
    expect(gate.offer(0, () => {})).toBe('ahead');
    expect(gate.offer(0xffff_ffff, () => {})).toBe('delivered');
    expect(gate.offer(0, () => {})).toBe('delivered');
    expect(gate.next).toBe(1);
  });

  test('skips forward, never back', () => {
    const gate = newGate(5);
    expect([gate.skipTo(8), gate.skipTo(6), gate.skipTo(8), gate.next]).toEqual([3, 0, 0, 8]);
  });

  test('a delivery that throws leaves the gate open for the next', () => {
    const gate = newGate(1);
    expect(() => gate.offer(1, () => { throw new Error('no'); })).toThrow('no'); // prettier-ignore
    expect(gate.offer(2, () => {})).toBe('delivered');
  });

  test('a lock that a dead thread left is broken by the supervisor', () => {
    const words = new Int32Array(new SharedArrayBuffer(GATE_WORDS * 4));
    words[0] = 1;
    const gate = new Gate(words, 0);
    gate.breakLock();
    expect(gate.offer(0, () => {})).toBe('delivered');
  });
});
