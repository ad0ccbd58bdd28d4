/**
 * `bench nbd`: the NBD server with a file beside nbdkit's file plugin and qemu-nbd, under fio, in alternating rounds. A
 * ratio is the median of the rounds' own ratios: what else the machine does meanwhile changes from minute to minute, and
 * touches the servers of one round alike.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { AgentError } from '../base/errors.ts';
import { percentile } from '../demo/figures.ts';
import { systemClock } from '../platform/clock.ts';
import { cpuSeconds } from './process-cost.ts';
import { atLeast, atMost, type Figure } from './figure.ts';
import { fio } from './fio.ts';

const FILE_BYTES = 256 * 1024 * 1024;
const ROUNDS = 5;
const SECONDS = 2;
const START_MS_MAX = 10_000;
const ENTRY = fileURLToPath(new URL('./nbd-entry.js', import.meta.url));

interface Load {
  readonly name: string;
  readonly fio: readonly string[];
  readonly unit: string;
  /** Operations a second, or MB a second. */
  readonly inBytes: boolean;
  /** What is to be reached beside nbdkit, and beside qemu-nbd. */
  readonly nbdkit: number;
  readonly qemu: number;
}

const LOADS: readonly Load[] = [
  { ...load('4 KiB random write, depth 1', 'randwrite', '4k', 1), nbdkit: 0.8, qemu: 1 },
  { ...load('4 KiB random write, depth 32', 'randwrite', '4k', 32), nbdkit: 1, qemu: 1.5 },
  { ...load('4 KiB random read, depth 32', 'randread', '4k', 32), nbdkit: 1, qemu: 1.5 },
  { ...load('128 KiB sequential write, depth 16', 'write', '128k', 16), nbdkit: 0.5, qemu: 1 },
  { ...load('128 KiB sequential read, depth 16', 'read', '128k', 16), nbdkit: 0.5, qemu: 1 },
];

function load(name: string, rw: string, bs: string, depth: number) {
  const inBytes = bs !== '4k';
  return { name, fio: [`--rw=${rw}`, `--bs=${bs}`, `--iodepth=${depth}`], unit: inBytes ? 'MB/s' : '/s', inBytes };
}

interface Target {
  readonly name: 'ours' | 'nbdkit' | 'qemu';
  readonly uri: string;
  readonly process: ChildProcess;
}

interface Sample {
  readonly rate: number;
  /** Of the server, for one operation. */
  readonly cpuUs: number;
}

export interface NbdBenchOptions {
  readonly rounds?: number;
  readonly seconds?: number;
}

export async function nbd(say: (line: string) => void, options: NbdBenchOptions = {}): Promise<Figure[]> {
  const { rounds = ROUNDS, seconds = SECONDS } = options;
  // In memory: what is measured is the servers, not a disk.
  const folder = mkdtempSync('/dev/shm/stillbeat-nbd-');
  const targets: Target[] = [];
  try {
    for (const name of ['ours', 'nbdkit', 'qemu'] as const) targets.push(await serve(folder, name));
    for (const { uri } of targets) await fio(uri, FILE_BYTES, ['--rw=write', '--bs=1M', '--iodepth=4'], null);
    const figures: Figure[] = [];
    for (const what of LOADS) {
      say(`${what.name}: ${rounds} rounds of ${seconds} s each`);
      figures.push(...(await beside(what, targets, rounds, seconds)));
    }
    return figures;
  } finally {
    for (const { process: child } of targets) await stop(child);
    rmSync(folder, { recursive: true });
  }
}

async function beside(what: Load, targets: readonly Target[], rounds: number, seconds: number): Promise<Figure[]> {
  const samples = { ours: [] as Sample[], nbdkit: [] as Sample[], qemu: [] as Sample[] };
  for (let round = 0; round < rounds; round++) {
    // Each round begins with another one, so that none is always the first.
    for (let i = 0; i < targets.length; i++) {
      const target = targets[(round + i) % targets.length];
      if (target) samples[target.name].push(await measure(what, target, seconds));
    }
  }
  const ratios = (peer: 'nbdkit' | 'qemu', of: (sample: Sample) => number) =>
    median(samples.ours.map((sample, i) => of(sample) / of(samples[peer][i] ?? sample)));
  const rate = median(samples.ours.map((sample) => sample.rate));
  const cpu = median(samples.ours.map((sample) => sample.cpuUs));
  const against = (peer: 'nbdkit' | 'qemu') => {
    const ratio = ratios(peer, (sample) => sample.rate);
    return atLeast(`${what.name}, beside ${peer}`, what.unit, rate, rate / ratio, what[peer]);
  };
  const cost = cpu / ratios('nbdkit', (sample) => sample.cpuUs);
  return [
    against('nbdkit'),
    against('qemu'),
    atMost(`${what.name}: processor for one, beside nbdkit`, 'µs', cpu, cost, 1 / what.nbdkit),
  ];
}

async function measure(what: Load, target: Target, seconds: number): Promise<Sample> {
  const pid = target.process.pid ?? 0;
  const before = cpuSeconds(pid);
  const { operations, ms, bytes } = await fio(target.uri, FILE_BYTES, what.fio, seconds);
  const cpuUs = ((cpuSeconds(pid) - before) * 1e6) / operations;
  return { rate: what.inBytes ? bytes / 1e3 / ms : (operations * 1e3) / ms, cpuUs };
}

async function serve(folder: string, name: Target['name']): Promise<Target> {
  const path = join(folder, `${name}.img`);
  const socket = join(folder, `${name}.sock`);
  writeFileSync(path, '');
  truncateSync(path, FILE_BYTES);
  const argv = {
    ours: [process.execPath, ENTRY, path, socket],
    nbdkit: ['nbdkit', '--foreground', '--unix', socket, 'file', path],
    qemu: ['qemu-nbd', '--format=raw', '--persistent', '--shared=16', `--socket=${socket}`, '--export-name=data', path],
  }[name];
  const child = spawn(argv[0] ?? '', argv.slice(1), { stdio: ['pipe', 'ignore', 'inherit'] });
  const failed = new Promise<never>((_, reject) => {
    child.once('error', () => reject(new AgentError('failed', `there is no ${argv[0]}: install ${PACKAGES[name]}`)));
    child.once('exit', (status) => reject(new AgentError('failed', `${argv[0]} ended with status ${status}`)));
  });
  failed.catch(() => {});
  await Promise.race([failed, listening(socket)]);
  return { name, uri: `nbd+unix:///${name === 'nbdkit' ? '' : 'data'}?socket=${socket}`, process: child };
}

const PACKAGES = { ours: 'Node.js', nbdkit: 'nbdkit', qemu: 'qemu-utils' } as const;

async function listening(socket: string): Promise<void> {
  const deadlineMs = systemClock.monotonicMs() + START_MS_MAX;
  while (!existsSync(socket)) {
    if (systemClock.monotonicMs() > deadlineMs) throw new AgentError('failed', `nobody listens on ${socket}`);
    await delay(20);
  }
}

async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined) return;
  const gone = once(child, 'exit');
  child.kill('SIGKILL');
  await gone;
}

const median = (values: readonly number[]): number => percentile(values, 0.5) ?? Number.NaN;
