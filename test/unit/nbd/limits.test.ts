/** [NBD3] What a client can make the server hold is bounded: it is read from no further, and goes on when there is room. */
import { describe, expect, test } from 'vitest';
import { Budget } from '../../../agent/nbd/budget.ts';
import { COMMAND } from '../../../agent/nbd/protocol.ts';
import { MemoryVolume } from './memory-volume.ts';
import { request, transmitting } from './session.ts';

const KIB = 1024;
const MIB = 1024 * KIB;
const read = (cookie: number, length: number) => request({ type: COMMAND.read, cookie, length });

describe('a connection', () => {
  test('takes no more than its share, and goes on when replies have left', () => {
    const volume = new MemoryVolume(MIB, { isSlow: true });
    const budget = new Budget(128 * MIB);
    const { session, since } = transmitting(volume, [], { budget, shareBytes: 4 * MIB });
    for (let i = 0; i < 100; i++) session.feed(read(i, 256 * KIB));
    expect(session.isPaused).toBe(true);
    expect(volume.waiting.length).toBe(15);
    expect(budget.used).toBeLessThanOrEqual(4 * MIB);
    for (let i = 0; i < 100; i++) {
      volume.waiting[i]?.();
      session.turn();
      expect(budget.used).toBeLessThanOrEqual(4 * MIB);
    }
    expect(session.isPaused).toBe(false);
    expect(since(Object.fromEntries(Array.from({ length: 100 }, (_, i) => [i, 256 * KIB])))).toHaveLength(100);
    expect(budget.used).toBe(0);
  });

  test('does not answer more than its client reads', () => {
    const volume = new MemoryVolume(MIB);
    const { session } = transmitting(volume, [], { isDeaf: true, shareBytes: 4 * MIB });
    for (let i = 0; i < 100; i++) session.feed(read(i, 256 * KIB));
    expect(volume.calls.length).toBe(15);
    session.readAll();
    expect(volume.calls.length).toBe(30);
    for (let i = 0; i < 10; i++) session.readAll();
    expect(volume.calls.length).toBe(100);
    expect(session.budget.used).toBe(0);
  });

  test('pays for requests without payload too', () => {
    const volume = new MemoryVolume(MIB, { isSlow: true });
    const { session } = transmitting(volume, [], { shareBytes: MIB });
    for (let i = 0; i < 10_000; i++) session.feed(request({ type: COMMAND.flush }));
    expect(volume.waiting.length).toBe(MIB / 4096);
  });
});

describe('all connections', () => {
  test('share one budget, in the order in which they came, large before small', () => {
    const budget = new Budget(4 * MIB);
    const volume = new MemoryVolume(4 * MIB, { isSlow: true });
    const [a, b, c] = [1, 2, 3].map(() => transmitting(volume, [], { budget, shareBytes: 4 * MIB }).session);
    if (!a || !b || !c) throw new Error('three sessions were made');
    a.feed(read(1, 3 * MIB));
    b.feed(read(2, 2 * MIB));
    c.feed(read(3, KIB));
    // The third would have room, but the second was first.
    expect(volume.calls).toEqual([`read 0 ${3 * MIB}`]);
    expect(budget.waiting).toBe(2);
    volume.waiting[0]?.();
    for (const session of [a, b, c]) session.turn();
    expect(volume.calls.slice(1)).toEqual([`read 0 ${2 * MIB}`, `read 0 ${KIB}`]);
    for (const answer of volume.waiting.slice(1)) answer();
    for (const session of [a, b, c]) session.turn();
    expect(budget.used).toBe(0);
  });

  test('who leaves gives back its room and its place in the line', () => {
    const budget = new Budget(4 * MIB);
    const volume = new MemoryVolume(4 * MIB, { isSlow: true });
    const [a, b, c] = [1, 2, 3].map(() => transmitting(volume, [], { budget, shareBytes: 4 * MIB }).session);
    if (!a || !b || !c) throw new Error('three sessions were made');
    a.feed(read(1, 3 * MIB));
    b.feed(read(2, 2 * MIB));
    c.feed(read(3, KIB));
    b.connection.close();
    for (const session of [a, b, c]) session.turn();
    expect(volume.calls).toEqual([`read 0 ${3 * MIB}`, `read 0 ${KIB}`]);
    // The volume still fills the memory of a reply that nobody waits for: its room is taken until then.
    a.connection.close();
    expect(budget.used).toBeGreaterThan(3 * MIB);
    for (const answer of volume.waiting) answer();
    for (const session of [a, b, c]) session.turn();
    expect(budget.used).toBe(0);
  });
});
