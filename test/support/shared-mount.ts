/**
 * A folder below which mounts may be made while other tests make mount namespaces: these get a copy of every mount, and
 * would hold it for as long as they live, did not the kernel tell them of each unmount below a shared one.
 */
import { tool } from '../../agent/demo/shell.ts';

/** Answers what takes it away again, when nothing is mounted below it any more. */
export async function shareMounts(folder: string): Promise<() => Promise<void>> {
  await tool(['mount', '--bind', folder, folder]);
  await tool(['mount', '--make-shared', folder]);
  return async () => void (await tool(['umount', folder]));
}
