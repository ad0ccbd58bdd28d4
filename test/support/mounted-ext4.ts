/** An ext4 on an NBD export, as a client of the kernel has it: nbdfuse shows the export as a file, which is mounted. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import { run, tool, TOOL_PATH } from '../../agent/demo/shell.ts';
import { eventually } from './cluster.ts';
import { shareMounts } from './shared-mount.ts';

const SOON_MS = 60_000;

export interface MountedExt4 {
  /** Where it is mounted. */
  readonly path: string;
  readonly sync: () => Promise<void>;
  readonly unmount: () => Promise<void>;
}

/** Makes it, below `folder`. `ends`: takes what undoes it, from the last one on. */
export async function mountExt4(folder: string, uri: string, ends: (() => unknown)[]): Promise<MountedExt4> {
  const shared = join(folder, 'mounts');
  const [fused, path] = [join(shared, 'fuse'), join(shared, 'mounted')];
  const disk = join(fused, 'disk');
  mkdirSync(shared);
  ends.push(await shareMounts(shared));
  for (const each of [fused, path]) mkdirSync(each);
  const fuse = spawn('nbdfuse', [disk, uri], { stdio: 'ignore', env: { ...process.env, PATH: TOOL_PATH } });
  const gone = once(fuse, 'exit');
  let isMounted = false;
  const unmount = async (): Promise<void> => {
    if (isMounted) await tool(['umount', path], { timeoutMs: SOON_MS });
    isMounted = false;
  };
  ends.push(async () => {
    await unmount();
    await eventually('nbdfuse lets go', SOON_MS, async () => (await run(['fusermount3', '-u', fused])).status === 0);
    await gone;
  });
  await eventually('nbdfuse shows it', SOON_MS, () => existsSync(disk));
  await tool(['mkfs.ext4', '-q', '-b', '1024', disk], { timeoutMs: SOON_MS });
  await tool(['mount', '-o', 'loop', disk, path], { timeoutMs: SOON_MS });
  isMounted = true;
  return { path, sync: async () => void (await tool(['sync', '-f', path], { timeoutMs: SOON_MS })), unmount };
}

/** The file system's journal is replayed, as a mount does it. */
export async function replayExt4(image: string): Promise<void> {
  const { status } = await run(['e2fsck', '-p', '-E', 'journal_only', image], { timeoutMs: SOON_MS });
  expect(status).toBeLessThan(2);
}

/** Behind the replay nothing may be wrong. */
export async function checkExt4(image: string, what: string): Promise<void> {
  await replayExt4(image);
  const { status, stdout } = await run(['e2fsck', '-f', '-n', image], { timeoutMs: SOON_MS });
  expect([what, status, stdout]).toEqual([what, 0, expect.not.stringMatching(/WARNING|error/i)]);
}
