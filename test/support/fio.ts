/** fio's NBD engine: writes what it can tell again, and load. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { TOOL_PATH } from '../../agent/demo/shell.ts';

export interface FioJob {
  readonly uri: string;
  readonly seed: number;
  /** Bytes of the volume that are its own. */
  readonly offset: number;
  readonly size: number;
  readonly depth: number;
}

const start = ({ uri, seed, offset, size, depth }: FioJob, words: readonly string[]) =>
  spawn(
    'fio',
    [
      '--name=j',
      '--ioengine=nbd',
      '--thread', // one process: it can be ended
      `--uri=${uri}`,
      '--bs=4k',
      '--verify=crc32c',
      '--verify_fatal=1',
      '--verify_state_save=0', // or fio leaves a file where the tests were called
      `--randseed=${seed}`,
      `--offset=${offset}`,
      `--size=${size}`,
      `--iodepth=${depth}`,
      ...words,
    ],
    { env: { ...process.env, PATH: TOOL_PATH } },
  );

async function toItsEnd(job: FioJob, words: readonly string[]): Promise<void> {
  const child = start(job, words);
  let text = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (piece: Buffer) => (text += piece.toString()));
  await once(child, 'close');
  if (child.exitCode !== 0) throw new Error(`fio ends with ${child.exitCode}: ${text.slice(0, 2000)}`);
}

/** Writes each block once, in any order: all of it was answered. */
export const fioWrite = async (job: FioJob): Promise<void> => toItsEnd(job, ['--rw=randwrite', '--do_verify=0']);

/** Finds what `fioWrite` wrote with the same seed, whole; rejects when it does not. */
export const fioVerify = async (job: FioJob): Promise<void> => toItsEnd(job, ['--rw=randwrite', '--verify_only']);

/** Writes all the time. Of a server that dies it hears nothing: it has to be ended. */
export function fioLoad(job: FioJob): { end(): Promise<void> } {
  const words = ['--rw=randwrite', '--do_verify=0', '--time_based', '--runtime=3600'];
  const child = start(job, words);
  const closed = once(child, 'close');
  return {
    end: async () => {
      child.kill('SIGKILL');
      await closed;
    },
  };
}
