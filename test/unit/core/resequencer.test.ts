import { beforeEach, describe, expect, test } from 'vitest';
import { Gate, GATE_WORDS } from '../../../agent/core/gate.ts';
import { Resequencer } from '../../../agent/core/resequencer.ts';

const MAX_AGE_MS = 2000;
let gate: Gate;
let lane: Resequencer;
let delivered: number[];

beforeEach(() => {
  gate = new Gate(new Int32Array(new SharedArrayBuffer(GATE_WORDS * 4)), 0);
  delivered = [];
  lane = new Resequencer(gate, MAX_AGE_MS, (frame) => delivered.push(frame[0] ?? 0));
  lane.reset(1);
});

const offer = (sequence: number, nowMs = 0, bornMs = nowMs): boolean =>
  lane.offer(sequence, Uint8Array.of(sequence & 0xff), bornMs, nowMs);

describe('resequencer', () => {
  test('[ORD1] holds what comes early until the gap closes', () => {
    expect([offer(3), offer(2), offer(5)]).toEqual([false, false, false]);
    expect([lane.heldCount, gate.held]).toEqual([3, 3]);
    expect(offer(1)).toBe(true);
    expect(delivered).toEqual([1, 2, 3]);
    offer(4);
    expect(delivered).toEqual([1, 2, 3, 4, 5]);
    expect([lane.delivered, lane.bytes, lane.lost]).toEqual([5, 5, 0]);
  });

  test('tells the other thread when nothing is held any more', () => {
    offer(2);
    offer(1);
    expect(gate.held).toBe(0);
    offer(4);
    lane.floor(5, 0);
    expect(gate.held).toBe(0);
    offer(7);
    lane.reset(1);
    expect([gate.held, lane.heldCount]).toEqual([0, 0]);
  });

  test('[ORD1] drops what was delivered, and what is held already', () => {
    offer(1);
    offer(1);
    offer(3);
    offer(3);
    expect([lane.duplicates, lane.heldCount, delivered]).toEqual([2, 1, [1]]);
  });

  test('keeps a copy: the caller may use its memory again', () => {
    const frame = Uint8Array.of(2);
    lane.offer(2, frame, 0, 0);
    frame[0] = 9;
    offer(1);
    expect(delivered).toEqual([1, 2]);
  });

  test('goes on where the other thread closed the gap', () => {
    offer(2);
    expect(gate.offer(1, () => {})).toBe('delivered');
    lane.drain(0);
    expect(delivered).toEqual([2]);
  });

  test('a gap is given up when it has lasted too long, and not before', () => {
    offer(3, 100);
    offer(6, 150);
    lane.expire(199, 100);
    expect(delivered).toEqual([]);
    lane.expire(200, 100);
    expect(delivered).toEqual([3]);
    lane.expire(250, 100);
    expect([delivered, lane.lost, gate.next]).toEqual([[3, 6], 4, 7]);
  });

  test('a gap that storage may still close lasts longer, until storage brings something from behind it', () => {
    const frame = Uint8Array.of(9);
    offer(3, 0);
    offer(6, 0);
    lane.expire(199, 100, 200);
    expect(delivered).toEqual([]);
    // By both ways: held once, and the gap before it is no longer storage's to close.
    lane.offer(3, frame, 150, 150, true);
    lane.expire(199, 100, 200);
    expect([delivered, lane.duplicates, lane.lost]).toEqual([[3], 1, 2]);
    // The next gap is judged by itself: of what is behind it storage has shown nothing.
    lane.expire(200, 100, 200);
    expect([delivered, lane.lost]).toEqual([[3, 6], 4]);
  });

  test('the sender’s floor gives gaps up, and frames that are held below it are delivered all the same', () => {
    for (const sequence of [3, 4, 7, 12]) offer(sequence);
    lane.floor(10, 0);
    expect(delivered).toEqual([3, 4, 7]);
    expect([lane.lost, gate.next, lane.heldCount]).toEqual([6, 10, 1]);
    lane.floor(9, 0);
    expect(gate.next).toBe(10);
  });

  test('a floor right at a held frame lets it go on', () => {
    offer(5);
    lane.floor(5, 0);
    expect([delivered, gate.next]).toEqual([[5], 6]);
  });

  test('held bytes are bounded: the oldest gap is given up', () => {
    const large = new Uint8Array(1024 * 1024).fill(9);
    for (let sequence = 2; sequence <= 9; sequence++) lane.offer(sequence, large, 0, 0);
    expect(delivered.length).toBe(0);
    lane.offer(10, large, 0, 0);
    expect([delivered.length, lane.lost, lane.heldCount]).toEqual([9, 1, 0]);
  });

  test('tells what is missing, lowest first, up to a limit', () => {
    expect(lane.missing(10)).toEqual([]);
    for (const sequence of [3, 6]) offer(sequence);
    expect(lane.missing(10)).toEqual([1, 2, 4, 5]);
    expect(lane.missing(2)).toEqual([1, 2]);
  });

  test('a new incarnation’s lane begins elsewhere, and nothing of the old one comes any more', () => {
    offer(2);
    lane.reset(0xffff_ffff);
    offer(0);
    offer(0xffff_ffff);
    expect(delivered).toEqual([0xff, 0]);
    expect(lane.missing(5)).toEqual([]);
  });

  test('[AGE1] a frame that is too old when it comes is not delivered, nor anything before it', () => {
    offer(2, 0);
    expect(offer(4, MAX_AGE_MS + 1, 0)).toBe(false);
    expect([delivered, lane.tooOld, gate.next, lane.heldCount]).toEqual([[], 1, 5, 0]);
    expect(offer(5, MAX_AGE_MS, 0)).toBe(true);
    // It is told as too old, what is missing before it as lost; and what has been had is missed by nobody.
    expect(lane.lost).toBe(3);
    expect(offer(5, 2 * MAX_AGE_MS, 0)).toBe(false);
    expect([lane.tooOld, lane.duplicates]).toEqual([1, 1]);
  });

  test('[AGE1] a frame that became too old while it was held is not delivered when the gap closes', () => {
    offer(2, 1);
    offer(3, 2);
    expect(offer(1, MAX_AGE_MS + 2)).toBe(true);
    expect([delivered, lane.tooOld]).toEqual([[1, 3], 1]);
    offer(5, 10_000);
    lane.floor(6, 20_000);
    expect([delivered, lane.tooOld, gate.next]).toEqual([[1, 3], 2, 6]);
  });
});
