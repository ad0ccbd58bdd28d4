/** A target's journal before its threads run: whose it is, what it holds. */
import { AgentError } from '../../base/errors.ts';
import {
  JOURNAL_ROLE,
  readSuper,
  type JournalSuper,
  type JournalVolume,
  type SuperFault,
} from '../store/superblock.ts';
import type { Disk } from '../store/disk.ts';
import type { VolumeDevice } from '../threads/volume-loop.ts';
import { JOURNAL_RING_OFFSET } from '../wire/layout.ts';
import { recoverArrivals, type Found } from './recover.ts';

const FAULTS: Readonly<Record<SuperFault, string>> = {
  absent: 'is no journal: name the right file, or remove it',
  version: 'is of another version: use the program that wrote it',
  checksum: 'has a damaged superblock, in both copies: remove it, and all of the copy is made anew',
  range: 'has a superblock with impossible values: remove it, and all of the copy is made anew',
};

/** Reads the journal, and clears what a crash left in it. Throws an AgentError that says what to do. */
export function openTargetJournal(
  path: string,
  device: VolumeDevice | number,
  group: string,
  volumes: readonly JournalVolume[],
  isFollowed = false,
): Found {
  if (typeof device === 'number') throw refused(path, `cannot be opened (errno ${-device}): check the path`);
  try {
    const superblock = readOwn(path, device, group, volumes);
    const recovered = recoverArrivals(device, superblock, isFollowed);
    if (recovered.ok) return recovered.found;
    const place = `at position ${recovered.position} of its ring`;
    if (recovered.fault === 'unreadable') {
      throw refused(path, `cannot be read or written ${place} (errno ${-recovered.errno}): check the device`);
    }
    throw refused(
      path,
      `is damaged ${place}, where durable arrivals were: remove it, and all of the copy is made anew`,
    );
  } finally {
    device.close();
  }
}

function readOwn(path: string, device: Disk, group: string, volumes: readonly JournalVolume[]): JournalSuper {
  const read = readSuper(device);
  if (typeof read === 'number') throw refused(path, `cannot be read (errno ${-read}): check the device`);
  if (!read.ok) throw refused(path, FAULTS[read.fault]);
  const { superblock } = read;
  if (superblock.role !== JOURNAL_ROLE.target) throw refused(path, 'is that of a source: name the right file');
  if (superblock.group !== group) throw refused(path, `belongs to group "${superblock.group}": name the right file`);
  if (shown(superblock.volumes) !== shown(volumes)) {
    throw refused(path, `is for volumes ${shown(superblock.volumes)}, not ${shown(volumes)}: name them as it was made`);
  }
  if (device.bytes < JOURNAL_RING_OFFSET + superblock.ringBytes) throw refused(path, 'is shorter than its ring');
  return superblock;
}

const shown = (volumes: readonly JournalVolume[]): string =>
  volumes.map(({ name, bytes }) => `${name} (${bytes} bytes)`).join(', ');

const refused = (path: string, why: string): AgentError => new AgentError('volume', `journal ${path} ${why}`);
