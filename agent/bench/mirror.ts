/**
 * `bench mirror`: the replicator beside what does the like, on files in memory, in alternating rounds of one run: what is measured
 * is the programs, not a disk.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { atLeast, atMost, below, type Figure } from './figure.ts';
import { fio } from './fio.ts';
import { BenchPair, type MirrorPairOptions } from './mirror-pair.ts';
import { pingFigures } from './mirror-ping.ts';
import { QemuMirror, startNbdkit } from './mirror-peers.ts';
import { resyncFigures } from './mirror-resync.ts';
import { beside, median, type MirrorLoad } from './mirror-rounds.ts';
import { residentBytes } from './process-cost.ts';

const MIB = 1024 * 1024;
const TIB = 1024 ** 4;
const CYCLE_MS = 1000;
const SCRUB_BYTES = 2048 * MIB;

export interface MirrorBenchOptions {
  readonly rounds: number;
  readonly seconds: number;
  /** Of the volume that is brought up again, and of those that are written to. */
  readonly resyncBytes: number;
  readonly volumeBytes: number;
}

const USUAL: MirrorBenchOptions = { rounds: 5, seconds: 3, resyncBytes: 1024 * MIB, volumeBytes: 256 * MIB };

type Say = (line: string) => void;
type Part = (folder: string, options: MirrorBenchOptions, say: Say) => Promise<Figure[]>;

const PARTS: readonly Part[] = [
  async (folder, { resyncBytes, rounds }, say) => resyncFigures(folder, resyncBytes, rounds, say),
  synchronous,
  local,
  checkpoints,
  lag,
  async (_, { seconds }, say) => pingFigures(seconds * 2, say),
  scrub,
  memory,
];

export async function mirror(say: Say, options: MirrorBenchOptions = USUAL): Promise<Figure[]> {
  const figures: Figure[] = [];
  for (const part of PARTS) {
    const folder = mkdtempSync('/dev/shm/stillbeat-mirror-');
    try {
      figures.push(...(await part(folder, options, say)));
    } finally {
      rmSync(folder, { recursive: true });
    }
  }
  return figures;
}

const SMALL = ['--rw=randwrite', '--bs=4k'];
const SYNCHRONOUS: readonly MirrorLoad[] = [
  { name: 'sync, 4 KiB random write, depth 1', work: [...SMALL, '--iodepth=1'], inBytes: false, factor: 1 },
  { name: 'sync, 4 KiB random write, depth 32', work: [...SMALL, '--iodepth=32'], inBytes: false, factor: 1.5 },
  {
    name: 'sync, 128 KiB sequential write, depth 16',
    work: ['--rw=write', '--bs=128k', '--iodepth=16'],
    inBytes: true,
    factor: 1,
  },
];

async function synchronous(folder: string, options: MirrorBenchOptions, say: Say): Promise<Figure[]> {
  const { volumeBytes, rounds, seconds } = options;
  const qemu = await QemuMirror.start(join(folder, 'qemu'), volumeBytes);
  try {
    return await withPair(join(folder, 'ours'), { volumeBytes, source: { acknowledge: 'sync' } }, async (pair) => {
      const uris = { ours: pair.uri, peer: qemu.uri };
      for (const uri of Object.values(uris)) await fio(uri, volumeBytes, ['--rw=write', '--bs=1M'], null);
      const figures: Figure[] = [];
      for (const load of SYNCHRONOUS) {
        say(`${load.name}, beside a write-blocking mirror of QEMU: ${rounds} rounds of ${seconds} s each`);
        figures.push(await beside(load, uris, { bytes: volumeBytes, rounds, seconds }));
      }
      return figures;
    });
  } finally {
    await qemu.end();
  }
}

async function local(folder: string, options: MirrorBenchOptions, say: Say): Promise<Figure[]> {
  const { volumeBytes, rounds, seconds } = options;
  const nbdkit = await startNbdkit(join(folder, 'nbdkit'), volumeBytes);
  const name = 'local, 4 KiB random write, depth 32';
  const load: MirrorLoad = { name, work: [...SMALL, '--iodepth=32'], inBytes: false, factor: 0.5 };
  say(`${name}, beside nbdkit with a file: ${rounds} rounds of ${seconds} s each`);
  try {
    const alone = { volumeBytes, isAlone: true, source: { acknowledge: 'local' } };
    return await withPair(join(folder, 'ours'), alone, async (pair) => {
      const uris = { ours: pair.uri, peer: nbdkit.uri };
      for (const uri of Object.values(uris)) await fio(uri, volumeBytes, ['--rw=write', '--bs=1M'], null);
      return [await beside(load, uris, { bytes: volumeBytes, rounds, seconds })];
    });
  } finally {
    await nbdkit.child.kill();
  }
}

/** Bytes that a cut adds behind writes of whole blocks, which are at the target already. */
async function checkpoints(folder: string, { volumeBytes }: MirrorBenchOptions, say: Say): Promise<Figure[]> {
  const bytes = Math.min(volumeBytes, 48 * MIB);
  say(`a cut behind ${bytes / MIB} MiB of whole blocks, by references and as data`);
  const sent = async (by: 'references' | 'data'): Promise<number> => {
    const source = { acknowledge: 'sync', checkpoint: { by, ms: 0 } };
    const options = { volumeBytes, isCounted: true, source };
    return withPair(join(folder, by), options, async (pair) => {
      await pair.checkpoint();
      await fio(pair.uri, bytes, ['--rw=write', '--bs=64k', '--iodepth=4'], null);
      const before = pair.wire?.sentBytes ?? 0;
      await pair.checkpoint();
      return (pair.wire?.sentBytes ?? 0) - before;
    });
  };
  const name = 'bytes of a cut, by references beside data';
  return [atMost(name, 'MB', (await sent('references')) / 1e6, (await sent('data')) / 1e6, 0.05)];
}

/** An asynchronous mirror under a steady load: how old what the target lacks gets. */
async function lag(folder: string, { volumeBytes, seconds }: MirrorBenchOptions, say: Say): Promise<Figure[]> {
  const duration = seconds * 4;
  say(`an asynchronous mirror under 100 MB/s for ${duration} s`);
  const source = { acknowledge: 'local', cycleMs: CYCLE_MS };
  return withPair(join(folder, 'ours'), { volumeBytes, source }, async (pair) => {
    const state = { isOver: false, most: 0 };
    const watching = (async () => {
      while (!state.isOver) {
        const target = await pair.seen();
        state.most = Math.max(state.most, target?.lag.seconds ?? Infinity);
        await delay(50);
      }
    })();
    await fio(pair.uri, volumeBytes, ['--rw=write', '--bs=128k', '--iodepth=8', '--rate=100m'], duration);
    state.isOver = true;
    await watching;
    return [below('lag under 100 MB/s, at most', 's', state.most, (2 * CYCLE_MS) / 1000)];
  });
}

/**
 * What a client has of its rate while the copy is compared beside it. Each time a pair of its own, for a scrub is not broken off; and
 * each has been written to before, or one would have empty rings before it and the other what the first had left in them.
 */
async function scrub(folder: string, options: MirrorBenchOptions, say: Say): Promise<Figure[]> {
  const { volumeBytes, rounds, seconds } = options;
  say(`a scrub beside 4 KiB random writes, depth 32: ${rounds} rounds of ${seconds} s each`);
  const rates = { without: [] as number[], beside: [] as number[] };
  for (let round = 0; round < rounds; round++) {
    const order = round % 2 === 0 ? (['without', 'beside'] as const) : (['beside', 'without'] as const);
    for (const which of order) {
      // Large enough for the scrub to outlast the client at its usual rate.
      const pairOptions = { volumeBytes: SCRUB_BYTES, source: { acknowledge: 'local' } };
      const rate = await withPair(join(folder, `${which}-${round}`), pairOptions, async (pair) => {
        const run = async () => fio(pair.uri, volumeBytes, [...SMALL, '--iodepth=32'], seconds);
        await run();
        await pair.until('all of it is there', ({ state, lag }) => state === 'in-sync' && lag.marks === 0);
        if (which === 'beside') await pair.verify();
        const { operations, ms } = await run();
        return (operations * 1e3) / ms;
      });
      rates[which].push(rate);
      rmSync(join(folder, `${which}-${round}`), { recursive: true });
    }
  }
  const beside32 = median(rates.beside);
  const ratio = median(rates.beside.map((one, i) => one / (rates.without[i] ?? one)));
  return [atLeast('rate of a client beside a scrub', '/s', beside32, beside32 / ratio, 0.9)];
}

async function memory(folder: string, { seconds }: MirrorBenchOptions, say: Say): Promise<Figure[]> {
  say(`memory with a sparse volume of 1 TiB that is being compared, under writes for ${seconds} s`);
  const pair = await BenchPair.make(join(folder, 'ours'), { volumeBytes: TIB, source: { acknowledge: 'local' } });
  try {
    await pair.start('target');
    await pair.start('source');
    await fio(
      pair.uri,
      TIB,
      ['--rw=randwrite', '--bs=4k', '--iodepth=8', '--rate_iops=2000', '--norandommap'],
      seconds,
    );
    const most = (side: 'source' | 'target'): number => residentBytes(pair.pid(side)) / MIB;
    return [
      below('resident memory of a source of 1 TiB', 'MiB', most('source'), 300),
      below('resident memory of a target of 1 TiB', 'MiB', most('target'), 300),
    ];
  } finally {
    await pair.end();
  }
}

/** A pair that is in sync, or a source alone. */
async function withPair<T>(
  folder: string,
  options: MirrorPairOptions,
  use: (pair: BenchPair) => Promise<T>,
): Promise<T> {
  const pair = await BenchPair.make(folder, options);
  try {
    if (options.isAlone !== true) await pair.start('target');
    await pair.start('source');
    if (options.isAlone !== true) await pair.untilInSync();
    return await use(pair);
  } finally {
    await pair.end();
  }
}
