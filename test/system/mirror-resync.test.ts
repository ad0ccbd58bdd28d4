/**
 * A target that lacks more than the journal keeps: what it lacks is noted, clients go on, and when it is back only that is brought
 * over, beside a copy that shows its old cut, whole, until all of it is there.
 */
import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { closeSync, openSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, expect, test } from 'vitest';
import { CLI_PATH } from '../../agent/demo/lab.ts';
import { eventually } from '../support/cluster.ts';
import { MirrorPair, type PairOptions } from '../support/mirror-pair.ts';
import { NbdClient } from '../support/nbd-client.ts';

const MIB = 1 << 20;
const SOON_MS = 60_000;
const pairs: MirrorPair[] = [];
const clients: NbdClient[] = [];
afterEach(async () => {
  for (const client of clients.splice(0)) client.close();
  for (const pair of pairs.splice(0)) await pair.remove();
});

const DEGRADE = { source: { overflow: { afterMs: 200, policy: 'degrade' } } };

async function started(options: Partial<PairOptions> = {}): Promise<MirrorPair> {
  const journalSize = '8M';
  const pair = await MirrorPair.make({ volumeBytes: 64 * MIB, journalSize, settings: DEGRADE, ...options });
  pairs.push(pair);
  pair.start('target');
  pair.start('source');
  await untilState(pair, 'in-sync');
  return pair;
}

async function untilState(pair: MirrorPair, state: string): Promise<void> {
  await eventually(state, SOON_MS, async () => (await pair.seen())?.state === state);
}

async function client(pair: MirrorPair, volume = 'data'): Promise<NbdClient> {
  const opened = await NbdClient.open(pair.socket('source'), volume);
  clients.push(opened);
  return opened;
}

const filled = (bytes: number, value: number): Uint8Array => new Uint8Array(bytes).fill(value);

/** Writes `mib` MiB from `from` on, in pieces of 256 KiB, each answered before the next one. */
async function writeMib(to: NbdClient, from: number, mib: number, value: number): Promise<void> {
  for (let at = 0; at < mib * MIB; at += MIB / 4) await to.write(from * MIB + at, filled(MIB / 4, value));
}

const ways = (pair: MirrorPair): string[] =>
  [...pair.log('source').matchAll(/"how":"(\w+)"/g)].map(([, how]) => how ?? '');

test('[CY9] [CY6] [CR4] a full journal: writes wait, then go on; the target is outdated, and only what it lacks is brought over', async () => {
  const pair = await started({ acknowledge: 'local' });
  const writer = await client(pair);
  await writeMib(writer, 0, 1, 1);
  await pair.untilEqual();
  await pair.end('target', 'SIGKILL');
  await untilState(pair, 'journaling');
  const beganMs = performance.now();
  await writeMib(writer, 4, 12, 2);
  // The ring holds 8 MiB: so somebody had to wait until its entries were let go.
  expect(performance.now() - beganMs).toBeGreaterThan(200);
  const seen = await pair.seen();
  expect(seen).toMatchObject({ state: 'bitmap', outOfSyncBytes: expect.any(Number) });
  expect(seen?.outOfSyncBytes).toBeGreaterThanOrEqual(12 * MIB);
  expect(seen?.outOfSyncBytes).toBeLessThanOrEqual(14 * MIB);
  // It does not fit into the target's journal: that says so, and stays what it was.
  pair.start('target');
  await eventually('it does not fit', SOON_MS, async () => /--in-place/.test((await pair.seen())?.problem ?? ''));
  expect(ways(pair).at(-1)).toBe('bitmap');
  const old = Buffer.alloc(64 * MIB);
  old.fill(1, 0, MIB);
  expect(pair.content('target').equals(old)).toBe(true);
});

test('[CY5] [CY6] the group stops at one cut, is outdated as a whole, and comes back with what was marked', async () => {
  const pair = await started({ acknowledge: 'sync', more: ['log'] });
  const [data, log] = [await client(pair), await client(pair, 'log')];
  await writeMib(data, 0, 1, 1);
  await writeMib(log, 0, 1, 2);
  await pair.untilEqual();
  await pair.end('target', 'SIGKILL');
  await untilState(pair, 'journaling');
  // Over and over the same: many entries, few chunks.
  for (let value = 3; value < 9; value++) await writeMib(data, 8, 2, value);
  await log.write(0, filled(4096, 77));
  await untilState(pair, 'bitmap');
  expect((await pair.seen())?.outOfSyncBytes).toBeLessThanOrEqual(3 * MIB);
  pair.start('target');
  await untilState(pair, 'in-sync');
  await pair.untilEqual();
  expect(ways(pair).at(-1)).toBe('bitmap');
});

test('[CR5] a source that was killed has no bitmap: all is compared; after a stop in order it has', async () => {
  const pair = await started({ acknowledge: 'local' });
  for (const signal of ['SIGKILL', 'SIGTERM'] as const) {
    const writer = await client(pair);
    await pair.end('target', 'SIGKILL');
    await untilState(pair, 'journaling');
    for (let i = 0; i < 6; i++) await writeMib(writer, 2, 2, i + 5);
    await untilState(pair, 'bitmap');
    writer.close();
    await pair.end('source', signal);
    pair.start('source');
    pair.start('target');
    await untilState(pair, 'in-sync');
    await pair.untilEqual();
    expect(ways(pair).at(-1)).toBe(signal === 'SIGKILL' ? 'scan' : 'bitmap');
  }
});

test('[CY9] strict: nothing is answered without the target', async () => {
  const strict = { source: { overflow: { afterMs: 100, policy: 'strict' } } };
  const pair = await started({ acknowledge: 'sync', settings: strict });
  const writer = await client(pair);
  await writeMib(writer, 0, 1, 1);
  await pair.end('target', 'SIGKILL');
  await untilState(pair, 'journaling');
  let isAnswered = false;
  const waiting = writer.write(0, filled(4096, 9)).then(() => (isAnswered = true));
  await delay(1000);
  expect([isAnswered, (await pair.seen())?.state]).toEqual([false, 'journaling']);
  const status = await mirror(pair, 'status');
  expect(status.text).toMatch(/\nheld +nobody is answered before east is in sync: overflow\.policy is strict\n/);
  expect(status.text).toContain('sync: can be lost: nothing, as long as');
  pair.start('target');
  await waiting;
  await pair.untilEqual();
});

/** What a side serves, all in one read: one cut. Null while it serves nothing. */
async function shown(pair: MirrorPair): Promise<Buffer | null> {
  const reader = await NbdClient.open(pair.socket('target'), 'data').catch(() => null);
  if (!reader) return null;
  const bytes = await reader.read(0, reader.size).catch(() => null);
  reader.close();
  return bytes;
}

test('[MI12] source and target are killed in the middle of a staged resync: the copy shows its old cut, whole, until the new one', async () => {
  const pair = await started({ acknowledge: 'local', volumeBytes: 8 * MIB, withRelay: true });
  let writer = await client(pair);
  await writeMib(writer, 0, 1, 1);
  await pair.untilEqual();
  await pair.end('target', 'SIGKILL');
  await untilState(pair, 'journaling');
  // The same three MiB again and again: more than the ring keeps, and it fits into the target's.
  for (const value of [2, 3, 4]) await writeMib(writer, 4, 3, value);
  await untilState(pair, 'bitmap');
  const old = Buffer.alloc(8 * MIB);
  old.fill(1, 0, MIB);
  // Of what differs only a part gets through, in each attempt: it cannot be over before somebody is killed.
  pair.allow(1.5 * MIB);
  pair.start('target');
  const isStaging = async (): Promise<boolean> => {
    const status = await pair.status('target').catch(() => null);
    const journal = status?.['journal'] as { usedBytes: number } | undefined;
    return status?.['isStaging'] === true && (journal?.usedBytes ?? 0) > MIB;
  };
  for (const side of ['target', 'source', 'target'] as const) {
    await eventually(`staging, before the ${side} is killed`, SOON_MS, isStaging);
    expect((await shown(pair))?.equals(old)).toBe(true);
    await pair.end(side, 'SIGKILL');
    expect(pair.content('target').equals(old), `after the ${side} was killed`).toBe(true);
    pair.start(side);
    if (side === 'source') {
      writer = await eventually('the source serves', SOON_MS, async () => client(pair).catch(() => null));
      await writer.write(7.5 * MIB, filled(4096, 9));
    }
  }
  await eventually('all of it is on the source volume', SOON_MS, async () => {
    const { storage } = (await pair.status('source')) as unknown as { storage: { unflushedBytes: number } };
    return storage.unflushedBytes === 0;
  });
  const wanted = pair.content('source');
  pair.allow(Infinity);
  // Whoever reads meanwhile sees the one or the other.
  let mixes = 0;
  await eventually('the new cut', 2 * SOON_MS, async () => {
    const seen = await shown(pair);
    if (seen === null) return false;
    if (!seen.equals(old) && !seen.equals(wanted)) mixes++;
    return seen.equals(wanted);
  });
  expect(mixes).toBe(0);
  await untilState(pair, 'in-sync');
});

test('[MI10] [I14] clients write to the same regions all through a resync: the base moves on, and it ends', async () => {
  const settings = { source: { ...DEGRADE.source, limits: { bytesPerSecond: 6 * MIB } } };
  const pair = await started({ acknowledge: 'local', volumeBytes: 16 * MIB, settings, journalSize: '16M' });
  const writer = await client(pair);
  await pair.ask('source', { command: 'mirror-pause', target: 'east' });
  for (const value of [1, 2, 3, 4, 5]) await writeMib(writer, 0, 4, value);
  await untilState(pair, 'stopped');
  await eventually('it lacks something', SOON_MS, async () => ((await pair.seen())?.outOfSyncBytes ?? 0) >= 4 * MIB);
  await pair.ask('source', { command: 'mirror-resume', target: 'east' });
  const state = { isOver: false };
  let rounds = 0;
  const writing = (async () => {
    while (!state.isOver) {
      // Once each: nothing that is written later brings them.
      if (rounds < 512) await writer.write(12 * MIB + rounds * 8192, filled(4096, 200));
      await writeMib(writer, rounds++ % 3, 1, 10 + (rounds % 100));
    }
  })().catch((error: unknown) => error);
  await eventually('resyncing', SOON_MS, async () => (await pair.seen())?.state === 'resyncing');
  await untilState(pair, 'in-sync');
  state.isOver = true;
  expect(await writing).toBeUndefined();
  await pair.untilEqual();
  expect(rounds).toBeGreaterThan(12);
  expect(pair.log('target')).toContain('what is sent stands behind mark');
});

test.each([
  ['cycle', true],
  ['sync', false],
] as const)('[CY10] %s: a write is answered before the target has it: %s', async (acknowledge, isAnsweredAlone) => {
  // A target that stands still for two seconds is not lost yet.
  const settings = { source: { inquiry: { intervalMs: 1000, misses: 20 } } };
  const pair = await started({ acknowledge, settings });
  const writer = await client(pair);
  await writer.write(0, filled(4096, 1));
  const before = (await pair.seen())?.received ?? 0;
  process.kill(pair.pid('target'), 'SIGSTOP');
  try {
    let isAnswered = false;
    const write = writer.write(4096, filled(4096, 2)).then(() => (isAnswered = true));
    if (isAnsweredAlone) await write;
    else await delay(1500);
    expect(isAnswered).toBe(isAnsweredAlone);
    expect((await pair.seen())?.received).toBeLessThanOrEqual(before + 2);
    process.kill(pair.pid('target'), 'SIGCONT');
    await write;
  } finally {
    process.kill(pair.pid('target'), 'SIGCONT');
  }
  await pair.untilEqual();
});

async function mirror(pair: MirrorPair, ...argv: string[]): Promise<{ status: number | null; text: string }> {
  const all = [CLI_PATH, 'mirror', ...argv, '--config', pair.config('source')];
  return new Promise((resolve) => {
    const child = execFile(process.execPath, all, (_, stdout, stderr) =>
      resolve({ status: child.exitCode, text: stdout + stderr }),
    );
  });
}

test('[CR3] verify names what differs, by volume and range, mends nothing, and reports nothing that is being written', async () => {
  const scrub = { everyHours: 0, bytesPerSecond: 0, idleMs: 50 };
  const pair = await started({ volumeBytes: 16 * MIB, settings: { source: { scrub } } });
  const writer = await client(pair);
  await writeMib(writer, 0, 4, 1);
  await pair.untilEqual();
  const state = { isOver: false };
  const writing = (async () => {
    for (let i = 0; !state.isOver; i++) await writer.write(8 * MIB + (i % 256) * 4096, filled(4096, i % 251));
  })();
  // Behind the mirror's back.
  const fd = openSync(pair.volume.target, 'r+');
  writeSync(fd, filled(100, 5), 0, 100, 3 * MIB + 5000);
  writeSync(fd, filled(4096, 5), 0, 4096, 12 * MIB);
  closeSync(fd);
  const found = await mirror(pair, 'verify');
  state.isOver = true;
  await writing;
  expect(found.text).toContain('data: 4096 bytes from 3149824 on differ');
  expect(found.text).toContain('data: 4096 bytes from 12582912 on differ');
  expect(found.text.match(/on differ/g)).toHaveLength(2);
  expect(found.status).toBe(1);
  expect(pair.content('target').equals(pair.content('source'))).toBe(false);
  const said = await mirror(pair, 'resync', 'east');
  expect([said.status, said.text]).toEqual([0, expect.stringContaining('compared as a whole')]);
  await pair.untilEqual();
  await untilState(pair, 'in-sync');
  expect(await mirror(pair, 'verify', 'east')).toEqual({ status: 0, text: expect.stringContaining('nothing differs') });
});

test('what does not fit is brought over in place when an operator says so; a pause and a wrong name are told', async () => {
  const pair = await started({ acknowledge: 'local' });
  const writer = await client(pair);
  expect((await mirror(pair, 'pause', 'east')).text).toContain('stopped');
  await untilState(pair, 'stopped');
  await writeMib(writer, 4, 12, 2);
  expect((await mirror(pair, 'resync', 'east')).text).toContain('say stillbeat mirror resume first');
  expect((await mirror(pair, 'resume', 'east')).status).toBe(0);
  await eventually('it does not fit', SOON_MS, async () => /--in-place/.test((await pair.seen())?.problem ?? ''));
  expect((await mirror(pair, 'resync', 'east', '--in-place')).status).toBe(0);
  await untilState(pair, 'in-sync');
  await pair.untilEqual();
  // Said once more it changes nothing: answers wait for the target as before.
  expect((await mirror(pair, 'resume', 'east')).text).toBe('target east was not paused: it is in-sync\n');
  expect((await pair.seen())?.state).toBe('in-sync');
  expect(await mirror(pair, 'pause', 'west')).toEqual({
    status: 2,
    text: expect.stringMatching(/^stillbeat.*there is no target west: name one of east\n$/),
  });
});

test('[CR4] the smallest window: regions that differ as a whole are brought over all the same', async () => {
  const pair = await MirrorPair.make({ volumeBytes: 4 * MIB });
  pairs.push(pair);
  for (const side of ['source', 'target'] as const) {
    pair.configure(side, { journal: { path: join(pair.folder, `${side}.journal`), size: '8M', window: '1M' } });
  }
  pair.spoil('source', randomBytes(4 * MIB));
  pair.start('target');
  pair.start('source');
  await untilState(pair, 'in-sync');
  expect(pair.content('target').equals(pair.content('source'))).toBe(true);
});
