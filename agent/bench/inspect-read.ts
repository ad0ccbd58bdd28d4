/** `inspect --json` of a whole volume, beside `dd` of it in the same way: around the page cache where `inspect` reads so. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { AgentError } from '../base/errors.ts';
import { CLI_PATH } from '../demo/lab.ts';
import type { LabVolume } from '../demo/lab-volume.ts';
import { systemClock } from '../platform/clock.ts';
import { atLeast, type Figure } from './figure.ts';
import type { InspectBenchOptions, Say } from './inspect.ts';
import { median } from './mirror-rounds.ts';

const HEAD_BYTES = 512;
const TAIL_BYTES = 256;

export async function readRates(
  name: string,
  { path }: LabVolume,
  key: readonly string[],
  { rounds, volumeBytes }: InspectBenchOptions,
  say: Say,
): Promise<Figure> {
  const inspect = [process.execPath, CLI_PATH, 'inspect', path, '--json', ...key];
  const { isDirect, records, jsonBytes } = await shown(inspect);
  const how = isDirect ? 'around the page cache' : 'by the page cache';
  say(`${name}, beside dd, ${how}: ${records} records, ${(jsonBytes / 1e6).toFixed(0)} MB of JSON: ${rounds} rounds`);
  const dd = ['dd', `if=${path}`, 'of=/dev/null', 'bs=1M', 'status=none', ...(isDirect ? ['iflag=direct'] : [])];
  const rates = { inspect: [] as number[], dd: [] as number[] };
  for (let round = 0; round < rounds; round++) {
    const order = round % 2 === 0 ? (['inspect', 'dd'] as const) : (['dd', 'inspect'] as const);
    for (const which of order) rates[which].push(volumeBytes / 1e3 / (await timed(which === 'dd' ? dd : inspect)));
  }
  const rate = median(rates.inspect);
  const ratio = median(rates.inspect.map((one, i) => one / (rates.dd[i] ?? one)));
  return atLeast(`${name}, beside dd`, 'MB/s', rate, rate / ratio, 0.3);
}

/** How it reads, and that it finds the volume full and whole. The first pass, which warms what can be warmed. */
async function shown(argv: readonly string[]): Promise<{ isDirect: boolean; records: number; jsonBytes: number }> {
  const [program = '', ...rest] = argv;
  const child = spawn(program, rest, { stdio: ['ignore', 'pipe', 'inherit'] });
  let [head, tail, jsonBytes] = ['', '', 0];
  child.stdout.on('data', (piece: Buffer) => {
    jsonBytes += piece.length;
    if (head.length < HEAD_BYTES) head += piece.toString('latin1', 0, HEAD_BYTES);
    tail = (tail + piece.toString('latin1', Math.max(0, piece.length - TAIL_BYTES))).slice(-TAIL_BYTES);
  });
  await once(child, 'close');
  const [, damaged, records] = /"damaged":(\[.*\]),"totals":\{.*?"records":(\d+)/.exec(tail) ?? [];
  if (child.exitCode !== 0 || damaged !== '[]' || records === '0') {
    throw new AgentError('failed', `inspect does not find what the agents have written: ${tail}`);
  }
  return { isDirect: head.includes('"direct":true'), records: Number(records), jsonBytes };
}

/** Ms that a program takes, whose output nobody reads. */
async function timed(argv: readonly string[]): Promise<number> {
  const [program = '', ...rest] = argv;
  const beganMs = systemClock.monotonicMs();
  const child = spawn(program, rest, { stdio: ['ignore', 'ignore', 'inherit'] });
  await once(child, 'exit');
  if (child.exitCode !== 0) throw new AgentError('failed', `${argv.join(' ')} ended with status ${child.exitCode}`);
  return systemClock.monotonicMs() - beganMs;
}
