import { describe, expect, test } from 'vitest';
import { editDistance, nearest } from '../../../agent/settings/nearest.ts';

describe('edit distance', () => {
  test.each([
    ['listen', 'listen', 0],
    ['lisen', 'listen', 1],
    ['lsiten', 'listen', 1],
    ['listening', 'listen', 3],
    ['', 'mtu', 3],
    ['mtu', '', 3],
    ['abc', 'xyz', 3],
  ])('%s to %s is %i', (from, to, edits) => {
    expect(editDistance(from, to)).toBe(edits);
  });
});

describe('nearest', () => {
  const known = ['listen', 'interface', 'mode', 'probe', 'mtu'];
  test.each([
    ['lisen', 'listen'],
    ['Interface', 'interface'],
    ['inter-face', 'interface'],
    ['moed', 'mode'],
    ['mut', 'mtu'],
    ['xyz', undefined],
    ['mo', undefined],
    ['constructor', undefined],
  ])('%s is %s', (word, meant) => {
    expect(nearest(word, known)).toBe(meant);
  });
});
