import { expect, test } from 'vitest';
import { type Acknowledge, type Progress, Replies } from '../../../agent/mirror/core/replies.ts';

const ALL: Progress = { placed: 9, durable: 9, received: 9, remote: 9, closed: 9 };

function answered(policy: Acknowledge, progress: Partial<Progress>, isFlush = false): boolean {
  const replies = new Replies<string>(policy);
  const got: string[] = [];
  replies.wait(5, isFlush, 'x');
  replies.advance({ ...ALL, ...progress }, (client) => got.push(client));
  return got.length === 1;
}

test.each<[Acknowledge, boolean, (keyof Progress)[]]>([
  ['local', false, ['placed', 'durable']],
  ['receipt', false, ['placed', 'received']],
  ['receipt', true, ['placed', 'durable', 'received']],
  ['sync', false, ['placed', 'durable', 'remote']],
  ['cycle', false, ['placed', 'durable', 'closed']],
  ['cycle', true, ['placed', 'durable', 'closed']],
])('CY10 MI2: %s (flush %s) waits for exactly its conditions', (policy, isFlush, needs) => {
  expect(answered(policy, {}, isFlush)).toBe(true);
  for (const key of ['placed', 'durable', 'received', 'remote', 'closed'] as const) {
    expect([key, answered(policy, { [key]: 4 }, isFlush)]).toEqual([key, !needs.includes(key)]);
  }
});

test('answers come in order, each once, and a flush does not hold up a write', () => {
  const replies = new Replies<number>('receipt');
  const got: number[] = [];
  const answer = (client: number): number => got.push(client);
  for (let mark = 1; mark <= 3000; mark++) replies.wait(mark, mark % 1000 === 0, mark);
  replies.advance({ ...ALL, placed: 2500, received: 2500, durable: 0 }, answer);
  expect(got).toHaveLength(2498);
  expect(got).toEqual([...got].sort((a, b) => a - b));
  replies.advance({ ...ALL, placed: 3000, received: 3000, durable: 3000 }, answer);
  expect(new Set(got).size).toBe(3000);
  expect(replies.waiting).toBe(0);
});

test('when it fails everybody is told', () => {
  const replies = new Replies<number>('sync');
  replies.wait(1, false, 1);
  replies.wait(2, true, 2);
  const got: number[] = [];
  replies.fail((client) => got.push(client));
  expect(got).toEqual([1, 2]);
});
