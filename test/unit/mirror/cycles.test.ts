import { beforeEach, expect, test } from 'vitest';
import { Cycles } from '../../../agent/mirror/core/cycles.ts';

let cycles: Cycles;

const closeIfDue = (...args: Parameters<Cycles['isDue']>) => (cycles.isDue(...args) ? cycles.close() : null);

beforeEach(() => {
  cycles = new Cycles({ cycleMs: 1000, bytes: 1_000_000 }, { cycle: 1, mark: 1 });
});

test('CY1: a cycle closes by time, counted from its first write', () => {
  expect(cycles.isDue(5000, false, 0)).toBe(false);
  cycles.admit(1, 4096, 5000);
  cycles.admit(2, 4096, 5900);
  expect(cycles.isDue(5999, false, 0)).toBe(false);
  expect(closeIfDue(6000, false, 0)).toEqual({ number: 1, firstMark: 1, lastMark: 2 });
  expect(cycles.open).toBe(2);
  expect(cycles.isDue(60_000, true, 99)).toBe(false);
});

test('it closes by size', () => {
  cycles.admit(1, 999_999, 0);
  expect(cycles.isDue(1, false, 0)).toBe(false);
  cycles.admit(2, 1, 1);
  expect(closeIfDue(1, false, 0)?.lastMark).toBe(2);
});

test('CY10: who waits for the cycle is not made to wait for the clock', () => {
  cycles.admit(1, 1, 0);
  expect(cycles.isDue(1, true, 0)).toBe(false);
  expect(closeIfDue(1, true, 1)?.number).toBe(1);
  expect(cycles.closedMark).toBe(1);
});

test('CY3 MI4: committed in order, when targets have sealed it and the journal holds it', () => {
  for (let mark = 1; mark <= 3; mark++) {
    cycles.admit(mark, 1, 0);
    cycles.close();
  }
  expect(cycles.commit(0, 3)).toBeNull();
  expect(cycles.commit(2, 1)?.number).toBe(1);
  expect(cycles.commit(3, 3)?.number).toBe(3);
  expect(cycles.uncommitted).toEqual([]);
});

test('a cycle is closed before a target with a small journal could not hold it', () => {
  const cycles = new Cycles({ cycleMs: 1000, bytes: 1_000_000 }, { cycle: 1, mark: 1 });
  cycles.admit(1, 60_000, 0);
  expect(cycles.isLarge(Infinity)).toBe(false);
  expect(cycles.isLarge(60_001)).toBe(false);
  expect(cycles.isLarge(60_000)).toBe(true);
  cycles.close();
  expect(cycles.isLarge(60_000)).toBe(false);
  expect(cycles.isLarge(60_000, 70_000)).toBe(false);
  cycles.admit(2, 128, 0);
  expect(cycles.isLarge(60_000, 59_000)).toBe(false);
  expect(cycles.isLarge(60_000, 59_872)).toBe(true);
});
