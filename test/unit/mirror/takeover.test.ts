import { expect, test } from 'vitest';
import { doubts, type CopyFacts } from '../../../agent/mirror/core/takeover.ts';

const facts = (part: Partial<CopyFacts> = {}): CopyFacts => ({
  state: 'consistent',
  isResyncing: false,
  isSourceHere: false,
  policy: 'logged',
  log: { says: 'nothing' },
  ...part,
});

test('MI14: without force where somebody would have told, and nobody did', () => {
  expect(doubts(facts())).toEqual([]);
  expect(doubts(facts({ policy: 'strict', log: { says: 'unreadable', reason: 'none' } }))).toEqual([]);
});

test.each<[string, Partial<CopyFacts>, RegExp]>([
  ['a source that goes on alone and has no log device', { policy: 'degrade' }, /may have gone on without/],
  ['a log device that says so', { log: { says: 'outdated', cut: 7 } }, /from mark 7 on/],
  ['a log device that cannot be read', { log: { says: 'unreadable', reason: 'EIO' } }, /cannot say.*EIO/],
  ['a copy that was never whole', { state: 'initialising', policy: 'strict' }, /never whole/],
  ['a resync that is not over', { isResyncing: true, policy: 'strict' }, /resynchronised/],
  ['a source that is connected', { isSourceHere: true, policy: 'strict' }, /connected.*handover/],
])('I21 MI14: not for %s', (_, part, words) => {
  expect(doubts(facts(part))).toEqual([expect.stringMatching(words)]);
});

test('a source that has given up its role is believed, whatever else is so', () => {
  const unreadable = { says: 'unreadable', reason: 'none' } as const;
  expect(doubts(facts({ policy: 'released', isSourceHere: true, log: unreadable }))).toEqual([]);
  expect(doubts(facts({ policy: 'released', state: 'initialising' }))).toHaveLength(1);
});
