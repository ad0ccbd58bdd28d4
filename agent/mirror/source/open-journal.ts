/** What a start reads of a source's journal before its threads run: superblock, entries, where it ends. */
import { AgentError } from '../../base/errors.ts';
import { LagClock } from '../core/lag-clock.ts';
import { recoverRing, tailOf, type RingEnd } from '../store/recovery.ts';
import type { RingPlace } from '../store/ring.ts';
import { JOURNAL_ROLE, readSuper, type JournalSuper, type SuperFault } from '../store/superblock.ts';
import type { Disk } from '../store/disk.ts';
import type { VolumeDevice } from '../threads/volume-loop.ts';
import { ENTRY_KIND, ringBytesOf, type Entry } from '../wire/entry.ts';
import { JOURNAL_RING_OFFSET } from '../wire/layout.ts';
import { PendingIndex } from './pending.ts';

export interface OpenedJournal {
  readonly superblock: JournalSuper;
  readonly end: RingEnd;
  readonly pending: PendingIndex;
  /** Places where the tail may be put, ascending; the first is the present one. */
  readonly milestones: RingPlace[];
  /** When its entries were written, by the clock on the wall. */
  readonly written: LagClock;
}

const ANEW = 'remove it (of a device: overwrite its first MiB with zeroes), and all is compared';
const FAULTS: Readonly<Record<SuperFault, string>> = {
  absent: `is no journal, or is damaged: name the right file, or ${ANEW}`,
  version: 'is of another version: use the program that wrote it',
  checksum: `has a damaged superblock, in both copies: ${ANEW}`,
  range: `has a superblock with impossible values: ${ANEW}`,
};

const NS_PER_MS = 1_000_000n;

/** How far apart places for the tail are: so that there are never more than some hundred. */
export const milestoneGrain = (ringBytes: number): number => ringBytes / 256;

/** Reads the journal. Throws an AgentError that says what to do. */
export function openJournal(path: string, device: VolumeDevice | number): OpenedJournal {
  if (typeof device === 'number') throw refused(path, `cannot be opened (errno ${-device}): check the path`);
  try {
    return readJournal(path, device);
  } finally {
    device.close();
  }
}

/** What a journal has become; one that is taking over is still a target's. Throws an AgentError that says what to do. */
export function readJournalRole(path: string, device: VolumeDevice | number): 'source' | 'target' {
  if (typeof device === 'number') throw refused(path, `cannot be opened (errno ${-device}): check the path`);
  try {
    const read = readSuper(device);
    // Whoever opens it says what is wrong with it, by its role.
    if (typeof read === 'number') throw unreadable(path, read);
    const role = read.ok ? read.superblock.role : null;
    if (role === null) superblockOf(path, device);
    return role === JOURNAL_ROLE.target ? 'target' : 'source';
  } finally {
    device.close();
  }
}

/** The superblock alone. Throws an AgentError that says what to do. */
export function readJournalSuper(path: string, device: VolumeDevice | number): JournalSuper {
  if (typeof device === 'number') throw refused(path, `cannot be opened (errno ${-device}): check the path`);
  try {
    return superblockOf(path, device);
  } finally {
    device.close();
  }
}

function superblockOf(path: string, device: Disk): JournalSuper {
  const read = readSuper(device);
  if (typeof read === 'number') throw unreadable(path, read);
  if (!read.ok) throw refused(path, FAULTS[read.fault]);
  if (read.superblock.role !== JOURNAL_ROLE.source) throw refused(path, 'is that of a target: name the right file');
  return read.superblock;
}

function readJournal(path: string, device: Disk): OpenedJournal {
  const superblock = superblockOf(path, device);
  if (device.bytes < JOURNAL_RING_OFFSET + superblock.ringBytes) throw refused(path, 'is shorter than its ring');
  const pending = new PendingIndex();
  const milestones = [tailOf(superblock)];
  const grain = milestoneGrain(superblock.ringBytes);
  const written = new LagClock(superblock.tailMark - 1);
  const recovery = recoverRing(device, superblock, (entry, before) => {
    if (before.position - (milestones.at(-1)?.position ?? 0) >= grain) milestones.push(before);
    notePending(pending, entry);
    written.note(entry.mark, Number(entry.time / NS_PER_MS));
  });
  if (recovery.ok) return { superblock, end: recovery.end, pending, milestones, written };
  const place = `at position ${recovery.position} of its ring`;
  if (recovery.fault === 'unreadable') {
    throw refused(path, `cannot be read ${place} (errno ${-recovery.errno}): check the device`);
  }
  throw refused(path, `is damaged ${place}, where answered writes were: take over at a target, or compare all of it`);
}

/** Notes what a volume may lack. */
export function notePending(pending: PendingIndex, entry: Entry): void {
  const { kind, volume, offset, length, position } = entry;
  if (kind === ENTRY_KIND.skip || kind === ENTRY_KIND.seal) return;
  const isZero = kind === ENTRY_KIND.zero || kind === ENTRY_KIND.trim;
  pending.add({ volume, offset, length, position, end: position + ringBytesOf(entry), isZero });
}

const unreadable = (path: string, errno: number): AgentError =>
  refused(path, `cannot be read (errno ${-errno}): check the device`);
const refused = (path: string, why: string): AgentError => new AgentError('volume', `journal ${path} ${why}`);
