/** [HI4] A recording on a file system that is full: the oldest goes, again and again, and what is kept is right. */
import { afterEach, expect, test } from 'vitest';
import { Prng } from '../../agent/base/prng.ts';
import { run, tool } from '../../agent/demo/shell.ts';
import { loadRecording } from '../../agent/history/store/load.ts';
import { RECORD_KIND } from '../../agent/history/wire/record.ts';
import { eventually } from '../support/cluster.ts';
import {
  feed,
  fillBase,
  newWorld,
  removeWorlds,
  replayed,
  START_NS,
  type RecordedWrite,
} from '../support/recorded-writes.ts';

const MIB = 1 << 20;
const SOON_MS = 60_000;

const mounted: string[] = [];
afterEach(async () => {
  for (const folder of mounted.splice(0)) await run(['umount', '-l', folder]);
  await removeWorlds();
});

/** Of whole blocks, a quarter of a MiB at most. */
function wholeBlocks(random: Prng, count: number, volumeBytes: number): RecordedWrite[] {
  return Array.from({ length: count }, (_, i) => {
    const length = 4096 * random.between(1, 64);
    const offset = 4096 * random.below((volumeBytes - length) / 4096 + 1);
    const payload = new Uint8Array(length).fill(1 + random.below(255));
    return { kind: RECORD_KIND.write, mark: i + 1, timeNs: START_NS + BigInt(i), volume: 0, offset, length, payload };
  });
}

test.each(Array.from({ length: 8 }, (_, i) => [i + 1]))(
  '[HI4] writes in bursts, in any order, onto a file system that is not much larger than the volume: %i',
  async (seed) => {
    const random = new Prng(seed);
    const volumeBytes = MIB * random.between(2, 6);
    const world = newWorld([volumeBytes]);
    const storage = 2 * volumeBytes + MIB * random.between(6, 12);
    await tool(['mount', '-t', 'tmpfs', '-o', `size=${storage}`, 'tmpfs', world.folder]);
    mounted.push(world.folder);
    const base = [new Uint8Array(volumeBytes)];
    let recording = await world.open();
    fillBase(recording, base);
    const writes = wholeBlocks(random, 400, volumeBytes);
    for (let from = 0; from < writes.length;) {
      const burst = random.between(1, 100);
      feed(recording, random, writes.slice(from, from + burst), random.pick([1, 4, 8]));
      from += burst;
      const mark = Math.min(from, writes.length);
      if (random.chance(2, 3) || mark === writes.length) {
        await eventually('it is recorded', SOON_MS, () => {
          if (recording.prefix.mark >= mark) return true;
          throw new Error(
            `${recording.prefix.mark} of ${mark}, ${recording.fault}: ${world.said.slice(-5).join('; ')}`,
          );
        });
        if (random.chance(1, 4)) recording = await world.open();
      }
    }
    await world.close();
    expect(world.said.join('\n')).toMatch(/the storage is full: the oldest \d+ bytes went before their time/);
    const loaded = loadRecording(world.folder);
    expect(loaded.extent.gaps).toEqual([]);
    const [span] = loaded.extent.spans;
    expect(span?.to).toBe(writes.length);
    for (let i = 0; i < 8; i++) {
      const mark = i === 0 ? writes.length : random.between(span?.from ?? 0, writes.length);
      const [seen] = world.at(mark, loaded);
      const [wanted] = replayed(base, writes, mark);
      expect(Buffer.compare(seen ?? base[0]!, wanted ?? new Uint8Array(1)), `mark ${mark}`).toBe(0);
    }
  },
);
