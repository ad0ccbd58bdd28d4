/** What a source remembers over a restart, however it ended: an operator's word, and what its targets go by. */
import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, expect, test } from 'vitest';
import { eventually } from '../support/cluster.ts';
import { MirrorPair, type PairOptions } from '../support/mirror-pair.ts';
import { NbdClient } from '../support/nbd-client.ts';

const MIB = 1 << 20;
const SOON_MS = 60_000;
/** For how long a test may have run before it looks at the time. */
const EARLIER_S = 60;
const pairs: MirrorPair[] = [];
afterEach(async () => {
  for (const pair of pairs.splice(0)) await pair.remove();
});

async function started(options: Partial<PairOptions> = {}): Promise<MirrorPair> {
  const pair = await MirrorPair.make({ volumeBytes: 8 * MIB, journalSize: '8M', withRelay: true, ...options });
  pairs.push(pair);
  for (const side of ['target', 'source'] as const) pair.start(side);
  await untilState(pair, 'in-sync');
  return pair;
}

const untilState = async (pair: MirrorPair, state: string): Promise<unknown> =>
  eventually(state, SOON_MS, async () => (await pair.seen())?.state === state);

const clientOf = async (pair: MirrorPair): Promise<NbdClient> =>
  eventually('the source serves', SOON_MS, async () => NbdClient.open(pair.socket('source'), 'data').catch(() => null));

async function again(pair: MirrorPair, signal: NodeJS.Signals): Promise<void> {
  await pair.end('source', signal);
  pair.start('source');
}

const filled = (bytes: number, value: number): Uint8Array => new Uint8Array(bytes).fill(value);
const linked = (pair: MirrorPair): string[] =>
  [...pair.log('source').matchAll(/"how":"(\w+)"/g)].map(([, how]) => how ?? '');

test("an operator's pause, and a resync that is not over, survive the source's death, and status says so", async () => {
  const pair = await started({ acknowledge: 'local' });
  const writer = await clientOf(pair);
  for (let i = 0; i < 6; i++) await writer.write(i * MIB, filled(MIB, i + 1));
  writer.close();
  await pair.command('source', 'pause', 'east');
  for (const signal of ['SIGKILL', 'SIGTERM'] as const) {
    await again(pair, signal);
    await untilState(pair, 'stopped');
    expect(await pair.command('source', 'status')).toMatch(/paused by an operator: say stillbeat mirror resume/);
  }
  await pair.command('source', 'resume', 'east');
  await untilState(pair, 'in-sync');
  // Of what differs now nothing gets through: it is not over when the source is killed.
  const other = pair.content('source').fill(0xee, 0, MIB);
  await pair.end('target');
  pair.spoil('target', other);
  pair.start('target');
  await untilState(pair, 'in-sync');
  pair.allow(128 * 1024);
  await pair.command('source', 'resync', 'east');
  await again(pair, 'SIGKILL');
  await eventually('it is begun anew', SOON_MS, async () => linked(pair).at(-1) === 'scan');
  expect(await pair.command('source', 'status')).toMatch(/mirror resync was said, and is not over/);
  pair.allow(Infinity);
  await untilState(pair, 'in-sync');
  await pair.untilEqual();
  expect(await pair.command('source', 'status')).not.toMatch(/paused|was said/);
  await again(pair, 'SIGKILL');
  await untilState(pair, 'in-sync');
  expect(linked(pair).at(-1)).toBe('replay');
});

test('since when a paused target lacks something is told over a restart, from the journal and when that has let go of it', async () => {
  const pair = await started({
    acknowledge: 'cycle',
    settings: { source: { overflow: { afterMs: 200, policy: 'degrade' } } },
  });
  await pair.command('source', 'pause', 'east');
  const beganMs = Date.now();
  const writer = await clientOf(pair);
  await writer.write(0, filled(4096, 1));
  const firstMs = Date.now();
  writer.close();
  for (const signal of ['SIGTERM', 'SIGKILL', 'SIGTERM'] as const) {
    await again(pair, signal);
    await lagCountsFrom(pair, firstMs, beganMs);
  }
  expect((await pair.status('source'))['canBeLost']).toMatch(/^what no target has yet, .*: no target is in sync$/);
  // More than the journal holds: what is left is a bitmap.
  const second = await clientOf(pair);
  for (let i = 0; i < 20; i++) await second.write((i % 2) * MIB, filled(MIB, i + 2));
  second.close();
  await eventually('it is outdated', SOON_MS, async () => ((await pair.seen())?.outOfSyncBytes ?? 0) > 0);
  await again(pair, 'SIGTERM');
  await lagCountsFrom(pair, firstMs, beganMs);
  // There it is not known any more: at least since the start.
  await again(pair, 'SIGKILL');
  await eventually('it counts', SOON_MS, async () => (await lagOf(pair)) > 0.5);
  await pair.command('source', 'resume', 'east');
  await untilState(pair, 'in-sync');
  await eventually('it lacks nothing', SOON_MS, async () => (await lagOf(pair)) === 0);
  expect((await pair.status('source'))['canBeLost']).toMatch(/^the last cycles, whole/);
});

/** In seconds. */
async function lagOf(pair: MirrorPair): Promise<number> {
  const seen = (await pair.seen()) as { readonly lag?: { readonly seconds: number } } | null;
  return seen?.lag?.seconds ?? 0;
}

/** No less than since `firstMs`, when the first write was answered that the target lacks; `beganMs`: before that. */
async function lagCountsFrom(pair: MirrorPair, firstMs: number, beganMs: number): Promise<void> {
  await untilState(pair, 'stopped');
  const askedMs = Date.now();
  const seconds = await lagOf(pair);
  expect(seconds).toBeGreaterThanOrEqual((askedMs - firstMs) / 1000 - 0.1);
  // The journal may keep a little of what the target has.
  expect(seconds).toBeLessThan((Date.now() - beganMs) / 1000 + EARLIER_S);
}

test.each([
  ['a log device', {}, { log: undefined }],
  [
    'overflow.policy: strict',
    { settings: { source: { overflow: { afterMs: 200, policy: 'strict' } } } },
    { overflow: { afterMs: 200, policy: 'degrade' } },
  ],
])(
  '[I21] [MI14] %s taken out of the settings while the target is away: nobody is answered before it knows',
  async (_, options, change) => {
    const pair = await started({ acknowledge: 'local', withLog: true, ...options });
    await pair.end('target', 'SIGKILL');
    await pair.end('source');
    pair.configure('source', { ...change, log: undefined });
    pair.start('source');
    const writer = await clientOf(pair);
    let isAnswered = false;
    const write = writer.write(0, filled(4096, 9)).then(
      () => (isAnswered = true),
      () => 'lost',
    );
    // It goes by what it knows: a takeover would lose what was answered alone.
    await delay(1000);
    expect(isAnswered).toBe(false);
    expect(pair.log('source')).toMatch(/targets go by that: nobody is answered before each has been met \(east\)/);
    expect(await pair.command('source', 'status')).toMatch(/held +nobody is answered before east has heard/);
    // It is remembered however often the source is started.
    await again(pair, 'SIGKILL');
    expect(await write).toBe('lost');
    const second = await clientOf(pair);
    const answered = second.write(0, filled(4096, 10)).then(() => (isAnswered = true));
    await delay(500);
    expect(isAnswered).toBe(false);
    pair.start('target');
    await answered;
    second.close();
    await untilState(pair, 'in-sync');
    await pair.end('source', 'SIGKILL');
    await expect(pair.command('target', 'takeover')).rejects.toThrow(/may have gone on without this copy/);
    // From now on nobody is held up.
    await pair.end('target', 'SIGKILL');
    pair.start('source');
    const alone = await clientOf(pair);
    await alone.write(0, filled(4096, 11));
    alone.close();
  },
);
