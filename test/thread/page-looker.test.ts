/** The page's look into volumes, in real threads: one that hangs is named, and takes no other's view away. */
import { execFileSync } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { VolumeLooker } from '../../agent/page/volume-looker.ts';
import { eventually, SOON_MS } from '../support/cluster.ts';

// Workers are compiled programs.
const compiled = new URL('../../dist/agent/page/volume-looker.js', import.meta.url).href;
const CLI = new URL('../../dist/agent/cli.js', import.meta.url).pathname;

let directory: string;
let good: string;
let hanging: string;
let looker: VolumeLooker;

beforeEach(async () => {
  const module = (await import(/* @vite-ignore */ compiled)) as typeof import('../../agent/page/volume-looker.ts');
  directory = mkdtempSync(join(tmpdir(), 'stillbeat-looker-'));
  [good, hanging] = [join(directory, 'good'), join(directory, 'hanging')];
  writeFileSync(good, '');
  truncateSync(good, 16 << 20);
  execFileSync(process.execPath, [CLI, 'format', good, '--cluster', 'lab', '--nodes', 'a,b']);
  // To open one blocks in the kernel until somebody writes.
  execFileSync('mkfifo', [hanging]);
  looker = new module.VolumeLooker();
});
afterEach(() => {
  looker.close();
  freed();
  rmSync(directory, { recursive: true });
});

/** Whoever hangs there goes on. */
const freed = (): void => closeSync(openSync(hanging, 'r+'));
const keys = (): null => null;
const seen = async (...paths: string[]): Promise<string[] | undefined> =>
  (await looker.volumes(paths, keys))?.map(({ path }) => path);

test('a volume that hangs: the others are seen, whichever comes first, and it is when it answers', async () => {
  expect(await seen(good)).toEqual([good]);
  await seen(hanging, good);
  expect([...looker.hanging]).toEqual([hanging]);
  expect(await seen(hanging, good)).toEqual([good]);
  expect((await looker.packets(good, 'a', keys)).packets).toEqual([]);
  await expect(looker.packets(hanging, 'a', keys)).rejects.toThrow(/does not answer/);
  await eventually('it answers again', SOON_MS, () => {
    freed();
    return looker.hanging.size === 0;
  });
  expect(await seen(good)).toEqual([good]);
});

test('packets of a volume that hangs take nothing from the others either', async () => {
  await expect(looker.packets(hanging, 'a', keys)).rejects.toThrow(/does not answer/);
  expect([...looker.hanging]).toEqual([hanging]);
  expect(await seen(good, hanging)).toEqual([good]);
});
