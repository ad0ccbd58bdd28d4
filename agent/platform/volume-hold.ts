/**
 * A volume that is written by this process alone: of a block device the kernel's exclusive claim (no mount, no other device
 * over it), of a file a lock and the look whether anybody has it open for writing. Who has it is named.
 */
import {
  closeSync,
  constants,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  realpathSync,
  statSync,
} from 'node:fs';
import { basename, dirname } from 'node:path';
import koffi from 'koffi';
import { AgentError } from '../base/errors.ts';
import { lockFile } from './block-device.ts';
import { ERRNO } from './native.ts';

const fcntl = koffi.load(null).func('int fcntl(int fd, int command, int argument)');
const F_SETLEASE = 1024;
const F_RDLCK = 0;
const F_UNLCK = 2;
const ACCESS_MODE = 3;
/** Far behind any volume's end: whoever locks parts of a volume of its own is not in the way. */
const LOCK_OFFSET = 2 ** 60;

export interface VolumeHold {
  close(): void;
}

/**
 * Takes it until `close`, or the end of the process. Throws an AgentError that says who has it and what to do. `volume`: what
 * that calls it, `mend`: what is to be done about somebody else.
 */
export function holdVolume(volume: string, path: string, mend: string): VolumeHold {
  const isDevice = isBlockDevice(volume, path);
  const taken = (by: string): AgentError => new AgentError('taken', `${volume} is ${by}: ${mend}`);
  let fd: number;
  try {
    const by = isDevice ? null : fileWriter(path);
    if (by !== null) throw taken(by);
    fd = openSync(path, constants.O_RDWR | (isDevice ? constants.O_EXCL : 0));
  } catch (error) {
    if (error instanceof AgentError) throw error;
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'EBUSY') throw taken(mountOf(path) ?? writerOf(path) ?? 'in use');
    throw new AgentError('volume', `${volume} cannot be opened (${code}): check the path`, {
      cause: error,
    });
  }
  const by = isDevice ? writerOf(path) : lockFile(fd, LOCK_OFFSET, 1) < 0 ? (writerOf(path) ?? 'locked') : null;
  if (by !== null) {
    closeSync(fd);
    throw taken(by);
  }
  return { close: () => closeSync(fd) };
}

/** A pipe would be waited for, for ever, and a device that keeps nothing would take every write. */
function isBlockDevice(volume: string, path: string): boolean {
  const found = orElse(() => statSync(path), null);
  // Whoever opens it says what is wrong.
  if (!found || found.isDirectory()) return false;
  const what =
    found.isFile() && found.size === 0
      ? 'is empty: give it the size that the volume is to have'
      : !found.isFile() && !found.isBlockDevice()
        ? 'is neither a file nor a block device: check the path'
        : null;
  if (what !== null) throw new AgentError('volume', `${volume} ${what}`);
  return found.isBlockDevice();
}

/**
 * Who has a file open for writing, null: nobody. The kernel gives no read lease on one that anybody has, a loop device and this
 * process included.
 */
export function fileWriter(path: string): string | null {
  const fd = openSync(path, constants.O_RDONLY);
  try {
    if (Number(fcntl(fd, F_SETLEASE, F_RDLCK)) === 0) {
      fcntl(fd, F_SETLEASE, F_UNLCK);
      return null;
    }
    // Where there are no leases, or not for this user, the lock has to do.
    return koffi.errno() === ERRNO.EAGAIN ? (writerOf(path) ?? 'open for writing') : null;
  } finally {
    closeSync(fd);
  }
}

/** Who else has it open for writing, as far as this user may see it: by its path, or as a loop device of the same file. */
function writerOf(path: string): string | null {
  const real = realpathSync(path);
  const file = fileOfLoop(real) || real;
  const loops = namesIn('/sys/block')
    .map((name) => `/dev/${name}`)
    .filter((device) => fileOfLoop(device) === file);
  for (const place of new Set([real, file, ...loops])) {
    const who = processWriting(place);
    if (who !== null) return `open for writing${place === real ? '' : ` as ${place}`} in ${who}`;
  }
  // One that nobody has opened yet can be written at any time.
  return file === real && loops[0] !== undefined ? `open for writing as ${loops[0]}` : null;
}

/** Empty for what is no loop device. */
const fileOfLoop = (device: string): string =>
  dirname(device) === '/dev' ? textOf(`/sys/block/${basename(device)}/loop/backing_file`).trim() : '';

function processWriting(real: string): string | null {
  for (const pid of readdirSync('/proc')) {
    if (!/^\d+$/.test(pid) || Number(pid) === process.pid) continue;
    const isWriter = namesIn(`/proc/${pid}/fd`).some(
      (fd) => linkOf(`/proc/${pid}/fd/${fd}`) === real && isForWriting(`/proc/${pid}/fdinfo/${fd}`),
    );
    if (isWriter) return `process ${pid} (${textOf(`/proc/${pid}/comm`).trim()})`;
  }
  return null;
}

function mountOf(path: string): string | null {
  const { rdev } = statSync(path);
  const number = `${(rdev >>> 8) & 0xfff}:${(rdev & 0xff) | ((rdev >>> 12) & 0xfff00)}`;
  const line = textOf('/proc/self/mountinfo')
    .split('\n')
    .find((one) => one.split(' ')[2] === number);
  return line === undefined ? null : `mounted at ${line.split(' ')[4]}`;
}

const isForWriting = (fdinfo: string): boolean => {
  const [, flags = '0'] = /^flags:\s*(\d+)/m.exec(textOf(fdinfo)) ?? [];
  return (Number.parseInt(flags, 8) & ACCESS_MODE) !== constants.O_RDONLY;
};

/** Processes end while they are looked at. */
function orElse<T>(action: () => T, otherwise: T): T {
  try {
    return action();
  } catch {
    return otherwise;
  }
}

const namesIn = (folder: string): string[] => orElse(() => readdirSync(folder), []);
const linkOf = (path: string): string => orElse(() => readlinkSync(path), '');
const textOf = (path: string): string => orElse(() => readFileSync(path, 'utf8'), '');
