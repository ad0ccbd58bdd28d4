/** A volume so large that each ring is shown by a thread of its own: the document is the one that a single thread makes. */
import { spawnSync } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Prng } from '../../agent/base/prng.ts';
import { CLI, FRAMES, keyOptions } from '../support/inspected.ts';
import { CLUSTER_KEY } from '../support/volume.ts';
import { VolumeFile } from '../support/volume-file.ts';

/** Sparse. With free slots beside the two that are used. */
const VOLUME_BYTES = 1200 * 2 ** 20;
/** Of a node: more than the threads may have on their way at a time. */
const BATCHES = 1200;

let file: VolumeFile;
beforeAll(async () => {
  file = await VolumeFile.make(CLUSTER_KEY, VOLUME_BYTES);
  // Or no thread would be worth it.
  expect(2 * file.slotBytes).toBeGreaterThanOrEqual(256 * 2 ** 20);
  const random = new Prng(5);
  // Its first batch is not the first of all, whichever thread is there first.
  file.writer(1).wallUs += 100_000;
  for (let i = 0; i < 2 * BATCHES; i++) {
    const slot = random.below(2);
    const writer = file.writer(slot);
    // Clocks go on by leaps, and back.
    writer.wallUs += random.below(2000) - 200;
    // A head reserves the marks of the batches behind it.
    if (i % 200 === 0) for (const each of file.writers) each.head();
    writer.batch(FRAMES, { peer: 1 - slot, type: 1 + random.below(3), sequence: 1 + 7 * i });
  }
  for (const slot of [0, 1]) file.writer(slot).head();
  for (const position of [400_000, 9_000_000]) file.damage(file.offset(0, position));
});
afterAll(() => file.remove());

/** The document as text, but for the age of what is on the volume; on these processors alone. */
function shown(processors: string, ...args: readonly string[]): string {
  const argv = [
    '-c',
    processors,
    process.execPath,
    CLI,
    'inspect',
    file.path,
    '--json',
    ...keyOptions(file, true),
    ...args,
  ];
  const { status, stdout, stderr } = spawnSync('taskset', argv, { encoding: 'utf8', maxBuffer: 1 << 28 });
  expect([status, stderr]).toEqual([0, '']);
  return stdout.replaceAll(/"beaconAgeMs":\d+,/g, '');
}

test.skipIf(availableParallelism() < 2)(
  'rings shown by threads: every place, in the same order, whatever is wanted',
  () => {
    for (const args of [[], ['--type', 'bulk'], ['--port', '5405', '--content'], ['--since', '2000-01-01']]) {
      const [one, several] = [shown('0', ...args), shown('0,1', ...args)];
      // Not by `toBe`: a difference in megabytes takes minutes to be shown.
      expect([args, several.length, several === one]).toEqual([args, one.length, true]);
    }
    const { batches, damaged, totals } = JSON.parse(shown('0,1')) as Record<'batches' | 'damaged', unknown[]> & {
      totals: unknown;
    };
    expect(totals).toEqual({
      batches: batches.length,
      records: FRAMES.length * batches.length,
      damagedPlaces: damaged.length,
    });
    expect([batches.length > 2 * BATCHES - 10, damaged.length]).toEqual([true, 2]);
  },
);

test('a reader that goes away ends it, threads and all', () => {
  const argv = [process.execPath, CLI, 'inspect', file.path, '--json', ...keyOptions(file, true)];
  const { status, stdout } = spawnSync('sh', ['-c', `${argv.map((word) => `'${word}'`).join(' ')} | head -c 100`], {
    encoding: 'utf8',
    timeout: 60_000,
  });
  expect([status, stdout.length]).toEqual([0, 100]);
});
