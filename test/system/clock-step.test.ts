/**
 * A host's clock that is set by an hour. It is the clock of everything that runs on this machine, so nothing else may run beside these
 * tests: they have a project of their own.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { tool } from '../../agent/demo/shell.ts';
import { heartbeatStream, tcpTransfer } from '../../agent/demo/workload.ts';
import { Cluster } from '../support/cluster.ts';

const HOUR_S = 3600;
const AtoB = { from: 'a', to: 'b' } as const;
const BtoA = { from: 'b', to: 'a' } as const;

let cluster: Cluster;
beforeAll(async () => {
  cluster = await Cluster.start({ tag: 'clock' }, { primary: { probe: { stableForMs: 500 } } });
});
afterAll(async () => cluster?.close());

/** Steps the host's clock and takes the step back, by what the monotonic clock says: no time is lost or won. */
async function withClockSteppedBy<T>(seconds: number, act: () => Promise<T>): Promise<T> {
  const ahead = Date.now() - performance.now();
  const set = async (wallMs: number) => tool(['date', '--utc', '--set', `@${(wallMs / 1000).toFixed(3)}`]);
  await set(ahead + performance.now() + seconds * 1000);
  try {
    expect(Math.abs(Date.now() - (ahead + performance.now()) - seconds * 1000)).toBeLessThan(60_000);
    return await act();
  } finally {
    await set(ahead + performance.now());
  }
}

for (const [name, seconds] of [
  ['forward', HOUR_S],
  ['back', -HOUR_S],
] as const) {
  test(`the clock stepped ${name} by an hour and set right again: no loss, no change of path, nothing too old`, async () => {
    const { lab } = cluster;
    await lab.cut('silent');
    await cluster.untilPath('storage');
    const before = await cluster.status('b');
    const heartbeats = await heartbeatStream(lab, { ...AtoB, perSecond: 100 });
    const transfer = await tcpTransfer(lab, { ...BtoA, bytesPerSecond: 2e6 });
    await delay(500);
    const during = await withClockSteppedBy(seconds, async () => {
      await delay(3500); // longer than beacons stay fresh
      return cluster.status('b');
    });
    await delay(1000);
    const after = await cluster.status('b');
    expect(await heartbeats.stop()).toMatchObject({ lost: 0, duplicated: 0, disordered: 0, corrupted: 0 });
    expect(await transfer.stop()).toMatchObject({ survived: true, corrupted: 0 });
    for (const status of [during, after]) {
      expect(status.peers[0]).toMatchObject({
        path: 'storage',
        tooOld: before.peers[0]?.tooOld,
        storage: { fresh: true },
      });
    }
    await lab.heal();
    await cluster.untilPath('network');
  });
}
