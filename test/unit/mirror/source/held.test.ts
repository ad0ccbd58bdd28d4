import { expect, test } from 'vitest';
import { heldBecause } from '../../../../agent/mirror/source/held.ts';

const NOTHING = { unmet: [], strict: [], untold: [], isJournalFull: false };

test('why clients wait: each thing by its targets, and nothing where nobody is held', () => {
  expect(heldBecause(NOTHING)).toEqual([]);
  expect(heldBecause({ unmet: ['a', 'b'], strict: ['a'], untold: ['c'], isJournalFull: true })).toEqual([
    'nobody is answered before a, b has heard that the settings promise less',
    'nobody is answered before a is in sync: overflow.policy is strict',
    'nobody is answered before the log device says that c is outdated',
    'the journal is full: writes wait for room',
  ]);
});
