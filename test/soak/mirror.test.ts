/**
 * A mirror whose source, target or both are killed a hundred times while fio writes to it: whatever the target shows is a cut that
 * is never taken back, what fio was answered is there, whole, and both sides come to be equal again.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, expect, test } from 'vitest';
import { Prng } from '../../agent/base/prng.ts';
import { decodeSuper } from '../../agent/mirror/store/superblock.ts';
import { eventually } from '../support/cluster.ts';
import { fioLoad, fioVerify, fioWrite } from '../support/fio.ts';
import { MirrorPair, type Side } from '../support/mirror-pair.ts';
import { NbdClient } from '../support/nbd-client.ts';
import { HISTORY_BYTES, WriteHistory } from '../support/write-history.ts';

const MIB = 1 << 20;
const KILLS = Number(process.env['SOAK_KILLS'] ?? 100);
const SOON_MS = 120_000;
const RUN_MS_MAX = 7_200_000;
const VICTIMS: readonly (readonly Side[])[] = [['source'], ['target'], ['source', 'target']];
/** Not receipt: what it answered a crash of the source may take back. */
const POLICIES = ['sync', 'local', 'cycle'] as const;
const say = (line: string): void => void process.stderr.write(`${new Date().toISOString()} ${line}\n`);

let pair: MirrorPair | null = null;
afterEach(async () => pair?.remove());

const clientOf = async (one: MirrorPair, side: Side): Promise<NbdClient> =>
  eventually(`the ${side} serves`, SOON_MS, async () => NbdClient.open(one.socket(side), 'data').catch(() => null));

async function historyOf(one: MirrorPair, side: Side): Promise<Buffer> {
  const reader = await clientOf(one, side);
  const bytes = await reader.read(0, HISTORY_BYTES);
  reader.close();
  return bytes;
}

/** Whether the receive volume was between two cuts when its target was killed. */
function isMixed(one: MirrorPair): boolean {
  const file = readFileSync(join(one.folder, 'target.journal')).subarray(0, 8192);
  const copies = [file.subarray(0, 4096), file.subarray(4096)].map((copy) => decodeSuper(copy));
  return Math.max(...copies.map((copy) => (copy.ok ? copy.superblock.sequence : 0))) % 2 === 1;
}

test(
  `[CY3] [CR5] [I1] [I2] killed ${KILLS} times under fio`,
  async () => {
    const prng = new Prng(4);
    const history = new WriteHistory(4);
    const made = await MirrorPair.make({
      volumeBytes: 24 * MIB,
      journalSize: '16M',
      cycleMs: 20,
      settings: { source: { overflow: { afterMs: 500, policy: 'degrade' } } },
    });
    pair = made;
    const untilInSync = async (): Promise<unknown> =>
      eventually('in sync', SOON_MS, async () => (await made.seen())?.state === 'in-sync');
    let [shown, mixed] = [0, 0];
    for (const side of ['target', 'source'] as const) made.start(side);
    for (let kill = 1; kill <= KILLS; kill++) {
      const acknowledge = POLICIES[kill % POLICIES.length] ?? 'sync';
      const victims = VICTIMS[prng.below(VICTIMS.length)] ?? [];
      const label = `kill ${kill}, ${victims.join(' and ')}, ${acknowledge}`;
      await untilInSync();
      const whole = { uri: made.uri('source'), seed: kill, offset: 16 * MIB, size: 8 * MIB, depth: 16 };
      await fioWrite(whole);
      const load = fioLoad({ ...whole, seed: 1000 + kill, offset: 2 * MIB, size: 14 * MIB, depth: 32 });
      const writer = await clientOf(made, 'source');
      let isOver = false;
      const writing = history.write(writer, () => isOver);
      await delay(50 + prng.below(1500));
      await Promise.all(victims.map(async (side) => made.end(side, 'SIGKILL')));
      isOver = true;
      await writing;
      writer.close();
      await load.end();
      if (victims.includes('target')) {
        if (isMixed(made)) mixed++;
        else {
          const cut = history.cutOf(made.content('target').subarray(0, HISTORY_BYTES), `${label}: the volume`);
          expect(cut, label).toBeGreaterThanOrEqual(shown);
        }
      }
      // The policy of the next round is its source's from now on.
      if (victims.includes('source')) made.configure('source', { acknowledge });
      for (const side of victims) made.start(side);
      const kept = history.cutOf(await historyOf(made, 'source'), `${label}: the source`);
      expect(kept, label).toBeGreaterThanOrEqual(history.acked);
      history.forgetBehind(kept);
      const served = history.cutOf(await historyOf(made, 'target'), `${label}: the target`);
      expect(served, label).toBeGreaterThanOrEqual(shown);
      shown = served;
      await fioVerify(whole);
      await untilInSync();
      await eventually('equal', SOON_MS, () => made.content('source').equals(made.content('target')));
      await fioVerify({ ...whole, uri: made.uri('target') });
      say(`${label}: ${kept} writes, target at ${served}, ${mixed} times between two cuts`);
    }
    const { acked } = history;
    say(`${KILLS} kills, ${acked} writes told apart, ${mixed} times the target was killed between two cuts`);
    expect(shown).toBeGreaterThan(0);
  },
  RUN_MS_MAX,
);
