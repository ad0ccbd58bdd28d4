/** `bench idle`: what a healthy agent without traffic costs. */
import { setTimeout as delay } from 'node:timers/promises';
import { systemClock } from '../platform/clock.ts';
import { below, type Figure } from './figure.ts';
import { BenchLab } from './bench-lab.ts';
import { cpuSeconds, residentBytes } from './process-cost.ts';

const SECONDS = 15;
/** A new agent compiles its loops; that is no cost of being idle. */
const SETTLE_MS = 20_000;
const MIB = 1024 * 1024;

interface Look {
  readonly atMs: number;
  readonly cpu: number;
  readonly operations: number;
}

export async function idle(say: (line: string) => void): Promise<Figure[]> {
  return BenchLab.with(async (bench) => measure(bench, say));
}

async function measure(bench: BenchLab, say: (line: string) => void): Promise<Figure[]> {
  const { lab } = bench;
  await bench.onNetwork();
  await bench.watcher.stop(); // its questions would be traffic
  say(`${SECONDS} seconds without traffic, network healthy`);
  await delay(SETTLE_MS);
  const before = await Promise.all(lab.nodes.map(async (node) => look(bench, node)));
  await delay(SECONDS * 1000);
  const after = await Promise.all(lab.nodes.map(async (node) => look(bench, node)));
  let cpu = 0;
  let operations = 0;
  let resident = 0;
  lab.nodes.forEach((node, i) => {
    const [first, last] = [before[i], after[i]];
    if (!first || !last) return;
    const seconds = (last.atMs - first.atMs) / 1000;
    cpu = Math.max(cpu, ((last.cpu - first.cpu) / seconds) * 100);
    operations = Math.max(operations, (last.operations - first.operations) / seconds);
    resident = Math.max(resident, residentBytes(lab.agentPid(node)) / MIB);
  });
  return [
    below('idle: processor', '% of a core', cpu, 1),
    below('idle: storage operations a second', '', operations, 25),
    below('resident memory of an agent', 'MiB', resident, 150),
  ];
}

async function look(bench: BenchLab, node: string): Promise<Look> {
  const status = (await bench.lab.status(node)) as unknown as { storage: { reads: number; writes: number } };
  const { reads, writes } = status.storage;
  return { atMs: systemClock.monotonicMs(), cpu: cpuSeconds(bench.lab.agentPid(node)), operations: reads + writes };
}
