/**
 * An idle agent's operations on storage do not grow with the cluster: real agent, real volume, the other nodes simulated.
 * What they are is known: a busy machine delays polls and adds none, so 32 nodes are held against the figure itself.
 */
import { expect, test } from 'vitest';
import { idleOperations } from '../../agent/bench/growth.ts';
import { NEEDED_MS_MAX } from '../../agent/reader/pace.ts';

const SECONDS = 4;
/** `storage.pollMs.idle` and `storage.beaconMs` as they are by default: the head table, and our own head block. */
const IDLE_PER_SECOND = 1000 / 50 + 1000 / 1000;
/** While storage is the only way the silent peers' rings are read in turns. */
const RINGS_PER_SECOND = 1000 / NEEDED_MS_MAX;

test.each([
  { where: 'on a healthy network', withNetwork: true, perSecond: IDLE_PER_SECOND },
  { where: 'with storage as the only way', withNetwork: false, perSecond: IDLE_PER_SECOND + RINGS_PER_SECOND },
])('an idle node of 32 $where costs what one of two does, within 10 %', { timeout: 120_000 }, async (known) => {
  const found = await idleOperations(32, known.withNetwork, SECONDS);
  expect(found / known.perSecond).toBeLessThan(1.1);
  expect(found / known.perSecond).toBeGreaterThan(0.1);
});
