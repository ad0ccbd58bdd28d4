/** A mirrored volume between two processes, written to by real clients, read at the target at a cut. */
import { afterEach, describe, expect, test } from 'vitest';
import { tool } from '../../agent/demo/shell.ts';
import { eventually } from '../support/cluster.ts';
import { MirrorPair, type PairOptions } from '../support/mirror-pair.ts';

const MIB = 1 << 20;
const SOON_MS = 60_000;
const pairs: MirrorPair[] = [];
afterEach(async () => {
  for (const pair of pairs.splice(0)) await pair.remove();
});

async function started(options: Partial<PairOptions> = {}): Promise<MirrorPair> {
  const pair = await MirrorPair.make({ volumeBytes: 16 * MIB, ...options });
  pairs.push(pair);
  pair.start('target');
  pair.start('source');
  await pair.untilInSync();
  return pair;
}

const qemu = async (pair: MirrorPair, ...commands: string[]): Promise<string> =>
  tool(['qemu-io', '-f', 'raw', '-d', 'unmap', ...commands.flatMap((command) => ['-c', command]), pair.uri('source')]);

describe.each(['sync', 'receipt', 'local', 'cycle'] as const)('acknowledge: %s', (acknowledge) => {
  test('[CY1] what clients write is at the target, whole, and is served there read-only', async () => {
    const pair = await started({ acknowledge });
    await qemu(pair, 'write -P 7 0 5M', 'write -z 1M 1M', 'discard 2M 64k', 'write -P 9 3000001 4095', 'flush');
    await pair.untilEqual();
    const read = ['read -P 7 0 1M', 'read -P 0 1M 1M', 'read -P 0 2M 64k', 'read -P 9 3000001 4095'];
    const argv = ['qemu-io', '-r', '-f', 'raw', ...read.flatMap((command) => ['-c', command]), pair.uri('target')];
    expect(await tool(argv)).not.toMatch(/fail|error/i);
    expect(await pair.end('source')).toBe(0);
    expect(await pair.end('target')).toBe(0);
  });
});

test.each(['local', 'sync', 'cycle'] as const)(
  '[MI16] a journal that is one small window: long writes to any place go through (%s)',
  { timeout: 120_000 },
  async (acknowledge) => {
    const pair = await started({ acknowledge, journalSize: '4M' });
    for (const offset of [0, 500_000, 4096, 500_000, 333_333, 12_345]) await qemu(pair, `write -P 1 ${offset} 2M`);
    await qemu(pair, 'write -P 2 500000 2M', 'write -P 3 500000 2M', 'write -P 4 100 9M');
    await pair.untilEqual();
  },
);

test('[CY4] the target is away while clients write, and catches up: nothing is compared anew', async () => {
  const pair = await started({ acknowledge: 'local' });
  await qemu(pair, 'write -P 1 0 1M');
  await pair.untilEqual();
  await pair.end('target', 'SIGKILL');
  await eventually('the source knows', SOON_MS, async () => (await pair.seen())?.state === 'journaling');
  await qemu(pair, 'write -P 2 512k 1M', 'write -P 3 8M 1M');
  pair.start('target');
  await pair.untilInSync();
  await pair.untilEqual();
  expect(pair.log('source')).toMatch(/"how":"replay".*\n(.*\n)*.*"how":"replay"|"how":"replay"/);
});
