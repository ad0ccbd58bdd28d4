/** An idle agent's operations on storage do not grow with the cluster: real agent, real volume, the other nodes simulated. */
import { expect, test } from 'vitest';
import { idleOperations } from '../../agent/bench/growth.ts';

const SECONDS = 4;

test.each([
  { where: 'on a healthy network', withNetwork: true },
  { where: 'with storage as the only way', withNetwork: false },
])('an idle node $where costs 32 nodes what it costs two', { timeout: 120_000 }, async ({ withNetwork }) => {
  const two = await idleOperations(2, withNetwork, SECONDS);
  const many = await idleOperations(32, withNetwork, SECONDS);
  // A busy machine delays polls, it adds none: a node that read each ring would do sixteen times as much.
  expect(many / two).toBeLessThan(2);
});
