/** fio as a client of an NBD server: one job, what it did. */
import { AgentError } from '../base/errors.ts';
import { tool } from '../demo/shell.ts';

export interface FioResult {
  readonly operations: number;
  readonly bytes: number;
  readonly ms: number;
}

interface FioSide {
  readonly total_ios: number;
  readonly io_bytes: number;
  readonly runtime: number;
}

/** Runs fio on `bytes` of a volume for some seconds, or once over all of them with null. */
export async function fio(
  uri: string,
  bytes: number,
  work: readonly string[],
  seconds: number | null,
): Promise<FioResult> {
  const time = seconds === null ? [] : ['--time_based', `--runtime=${seconds}`];
  const where = ['--name=bench', '--ioengine=nbd', `--uri=${uri}`, `--size=${bytes}`, '--randseed=1'];
  const timeoutMs = 60_000 + (seconds ?? 0) * 1000;
  const said = await tool(['fio', ...where, ...work, ...time, '--output-format=json'], { timeoutMs });
  const document = JSON.parse(said.slice(said.indexOf('{'))) as { jobs: { read: FioSide; write: FioSide }[] };
  const [job] = document.jobs;
  const side = job && (job.read.total_ios > 0 ? job.read : job.write);
  if (!side || side.total_ios === 0) throw new AgentError('failed', `fio did nothing with ${uri}`);
  return { operations: side.total_ios, bytes: side.io_bytes, ms: side.runtime };
}
