import { expect, test } from 'vitest';
import { EntryTime } from '../../../agent/core/entry-time.ts';

test('[AGE1] a frame enters when it is read', () => {
  const entry = new EntryTime();
  entry.roundBegins(50, 1000);
  expect(entry.enteredMs(1000)).toBe(1000);
});

test('[AGE1] what is read after a standstill counts from its beginning, over rounds, until the queue was empty', () => {
  const entry = new EntryTime();
  entry.roundBegins(1900, 3000);
  expect(entry.enteredMs(3000)).toBe(1100);
  entry.taken();
  entry.roundBegins(10, 3010);
  expect(entry.enteredMs(3010)).toBe(1100);
  entry.roundBegins(300, 3310);
  expect(entry.enteredMs(3310)).toBe(1100);
  entry.queueEmpty();
  expect(entry.enteredMs(3310)).toBe(3310);
});

test('[AGE1] a queue that never runs empty is not held for old for ever', () => {
  const entry = new EntryTime();
  entry.roundBegins(1900, 3000);
  for (let i = 0; i < 4096; i++) {
    expect(entry.enteredMs(3000)).toBe(1100);
    entry.taken();
  }
  expect(entry.enteredMs(3000)).toBe(3000);
});
