/**
 * A mirror whose processes are killed at any moment while a client writes at depth. Whatever the target shows, at any time, is the
 * state after some number of the client's writes in their order, and it never goes back.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, describe, expect, test } from 'vitest';
import { Prng } from '../../agent/base/prng.ts';
import { eventually } from '../support/cluster.ts';
import { MirrorPair, type Side } from '../support/mirror-pair.ts';
import { NbdClient } from '../support/nbd-client.ts';
import { HISTORY_BYTES, WriteHistory } from '../support/write-history.ts';

const MIB = HISTORY_BYTES;
const SOON_MS = 60_000;

const pairs: MirrorPair[] = [];
afterEach(async () => {
  for (const pair of pairs.splice(0)) await pair.remove();
});

async function client(pair: MirrorPair, side: Side): Promise<NbdClient> {
  return eventually(`the ${side} serves`, SOON_MS, async () =>
    NbdClient.open(pair.socket(side), 'data').catch(() => null),
  );
}

/** What a side serves, all in one read: one cut. Null while it serves nothing. */
async function content(pair: MirrorPair, side: Side): Promise<Buffer | null> {
  const reader = await NbdClient.open(pair.socket(side), 'data').catch(() => null);
  if (!reader) return null;
  const bytes = await reader.read(0, MIB).catch(() => null);
  reader.close();
  return bytes;
}

/** Each way once. A hundred of them: `npm run test:soak`. */
const ROUNDS = 3;
const KILLS: readonly (readonly Side[])[] = [['target'], ['source'], ['source', 'target']];

describe.each(['sync', 'local', 'cycle'] as const)('acknowledge: %s', (acknowledge) => {
  test('[CY3] [CR5] killed at any moment, it shows cuts alone, none is taken back, and all is equal in the end', async () => {
    const pair = await MirrorPair.make({ volumeBytes: MIB, acknowledge, cycleMs: 20, journalSize: '8M' });
    pairs.push(pair);
    pair.start('target');
    pair.start('source');
    await pair.untilInSync();
    const history = new WriteHistory(acknowledge.length);
    const prng = new Prng(77);
    let shown = 0;
    let samples = 0;
    for (let round = 0; round < ROUNDS; round++) {
      const kills = KILLS[round % KILLS.length] ?? [];
      const label = `round ${round}, ${kills.join(' and ')}`;
      const writer = await client(pair, 'source');
      let isOver = false;
      const writing = history.write(writer, () => isOver);
      const look = async (): Promise<void> => {
        const bytes = await content(pair, 'target');
        if (!bytes) return;
        const cut = history.cutOf(bytes, label);
        if (cut < shown) throw new Error(`${label}: from write ${shown} back to ${cut}`);
        shown = cut;
        samples++;
      };
      const endMs = performance.now() + 50 + prng.below(400);
      // On a slow machine a look takes as long as all of that.
      const isEnough = (): boolean => performance.now() >= endMs && samples >= 3 * (round + 1);
      while (!isEnough()) {
        await look();
        await delay(10);
      }
      await Promise.all(kills.map(async (side) => pair.end(side, 'SIGKILL')));
      isOver = true;
      await writing;
      writer.close();
      for (const side of kills) pair.start(side);
      const own = await eventually('the source serves', SOON_MS, async () => content(pair, 'source'));
      const kept = history.cutOf(own, `${label}: the source`);
      expect(kept).toBeGreaterThanOrEqual(history.acked);
      history.forgetBehind(kept);
      await pair.untilInSync();
      await look();
      await eventually('the target has all', SOON_MS, async () => {
        await look();
        return shown === kept;
      });
    }
    expect(samples).toBeGreaterThan(10);
    await pair.untilEqual();
  }, 120_000);
});
