/** What /sys and /proc say about a block device. */
import { existsSync, readdirSync, realpathSync } from 'node:fs';
import { join } from 'node:path';
import { readText } from './system.ts';

export interface BlockDevice {
  readonly sizeBytes: number;
  /** Logical sector: the least that O_DIRECT reads and writes. */
  readonly sectorBytes: number;
  readonly readOnly: boolean;
}

/** A device number as the kernel writes it, major:minor, taken from stat's encoding of it. */
export function deviceNumber(rdev: bigint): string {
  const major = ((rdev >> 8n) & 0xfffn) | ((rdev >> 32n) & 0xfffff000n);
  const minor = (rdev & 0xffn) | ((rdev >> 12n) & 0xffffff00n);
  return `${major}:${minor}`;
}

/** /sys counts in these whatever the device's sector is. */
const SYS_SECTOR_BYTES = 512;

export function blockDevice(number: string): BlockDevice {
  const folder = sysFolder(number);
  // A partition has no queue of its own: its disk's is one folder up.
  const sector =
    readText(join(folder, 'queue/logical_block_size')) ?? readText(join(folder, '../queue/logical_block_size'));
  return {
    sizeBytes: Number(readText(join(folder, 'size')) ?? 0) * SYS_SECTOR_BYTES,
    sectorBytes: Number(sector ?? SYS_SECTOR_BYTES),
    readOnly: readText(join(folder, 'ro')) === '1',
  };
}

/** The device's folder by its real path, so that `..` is its disk and not the list of devices. */
function sysFolder(number: string): string {
  const link = `/sys/dev/block/${number}`;
  return existsSync(link) ? realpathSync(link) : link;
}

/** What else uses the device or one of its partitions; null for nothing. */
export function userOf(number: string): string | null {
  const folder = sysFolder(number);
  const entries = list(folder);
  const partitions = entries.filter((entry) => existsSync(join(folder, entry, 'partition')));
  const mounts = readText('/proc/self/mountinfo') ?? '';
  for (const device of [folder, ...partitions.map((partition) => join(folder, partition))]) {
    const place = mountedAt(mounts, readText(join(device, 'dev')) ?? number);
    if (place !== null) return `mounted at ${place}`;
    const holders = list(join(device, 'holders'));
    if (holders.length > 0) return `part of ${holders.join(', ')}`;
  }
  return null;
}

/** Where /proc/self/mountinfo says that a device is mounted; null for nowhere. */
export function mountedAt(mountinfo: string, number: string): string | null {
  for (const line of mountinfo.split('\n')) {
    const [, , device, , place] = line.split(' ');
    if (device === number && place !== undefined) return place;
  }
  return null;
}

function list(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}
