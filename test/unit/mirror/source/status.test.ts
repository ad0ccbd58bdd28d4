/** What of a source is told in words. */
import { expect, test } from 'vitest';
import type { Acknowledge } from '../../../../agent/mirror/core/replies.ts';
import { whatCanBeLost } from '../../../../agent/mirror/source/status.ts';

const POLICIES: readonly Acknowledge[] = ['sync', 'receipt', 'local', 'cycle'];

test.each(POLICIES)('%s: with no target in sync all that no target has is lost with the source', (policy) => {
  const alone = /^what no target has yet, if the source is lost for good.*: no target is in sync$/;
  for (const states of [['stopped'], ['journaling', 'bitmap'], ['replicating']]) {
    expect(whatCanBeLost(policy, states, false)).toMatch(alone);
    // Nobody is answered then.
    expect(whatCanBeLost(policy, states, true)).not.toMatch(alone);
  }
  expect(whatCanBeLost(policy, ['stopped', 'in-sync'], false)).not.toMatch(alone);
  expect(whatCanBeLost(policy, [], true)).toMatch(/^what no recorder has yet, .*: there is no target$/);
});

test('with one in sync it is what the policy says', () => {
  expect(whatCanBeLost('cycle', ['in-sync'], false)).toMatch(/^the last cycles, whole/);
  expect(whatCanBeLost('local', ['in-sync'], false)).toBe('what no target has yet, if the source is lost for good');
});
