import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { withFolder } from '../../../agent/bench/bench-folder.ts';

test('withFolder: what was made is gone, with the work or with its failure', async () => {
  let folder = '';
  const made = async (given: string): Promise<number> => {
    folder = given;
    writeFileSync(join(folder, 'file'), 'content');
    return 7;
  };
  expect(await withFolder('unit', 1, made)).toBe(7);
  expect(existsSync(folder)).toBe(false);
  const failed = withFolder('unit', 1, async (given) => {
    await made(given);
    throw new Error('it failed');
  });
  await expect(failed).rejects.toThrow('it failed');
  expect(existsSync(folder)).toBe(false);
});

test('withFolder: no signal handler is left, or every benchmark would add one', async () => {
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
  const listeners = (): number[] => signals.map((name) => process.listenerCount(name));
  const before = listeners();
  await withFolder('unit', 1, async () => {});
  expect(listeners()).toEqual(before);
});
