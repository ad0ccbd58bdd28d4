import { beforeEach, expect, test } from 'vitest';
import { type Turn, Turns } from '../../../agent/core/turns.ts';

let turns: Turns;
let log: number[];
/** What each lane still has to send, in pieces, and how many the queue takes. */
let pieces: number[];
let room: number;

beforeEach(() => {
  turns = new Turns();
  log = [];
  pieces = [0, 0, 0];
  room = Infinity;
});

function turn(index: number): Turn {
  if (pieces[index] === 0) return 'done';
  if (room === 0) return 'refused';
  room--;
  log.push(index);
  pieces[index] = (pieces[index] ?? 0) - 1;
  return pieces[index] === 0 ? 'done' : 'more';
}

test('each lane gets a piece in its turn until it is done', () => {
  pieces = [3, 1, 2];
  turns.go(3, turn);
  expect(log).toEqual([0, 1, 2, 0, 2, 0]);
});

test('whoever found the queue full begins when there is room again, so that none takes every place', () => {
  pieces = [Infinity, Infinity, Infinity];
  for (const free of [2, 1, 1, 4, 1]) {
    room = free;
    turns.go(3, turn);
  }
  expect(log).toEqual([0, 1, 2, 0, 1, 2, 0, 1, 2]);
});

test('a lane that has nothing to send costs the others nothing', () => {
  pieces = [Infinity, 0, Infinity];
  for (let i = 0; i < 100; i++) {
    room = 3;
    turns.go(3, turn);
  }
  expect(log.filter((index) => index === 0)).toHaveLength(150);
  expect(log.filter((index) => index === 2)).toHaveLength(150);
});

test('no lanes at all, and one that goes away while it was its turn', () => {
  turns.go(0, turn);
  pieces = [Infinity, Infinity, Infinity];
  room = 2;
  turns.go(3, turn);
  log = [];
  room = 2;
  turns.go(2, turn);
  expect(log).toEqual([0, 1]);
});
