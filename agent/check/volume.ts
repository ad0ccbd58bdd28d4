/**
 * The volumes as the kernel sees them: there, of a kind, size and sector that can be used, not in use by anything else,
 * read around the page cache. What is written on them is another check's subject.
 *
 * Nothing is written. Each volume is given a few seconds; storage that hangs is a finding.
 */
import { constants } from 'node:fs';
import { open, stat, statfs, type FileHandle } from 'node:fs/promises';
import { alignedMemory } from '../platform/memory.ts';
import type { Settings } from '../settings/settings.ts';
import { blockDevice, deviceNumber, userOf, type BlockDevice } from './block-device.ts';
import { error, ok, warning, type Finding } from './finding.ts';
import { codeOf, sizeText, within } from './system.ts';

const VOLUME_TIMEOUT_MS = 5000;
const BLOCK_BYTES = 4096;
const READS = 5;
/** A shared array answers within one; more than this and packets through storage are no better than a slow network. */
const READ_MS_MAX = 10;

export async function checkVolumes(settings: Settings): Promise<Finding[]> {
  const sent = settings.storage.sendVolume;
  const paths = new Set([sent, ...settings.peers.map(({ receiveVolume }) => receiveVolume)]);
  const looked = [...paths].map((path) => {
    const late = [
      error('volume', `${path} does not answer within ${VOLUME_TIMEOUT_MS} ms`, 'see dmesg and multipath -ll'),
    ];
    return within(checkVolume(path, path === sent), VOLUME_TIMEOUT_MS, late);
  });
  return (await Promise.all(looked)).flat();
}

/** `written`: the agent writes here, not only reads. */
export async function checkVolume(path: string, written: boolean): Promise<Finding[]> {
  let info;
  try {
    info = await stat(path, { bigint: true });
  } catch (caught) {
    const mend = 'correct the path, or make the volume (a file: truncate -s 64M FILE, then stillbeat format)';
    return [error('volume', `${path} cannot be found (${codeOf(caught)})`, mend)];
  }
  if (!info.isBlockDevice() && !info.isFile()) {
    return [error('volume', `${path} is neither a block device nor a regular file`, 'name one of the two')];
  }
  const number = deviceNumber(info.rdev);
  const facts = info.isFile()
    ? fileFindings(path, Number(info.size), Number(info.blocks) * 512, written)
    : deviceFindings(path, blockDevice(number), written);
  if (facts.some(({ level }) => level === 'error')) return facts;
  const use = info.isFile() ? [] : [useFinding(path, userOf(number))];
  return [...facts, ...use, ...(await accessFindings(path, written))];
}

export function deviceFindings(path: string, device: BlockDevice, written: boolean): Finding[] {
  const { sizeBytes, sectorBytes, readOnly } = device;
  if (sizeBytes === 0) {
    return [error('volume', `${path} has no size`, 'attach the device behind it (losetup, iscsiadm)')];
  }
  const what = `${path} is a block device of ${sizeText(sizeBytes)} with sectors of ${sectorBytes} bytes`;
  if (sectorBytes !== 512 && sectorBytes !== BLOCK_BYTES) {
    return [error('volume', what, 'use a device with sectors of 512 or 4096 bytes')];
  }
  if (readOnly && written) {
    return [
      error('volume', `${path} is read-only`, `blockdev --setrw ${path}, or allow writing in the storage system`),
    ];
  }
  return [ok('volume', what)];
}

export function fileFindings(path: string, sizeBytes: number, storedBytes: number, written: boolean): Finding[] {
  if (sizeBytes === 0) return [error('volume', `${path} is empty`, `truncate -s 64M ${path}, then stillbeat format`)];
  const what = ok('volume', `${path} is a file of ${sizeText(sizeBytes)}`);
  if (!written || storedBytes >= sizeBytes) return [what];
  const hole = `${path} has only ${sizeText(storedBytes)} stored: a full file system would stop its writes`;
  return [what, warning('volume.space', hole, `fallocate -l ${sizeBytes} ${path}`)];
}

/** `user`: what else uses the device, null for nothing. */
export function useFinding(path: string, user: string | null): Finding {
  if (user === null) return ok('volume.use', `${path} is used by nothing else`);
  return error('volume.use', `${path} is ${user}`, 'free it, or choose another volume: writing would destroy that');
}

async function accessFindings(path: string, written: boolean): Promise<Finding[]> {
  const flags = written ? constants.O_RDWR : constants.O_RDONLY;
  const direct = await opened(path, flags | constants.O_DIRECT);
  const file = direct === 'EINVAL' ? await opened(path, flags) : direct;
  if (typeof file === 'string') return [accessFinding(path, written, file)];
  try {
    const around = file === direct && !(await inMemory(path));
    return [accessFinding(path, written, null), directFinding(path, around), speedFinding(path, await readTimes(file))];
  } catch (caught) {
    const what = `${path} cannot be read (${codeOf(caught)})`;
    return [error('volume.read', what, 'see dmesg: the storage or the way to it is at fault')];
  } finally {
    await file.close();
  }
}

const TMPFS_MAGIC = 0x0102_1994;

/** tmpfs takes O_DIRECT since Linux 6.6 and is a page cache all the same. A device's node may well stand on one. */
async function inMemory(path: string): Promise<boolean> {
  return (await stat(path)).isFile() && (await statfs(path)).type === TMPFS_MAGIC;
}

/** The open file, or the code of why it cannot be opened. */
async function opened(path: string, flags: number): Promise<FileHandle | string> {
  try {
    return await open(path, flags);
  } catch (caught) {
    return codeOf(caught);
  }
}

export function accessFinding(path: string, written: boolean, fault: string | null): Finding {
  const name = 'volume.access';
  const doing = written ? 'read and written' : 'read';
  if (fault === null) return ok(name, `${path} may be ${doing}`);
  const what = `${path} may not be ${doing} (${fault})`;
  if (fault === 'EACCES' || fault === 'EPERM')
    return error(name, what, 'run as root, or give the service the device’s group; in a container allow the device');
  if (fault === 'EROFS') return error(name, what, 'make the volume or its file system writable');
  return error(name, what, 'see dmesg: the storage or the way to it is at fault');
}

export function directFinding(path: string, direct: boolean): Finding {
  const name = 'volume.direct';
  if (direct) return ok(name, `${path} is read around the page cache (O_DIRECT)`);
  const what = `${path} cannot be read around the page cache (O_DIRECT): another host’s writes would stay unseen`;
  return warning(
    name,
    what,
    'use a block device, or a file system with O_DIRECT (not tmpfs), unless all nodes are here',
  );
}

async function readTimes(file: FileHandle): Promise<number[]> {
  const block = new Uint8Array(alignedMemory(BLOCK_BYTES), 0, BLOCK_BYTES);
  const timesMs: number[] = [];
  for (let read = 0; read < READS; read++) {
    const started = process.hrtime.bigint();
    await file.read(block, 0, BLOCK_BYTES, 0);
    timesMs.push(Number(process.hrtime.bigint() - started) / 1e6);
  }
  return timesMs;
}

/** The best of several: the first one may wake a disk. */
export function speedFinding(path: string, timesMs: readonly number[]): Finding {
  const best = Math.min(...timesMs);
  const what = `${path} is read in ${best.toFixed(2)} ms`;
  if (best <= READ_MS_MAX) return ok('volume.read', what);
  return warning(
    'volume.read',
    `${what}: packets through storage will be slow`,
    'use faster storage, or look what loads it',
  );
}
