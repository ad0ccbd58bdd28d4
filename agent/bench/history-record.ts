/** What recording costs: the same load on two mirrors in turns, one of which has a recorder. */
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { AgentError } from '../base/errors.ts';
import { ask } from '../control-client.ts';
import { CLI_PATH } from '../demo/lab.ts';
import { systemClock } from '../platform/clock.ts';
import { BenchProcess } from './bench-process.ts';
import { atLeast, none, type Figure } from './figure.ts';
import { fio } from './fio.ts';
import type { HistoryBenchOptions, Say } from './history.ts';
import { BenchPair, freePort } from './mirror-pair.ts';
import { median } from './mirror-rounds.ts';
import { cpuSeconds } from './process-cost.ts';

const SOON_MS = 120_000;
const LOAD = ['--rw=randwrite', '--bs=4k', '--iodepth=32'];
const RECORDER = 'vault';

/** A source alone is the fastest, so that it loses most. */
const KINDS = [
  { name: 'recording a source without targets', isAlone: true },
  { name: 'recording a mirror', isAlone: false },
] as const;

export async function recordFigures(folder: string, options: HistoryBenchOptions, say: Say): Promise<Figure[]> {
  const figures: Figure[] = [];
  for (const kind of KINDS) {
    const { rounds, seconds } = options;
    say(`${kind.name}, 4 KiB random write, depth 32, beside the same without: ${rounds} rounds of ${seconds} s each`);
    const at = join(folder, kind.isAlone ? 'alone' : 'mirror');
    const without = await Side.start(join(at, 'without'), kind.isAlone, options.volumeBytes, null);
    try {
      const recorder = await Recorder.prepare(join(at, 'recorder'));
      const recorded = await Side.start(join(at, 'recorded'), kind.isAlone, options.volumeBytes, recorder);
      try {
        figures.push(...(await inTurns(kind.name, { without, recorded }, options, say)));
      } finally {
        await recorded.end();
      }
    } finally {
      await without.end();
      rmSync(at, { recursive: true });
    }
  }
  return figures;
}

interface Sample {
  readonly rate: number;
  /** Of the source's process, for one write. */
  readonly cpuUs: number;
}

async function inTurns(
  name: string,
  sides: { readonly without: Side; readonly recorded: Side },
  { volumeBytes, rounds, seconds }: HistoryBenchOptions,
  say: Say,
): Promise<Figure[]> {
  const samples = { without: [] as Sample[], recorded: [] as Sample[] };
  let behindMs = 0;
  for (const side of Object.values(sides)) {
    await fio(side.pair.uri, volumeBytes, ['--rw=write', '--bs=1M'], null);
    // New processes compile their loops: that is no cost of recording.
    await side.load(volumeBytes, seconds);
    await side.settled();
  }
  for (let round = 0; round < rounds; round++) {
    const order = round % 2 === 0 ? (['recorded', 'without'] as const) : (['without', 'recorded'] as const);
    for (const which of order) {
      samples[which].push(await sides[which].load(volumeBytes, seconds));
      // What is left to be done is no cost of the other one.
      const beganMs = systemClock.monotonicMs();
      await sides[which].settled();
      if (which === 'recorded') behindMs = Math.max(behindMs, systemClock.monotonicMs() - beganMs);
    }
  }
  const ratioOf = (of: (sample: Sample) => number): number =>
    median(samples.recorded.map((sample, i) => of(sample) / of(samples.without[i] ?? sample)));
  const rate = median(samples.recorded.map((sample) => sample.rate));
  const cpu = ratioOf(({ cpuUs }) => cpuUs).toFixed(2);
  say(
    `  processor of the source for a write: ${cpu} x; the recorder was at most ${(behindMs / 1000).toFixed(1)} s behind`,
  );
  const gaps = await sides.recorded.gaps();
  return [
    atLeast(`${name}: 4 KiB random write, depth 32`, '/s', rate, rate / ratioOf((sample) => sample.rate), 0.85),
    // A recorder that is let go of costs nothing: then the figure above would be worth nothing.
    none(`${name}: times that the recorder was let go of`, '', gaps, 0),
  ];
}

interface RecorderSeen {
  readonly kept: number;
  readonly letGo: number;
}

/** A mirror's source, its target where it has one, and its recorder where it has one. */
class Side {
  readonly pair: BenchPair;
  readonly #recorder: Recorder | null;

  private constructor(pair: BenchPair, recorder: Recorder | null) {
    this.pair = pair;
    this.#recorder = recorder;
  }

  static async start(folder: string, isAlone: boolean, volumeBytes: number, recorder: Recorder | null): Promise<Side> {
    const recorders = recorder ? [{ name: RECORDER, connect: recorder.address }] : [];
    const source = { acknowledge: 'local', recorders };
    const side = new Side(await BenchPair.make(folder, { volumeBytes, isAlone, source }), recorder);
    try {
      await recorder?.start(side.pair.keyFile);
      if (!isAlone) await side.pair.start('target');
      await side.pair.start('source');
      if (!isAlone) await side.pair.untilInSync();
      await side.settled();
      return side;
    } catch (error) {
      await side.end();
      throw error;
    }
  }

  async load(bytes: number, seconds: number): Promise<Sample> {
    const pid = this.pair.pid('source');
    const before = cpuSeconds(pid);
    const { operations, ms } = await fio(this.pair.uri, bytes, LOAD, seconds);
    return { rate: (operations * 1e3) / ms, cpuUs: ((cpuSeconds(pid) - before) * 1e6) / operations };
  }

  /** The target and the recorder have everything. */
  async settled(): Promise<void> {
    const deadlineMs = systemClock.monotonicMs() + SOON_MS;
    for (;;) {
      const status = (await this.pair.status()) as unknown as SourceStatus;
      const newest = status.marks.admitted;
      const isCopied = status.targets.every(({ state, lag }) => state === 'in-sync' && lag.marks === 0);
      const isRecorded = !this.#recorder || (await this.#recorder.hasAll(newest));
      if (isCopied && isRecorded) return;
      if (systemClock.monotonicMs() > deadlineMs) {
        throw new AgentError('failed', `what was written does not get there in time: ${JSON.stringify(status)}`);
      }
      await delay(20);
    }
  }

  async gaps(): Promise<number> {
    const { recorders } = (await this.pair.status()) as unknown as SourceStatus;
    return recorders.reduce((sum, { letGo }) => sum + letGo, 0);
  }

  async end(): Promise<void> {
    await this.pair.end();
    await this.#recorder?.end();
  }
}

interface SourceStatus {
  readonly marks: { readonly admitted: number };
  readonly targets: readonly { readonly state: string; readonly lag: { readonly marks: number } }[];
  readonly recorders: readonly RecorderSeen[];
}

/** `stillbeat history record` as an administrator runs it. */
class Recorder {
  readonly address: string;
  readonly #folder: string;
  #process: BenchProcess | null = null;

  private constructor(folder: string, port: number) {
    this.#folder = folder;
    this.address = `127.0.0.1:${port}`;
  }

  static async prepare(folder: string): Promise<Recorder> {
    mkdirSync(folder, { recursive: true });
    return new Recorder(folder, await freePort());
  }

  async start(keyFile: string): Promise<void> {
    const at = (name: string): string => join(this.#folder, name);
    const settings = { role: 'recorder', name: RECORDER, keyFile, listen: this.address, store: { path: at('store') } };
    writeFileSync(at('recorder.json'), JSON.stringify({ ...settings, control: { socket: at('sock') } }));
    const argv = [process.execPath, CLI_PATH, 'history', 'record', '--config', at('recorder.json')];
    const isReady = async (): Promise<boolean> =>
      this.#monitors().then(
        () => true,
        () => false,
      );
    this.#process = await BenchProcess.start(argv, isReady);
  }

  async hasAll(mark: number): Promise<boolean> {
    const [monitor] = await this.#monitors();
    return monitor?.base.state === 'whole' && monitor.kept >= mark;
  }

  async #monitors(): Promise<readonly { readonly kept: number; readonly base: { readonly state: string } }[]> {
    const status = await ask(join(this.#folder, 'sock'), { command: 'history-status' });
    return status['monitors'] as { kept: number; base: { state: string } }[];
  }

  async end(): Promise<void> {
    await this.#process?.kill();
  }
}
