/** When a group is written: not for each turn's few, and at once for who waits. */
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { Gathering } from '../../../agent/history/store/gathering.ts';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

function begun(gathering: Gathering, bytes: number): { isOver: boolean } {
  const seen = { isOver: false };
  void gathering.over(bytes).then(() => (seen.isOver = true));
  return seen;
}

test('[HI3] what is little is gathered for 20 ms, and no longer', async () => {
  const gathering = new Gathering();
  const group = begun(gathering, 100);
  gathering.came(5000);
  await vi.advanceTimersByTimeAsync(19);
  expect(group.isOver).toBe(false);
  await vi.advanceTimersByTimeAsync(2);
  expect(group.isOver).toBe(true);
});

test('[HI3] a MiB is a group, whether it was there or came', async () => {
  const gathering = new Gathering();
  const there = begun(gathering, 1 << 20);
  await vi.advanceTimersByTimeAsync(1);
  expect(there.isOver).toBe(true);
  const coming = begun(gathering, 100);
  gathering.came(1 << 20);
  await vi.advanceTimersByTimeAsync(1);
  expect(coming.isOver).toBe(true);
});

test('[HI3] nothing is gathered for who waits until it is settled', async () => {
  const gathering = new Gathering();
  const group = begun(gathering, 100);
  let settle = (): void => {};
  const hurrying = gathering.hurry(async () => new Promise<void>((resolve) => (settle = resolve)));
  await vi.advanceTimersByTimeAsync(1);
  expect(group.isOver).toBe(true);
  const next = begun(gathering, 100);
  await vi.advanceTimersByTimeAsync(1);
  expect(next.isOver).toBe(true);
  settle();
  await hurrying;
  const later = begun(gathering, 100);
  await vi.advanceTimersByTimeAsync(10);
  expect(later.isOver).toBe(false);
});
