/**
 * The log device as a file: read and written around the page cache where that is possible, for another host writes it too.
 * Opened anew for each use, which is seldom: so a device that was away is there again without a word. Calls go over the pool
 * of threads, and reject; nobody is held up by a device that hangs but who waits for it.
 */
import { constants } from 'node:fs';
import { open, type FileHandle } from 'node:fs/promises';
import type { LogDevice, OpenLog } from '../machine.ts';

const { O_RDONLY, O_RDWR, O_DIRECT, O_DSYNC } = constants;

export const fileLog = (path: string): LogDevice => ({
  make: async (bytes) => makeFile(path, bytes),
  open: async (isWritten) => openFile(path, isWritten),
});

async function makeFile(path: string, bytes: number): Promise<void> {
  let handle: FileHandle;
  try {
    handle = await open(path, 'wx', 0o600);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return;
    throw error;
  }
  try {
    await handle.write(new Uint8Array(bytes), 0, bytes, 0);
    await handle.sync();
  } finally {
    await handle.close();
  }
}

async function openFile(path: string, isWritten: boolean): Promise<OpenLog> {
  const handle = await openDirect(path, isWritten ? O_RDWR | O_DSYNC : O_RDONLY);
  return {
    read: async (offset, bytes) => {
      const block = aligned(bytes);
      const { bytesRead } = await handle.read(block, 0, bytes, offset);
      return block.subarray(0, bytesRead);
    },
    write: async (offset, block) => {
      const copy = aligned(block.length);
      copy.set(block);
      const { bytesWritten } = await handle.write(copy, 0, block.length, offset);
      await handle.datasync();
      return bytesWritten;
    },
    close: async () => handle.close(),
  };
}

/** Page-aligned, as O_DIRECT wants it: growable shared memory always is. */
const aligned = (bytes: number): Uint8Array =>
  new Uint8Array(new SharedArrayBuffer(bytes, { maxByteLength: 2 * bytes }), 0, bytes);

async function openDirect(path: string, flags: number): Promise<FileHandle> {
  try {
    return await open(path, flags | O_DIRECT);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'EINVAL') return open(path, flags);
    if (code === 'ENOENT')
      throw new Error('it is not there: mount it, or make it with truncate -s 80K', { cause: error });
    throw error;
  }
}
