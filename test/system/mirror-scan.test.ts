/** The scan that a source makes by itself: what somebody changed behind the mirror's back is found, though nobody asked. */
import { closeSync, openSync, writeSync } from 'node:fs';
import { afterEach, expect, test } from 'vitest';
import { eventually } from '../support/cluster.ts';
import { MirrorPair } from '../support/mirror-pair.ts';
import { NbdClient } from '../support/nbd-client.ts';

const MIB = 1 << 20;
const SOON_MS = 60_000;
const HOUR_MS = 3_600_000;
const pairs: MirrorPair[] = [];
afterEach(async () => {
  for (const pair of pairs.splice(0)) await pair.remove();
});

async function started(volumeBytes: number, scrub: object): Promise<MirrorPair> {
  const pair = await MirrorPair.make({ volumeBytes, settings: { source: { scrub } } });
  pairs.push(pair);
  pair.start('target');
  pair.start('source');
  await pair.untilInSync();
  return pair;
}

interface Seen {
  readonly scanned?: string | null;
  readonly verify?: {
    readonly state: string;
    readonly done: number;
    readonly differingBytes: number;
    readonly differences: readonly { volume: string; offset: number; length: number }[];
  } | null;
}

const seen = async (pair: MirrorPair): Promise<Seen> => ((await pair.seen()) ?? {}) as Seen;
const scannedMs = async (pair: MirrorPair): Promise<number> => Date.parse((await seen(pair)).scanned ?? '') || 0;

test('[CR3] a scan by itself finds what was changed behind its back, counted from the last one, not from the start', async () => {
  const everyMs = 10_000;
  const pair = await started(4 * MIB, { everyHours: everyMs / HOUR_MS });
  await eventually('the first comparison counts', SOON_MS, async () => (await scannedMs(pair)) > 0);
  const firstMs = await scannedMs(pair);
  // Behind the mirror's back.
  const fd = openSync(pair.volume.target, 'r+');
  writeSync(fd, new Uint8Array(100).fill(5), 0, 100, 3 * MIB + 5000);
  closeSync(fd);
  // Started anew all the time: were the time counted from a start, none would ever come.
  let starts = 0;
  const isDue = (): boolean => Date.now() - firstMs >= everyMs;
  while (!isDue()) {
    expect(await pair.end('source')).toBe(0);
    pair.start('source');
    starts++;
    await pair.untilInSync();
    if (!isDue()) expect(await scannedMs(pair)).toBe(firstMs);
  }
  expect(starts).toBeGreaterThan(0);
  await eventually('found', SOON_MS, async () => (await seen(pair)).verify?.state === 'done');
  const { verify } = await seen(pair);
  expect(verify?.differences).toEqual([{ volume: 'data', offset: 3 * MIB + 4096, length: 4096 }]);
  expect(await scannedMs(pair)).toBeGreaterThanOrEqual(firstMs + everyMs);
  expect(pair.log('source')).toMatch(
    /target-differs.*4096 bytes of the copy differ.*4096 from 3149824 on of volume data/,
  );
});

test('[CR3] a scan yields to clients: while they write it goes region by region, with rests', async () => {
  // At that rate a region takes 62 ms, and four times as long while clients write.
  const scrub = { everyHours: 1 / 3600, bytesPerSecond: 16 * MIB, idleMs: 60_000 };
  const pair = await started(96 * MIB, scrub);
  const client = await NbdClient.open(pair.socket('source'), 'data');
  const state = { isOver: false, writes: 0 };
  const writing = (async () => {
    for (; !state.isOver; state.writes++) await client.write((state.writes % 256) * 4096, new Uint8Array(4096).fill(1));
  })();
  const doneAt = async (regions: number): Promise<{ fromMs: number; toMs: number; done: number; writes: number }> => {
    let [fromMs, done] = [0, 0];
    await eventually(`${regions} regions`, SOON_MS, async () => {
      fromMs = performance.now();
      const { verify } = await seen(pair);
      done = verify?.state === 'running' ? verify.done : 0;
      return done >= regions;
    });
    return { fromMs, toMs: performance.now(), done, writes: state.writes };
  };
  // The first step may have begun before the first write: it is of sixteen regions.
  const from = await doneAt(17);
  const to = await doneAt(from.done + 16);
  state.isOver = true;
  await writing;
  client.close();
  const perRegionMs = (to.toMs - from.fromMs) / (to.done - from.done);
  // Less one step, whose rest may have been over when it was first seen.
  expect(perRegionMs).toBeGreaterThan(250 * (15 / 16) * 0.9);
  expect(to.writes).toBeGreaterThan(from.writes);
});
