/** Makes the file of a volume that is a file: as large as asked for, every byte stored, or not at all. */
import { existsSync, statSync } from 'node:fs';
import { open, rm, statfs, type FileHandle } from 'node:fs/promises';
import { dirname } from 'node:path';
import { AgentError } from '../base/errors.ts';
import { sizeText } from '../check/system.ts';
import { volumeBytesMin } from '../volume/superblock.ts';

const WRITE_BYTES = 1024 * 1024;
const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

export function checkSize(path: string, bytes: number, slotCount: number, nodeCount: number): void {
  const least = volumeBytesMin(slotCount);
  if (bytes >= least) return;
  const whose = slotCount === nodeCount ? `${nodeCount} nodes` : `${slotCount} slots`;
  const needed = `${whose} need at least ${least} bytes (${sizeText(least)})`;
  throw new AgentError('volume', `volume ${path} is too small with ${bytes} bytes: ${needed}`);
}

/**
 * Makes the file with every byte written, so that a full file system shows now and not in the middle of a failover.
 * False when the file is there already and has that size.
 */
export async function makeFile(path: string, bytes: number, slotCount: number, nodeCount: number): Promise<boolean> {
  if (existsSync(path)) {
    const stat = statSync(path);
    if (stat.isFile() && stat.size === bytes) return false;
    const what = stat.isFile() ? `is there already with ${stat.size} bytes` : 'is there already and is no file';
    throw new AgentError('volume', `volume ${path} ${what}: leave --size out to use it as it is, or remove it`);
  }
  checkSize(path, bytes, slotCount, nodeCount);
  let made: FileHandle | null = null;
  try {
    await checkFree(path, bytes);
    // From before there is a file: a signal's default action would leave it behind.
    await interruptible(path, async (signal) => {
      const file = (made = await open(path, 'wx', 0o600));
      await fill(file, bytes, signal);
    });
  } catch (caught) {
    if (made) await rm(path, { force: true });
    if (caught instanceof AgentError) throw caught;
    const { code } = caught as NodeJS.ErrnoException;
    const full = code === 'ENOSPC' || code === 'EDQUOT' || code === 'EFBIG';
    const mend = full ? 'free some space or give a smaller --size' : 'check the path and your rights';
    throw new AgentError('volume', `volume ${path} cannot be made with ${bytes} bytes (${code}): ${mend}`, {
      cause: caught,
    });
  } finally {
    await (made as FileHandle | null)?.close();
  }
  return true;
}

/** Filling a file system to its end would hurt whatever else lives on it, until the write fails. */
async function checkFree(path: string, bytes: number): Promise<void> {
  const { bavail, bsize, blocks } = await statfs(dirname(path));
  const free = bavail * bsize;
  // A file system that does not know its size tells none.
  if (blocks === 0 || bytes <= free) return;
  const what = `cannot be made with ${bytes} bytes, its file system has ${free} free (${sizeText(free)})`;
  throw new AgentError('volume', `volume ${path} ${what}: free some space or give a smaller --size`);
}

/** Does `make`, and hears signals meanwhile. */
async function interruptible(path: string, make: (signal: AbortSignal) => Promise<void>): Promise<void> {
  const interruption = new AbortController();
  const { signal } = interruption;
  const note = (name: NodeJS.Signals): void => interruption.abort(name);
  for (const name of SIGNALS) process.on(name, note);
  try {
    await make(signal);
    if (signal.aborted)
      throw new AgentError('failed', `interrupted (${String(signal.reason)}): volume ${path} is not made`);
  } finally {
    for (const name of SIGNALS) process.off(name, note);
  }
}

/** In pieces, and not blocking: between two of them a signal is heard. */
async function fill(file: FileHandle, bytes: number, signal: AbortSignal): Promise<void> {
  const zeros = new Uint8Array(WRITE_BYTES);
  for (let at = 0; at < bytes && !signal.aborted;) {
    at += (await file.write(zeros, 0, Math.min(WRITE_BYTES, bytes - at), at)).bytesWritten;
  }
  if (!signal.aborted) await file.sync();
}
