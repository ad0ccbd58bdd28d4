/** An ext4 at work on a mirrored volume: what the target has shown is whole at each cut, and at each mark between two. */
import { writeFileSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { Prng } from '../../agent/base/prng.ts';
import { loadRecording } from '../../agent/history/store/load.ts';
import { State } from '../../agent/history/store/state.ts';
import { eventually } from '../support/cluster.ts';
import { MirrorPair } from '../support/mirror-pair.ts';
import { checkExt4, mountExt4 } from '../support/mounted-ext4.ts';

const MIB = 1 << 20;
const SOON_MS = 120_000;
const RUN_MS_MAX = 3_600_000;
const ROUNDS = 12;
const ends: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).toReversed()) await end();
});

test(
  '[CY2] ext4 under work: e2fsck finds the copy whole at every cut',
  async () => {
    const pair = await MirrorPair.make({ volumeBytes: 16 * MIB, acknowledge: 'local', cycleMs: 50 });
    ends.push(async () => pair.remove());
    const recording = join(pair.folder, 'history');
    pair.configure('target', { history: { path: recording } });
    pair.start('target');
    pair.start('source');
    await pair.untilInSync();
    const { path, sync, unmount } = await mountExt4(pair.folder, pair.uri('source'), ends);
    await sync();
    const marks = async (): Promise<number> => {
      const { marks } = (await pair.status('source')) as unknown as { marks: { admitted: number } };
      return marks.admitted;
    };
    // Before that it is being made: no file system yet.
    const first = await marks();
    const random = new Prng(1);
    for (let round = 1; round <= ROUNDS; round++) {
      for (let file = 0; file < 12; file++) {
        const folder = join(path, `d${random.below(6)}`);
        mkdirSync(folder, { recursive: true });
        writeFileSync(join(folder, `f${random.below(20)}`), Buffer.alloc(random.below(200_000), round));
      }
      await sync();
    }
    await unmount();
    const last = await marks();
    await eventually('it is recorded', SOON_MS, () => (loadRecording(recording).extent.spans.at(-1)?.to ?? 0) >= last);
    const loaded = loadRecording(recording);
    const image = join(pair.folder, 'image');
    let checked = 0;
    for (const { from, to } of loaded.extent.spans) {
      for (let mark = Math.max(from, first); mark <= to; mark++) {
        const state = new State(loaded, mark);
        const content = Buffer.alloc(16 * MIB);
        state.read(0, 0, content);
        state.close();
        writeFileSync(image, content);
        await checkExt4(image, `mark ${mark}`);
        checked++;
      }
    }
    process.stderr.write(`${checked} states, marks ${first} to ${last}\n`);
    expect(checked).toBeGreaterThanOrEqual(last - first);
  },
  RUN_MS_MAX,
);
