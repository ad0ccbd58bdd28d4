/** A recorder that is killed while it is written to. */
import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, expect, test } from 'vitest';
import { Prng } from '../../agent/base/prng.ts';
import { Account, HistoryBed } from '../support/history-bed.ts';

const MIB = 1 << 20;
/** More of them: `npm run test:soak`. */
const KILLS = Number(process.env['RECORDER_KILLS'] ?? 3);
const ends: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).toReversed()) await end();
});

test(
  `killed at random moments while it is written to: what is kept is right, and goes on (${KILLS} times)`,
  { timeout: 240_000 + KILLS * 10_000 },
  async () => {
    const bed = await HistoryBed.make({ volumeBytes: 8 * MIB });
    ends.push(async () => bed.remove());
    await bed.start();
    const random = new Prng(7);
    const account = new Account(8 * MIB);
    for (let round = 1; round <= KILLS; round++) {
      const killed = delay(random.below(60)).then(async () => bed.endRecorder());
      const writing = account.write(bed, round, random.below(1000) * 4096, 1_500_000);
      await killed;
      bed.startRecorder();
      await writing;
      const { extent } = bed.loaded;
      expect(extent.gaps).toEqual([]);
      for (const { mark, digest } of account.states.slice(-3)) expect(bed.digest(mark), `round ${round}`).toBe(digest);
    }
  },
);
