/**
 * A volume for the lab: a file on memory behind a loop device, which takes O_DIRECT and has a sector size like a disk.
 * Where loop devices cannot be had (no root, a container) the file itself is the volume; `kind` says which it became.
 */
import { closeSync, ftruncateSync, openSync, readFileSync, statfsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { AgentError } from '../base/errors.ts';
import { type LabState, volumeFile } from './lab-state.ts';
import { run } from './shell.ts';

const TMPFS_MAGIC = 0x01021994;
const MEMORY_DIRECTORY = '/dev/shm';

export interface LabVolume {
  /** What settings name: a loop device or a file. */
  readonly path: string;
  readonly kind: 'loop' | 'file';
  /** The file that holds the bytes. */
  readonly file: string;
  /** Why there is no loop device, or that it lacks O_DIRECT below; empty when all is as wished. */
  readonly note: string;
}

export interface VolumeOptions {
  readonly bytes: number;
  readonly sectorBytes: 512 | 4096;
}

/** Memory where there is a tmpfs with room for four such volumes, the temporary directory otherwise. */
export function chooseVolumeDirectory(bytes: number): string {
  try {
    const { type, bavail, bsize } = statfsSync(MEMORY_DIRECTORY);
    if (type === TMPFS_MAGIC && bavail * bsize > 4 * bytes) return MEMORY_DIRECTORY;
  } catch {
    // no such directory: the same answer
  }
  return tmpdir();
}

/** There a loop device may be had at times, but it would stay on the host when the namespace ends. */
function inUserNamespace(): boolean {
  return !/^\s*0\s+0\s+4294967295\s*$/u.test(readFileSync('/proc/self/uid_map', 'utf8'));
}

export async function createVolume(state: LabState, name: string, options: VolumeOptions): Promise<LabVolume> {
  const file = volumeFile(state, name);
  try {
    const descriptor = openSync(file, 'wx', 0o600);
    ftruncateSync(descriptor, options.bytes);
    closeSync(descriptor);
  } catch (error) {
    throw new AgentError('failed', `cannot make the volume file ${file}: ${(error as Error).message}`, {
      cause: error,
    });
  }
  if (inUserNamespace())
    return { path: file, kind: 'file', file, note: 'in a user namespace a plain file is the volume' };
  const attach = ['losetup', '--find', '--show', '--sector-size', String(options.sectorBytes)];
  const direct = await run([...attach, '--direct-io=on', file]);
  if (direct.status === 0) return { path: direct.stdout.trim(), kind: 'loop', file, note: '' };
  // Before Linux 6.6 a file on tmpfs takes no O_DIRECT; the loop device in front of it still does.
  const buffered = await run([...attach, file]);
  if (buffered.status === 0) {
    return { path: buffered.stdout.trim(), kind: 'loop', file, note: 'loop device without direct I/O to its file' };
  }
  const reason = buffered.stderr.trim().split('\n')[0] ?? '';
  return { path: file, kind: 'file', file, note: `no loop device (${reason}): a plain file is the volume` };
}
