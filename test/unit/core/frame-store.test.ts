import { describe, expect, test } from 'vitest';
import { Prng } from '../../../agent/base/prng.ts';
import { FrameStore } from '../../../agent/core/frame-store.ts';

const bytes = (length: number, value: number): Uint8Array => new Uint8Array(length).fill(value & 0xff);

describe('frame store', () => {
  test('numbers frames from 1 and keeps them with their times', () => {
    const store = new FrameStore(100);
    expect([store.push(bytes(3, 1), 10), store.push(bytes(4, 2), 11)]).toEqual([1, 2]);
    expect([store.first, store.next, store.count, store.usedBytes]).toEqual([1, 3, 2, 7]);
    expect(store.frame(2)).toEqual(bytes(4, 2));
    expect([store.enteredMs(1), store.sentMs(1)]).toEqual([10, -Infinity]);
    store.markSent(1, 12);
    expect(store.sentMs(1)).toBe(12);
  });

  test('copies the frame: the caller may use its memory again', () => {
    const store = new FrameStore(100);
    const frame = bytes(3, 1);
    store.push(frame, 0);
    frame.fill(9);
    expect(store.frame(1)).toEqual(bytes(3, 1));
  });

  test('is full in bytes, and in count', () => {
    const store = new FrameStore(10);
    expect(store.hasRoom(10)).toBe(true);
    expect(store.hasRoom(11)).toBe(false);
    store.push(bytes(10, 0), 0);
    expect(store.push(bytes(1, 0), 0)).toBe(-1);
    const many = new FrameStore(1e6);
    let count = 0;
    while (many.push(bytes(1, 0), 0) >= 0) count++;
    expect(count).toBe(16_384);
  });

  test('what was dropped is not there any more, and never was more than there was', () => {
    const store = new FrameStore(100);
    for (let i = 0; i < 4; i++) store.push(bytes(1, i), 0);
    expect(store.dropBefore(3)).toBe(2);
    expect(store.dropBefore(2)).toBe(0);
    expect([store.has(2), store.has(3), store.has(4), store.has(5)]).toEqual([false, true, true, false]);
    expect(() => store.frame(2)).toThrow('not kept');
    expect(() => store.dropBefore(6)).toThrow('never were');
    expect(store.dropBefore(5)).toBe(2);
    expect([store.count, store.usedBytes]).toEqual([0, 0]);
  });

  test('bytesBefore counts frames, not places', () => {
    const store = new FrameStore(100);
    for (const length of [5, 6, 7]) store.push(bytes(length, 0), 0);
    expect([1, 2, 3, 4].map((sequence) => store.bytesBefore(sequence))).toEqual([0, 5, 11, 18]);
    store.dropBefore(2);
    expect([2, 3, 4].map((sequence) => store.bytesBefore(sequence))).toEqual([0, 6, 13]);
    store.dropBefore(4);
    expect(store.bytesBefore(4)).toBe(0);
  });

  test('[ORD1] never mixes frames up, over many laps of its memory, in step with a model', () => {
    const store = new FrameStore(1000);
    const prng = new Prng(3);
    const model = new Map<number, Uint8Array>();
    for (let step = 0; step < 50_000; step++) {
      if (prng.chance(2, 3)) {
        const frame = bytes(1 + prng.below(200), step);
        const room = store.hasRoom(frame.length);
        const sequence = store.push(frame, step);
        if (sequence >= 0 !== room) throw new Error(`step ${step}: room and push disagree`);
        if (sequence >= 0) model.set(sequence, frame);
      } else if (store.count > 0) {
        const upTo = (store.first + 1 + prng.below(store.count)) >>> 0;
        for (let gone = store.first; gone !== upTo; gone++) model.delete(gone);
        store.dropBefore(upTo);
      }
      if (store.count !== model.size || store.usedBytes > 1000) throw new Error(`step ${step}: counts are wrong`);
      for (const [sequence, frame] of model) {
        if (Buffer.compare(store.frame(sequence), frame) !== 0)
          throw new Error(`step ${step}: frame ${sequence} altered`);
      }
    }
  });
});
