/** A folder in memory, or on disk where that is too small, for what a benchmark makes: it goes with the benchmark, however that ends. */
import { mkdtempSync, rmSync } from 'node:fs';
import { constants } from 'node:os';
import { join } from 'node:path';
import { chooseVolumeDirectory } from '../demo/lab-volume.ts';

const SIGNALS = ['SIGHUP', 'SIGINT', 'SIGTERM'] as const;

/** `bytes`: what there has to be room for. */
export async function withFolder<T>(name: string, bytes: number, work: (folder: string) => Promise<T>): Promise<T> {
  // The choice is made for four volumes.
  const folder = mkdtempSync(join(chooseVolumeDirectory(bytes / 4), `stillbeat-${name}-`));
  const remove = (): void => rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
  const end = (signal: NodeJS.Signals): void => process.exit(128 + constants.signals[signal]);
  process.once('exit', remove);
  for (const signal of SIGNALS) process.once(signal, end);
  try {
    return await work(folder);
  } finally {
    for (const signal of SIGNALS) process.off(signal, end);
    process.off('exit', remove);
    remove();
  }
}
