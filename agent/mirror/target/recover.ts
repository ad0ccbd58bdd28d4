/** What a start finds in a target's journal. */
import { recoverRing, wipeBehind, type Recovery } from '../store/recovery.ts';
import type { Disk } from '../store/disk.ts';
import { ringBytesOf, encodeEntry, ENTRY, ENTRY_KIND, type Entry } from '../wire/entry.ts';
import type { JournalSuper } from '../store/superblock.ts';
import type { Arrival, Image } from '../core/receiver.ts';

export interface HeldArrival extends Arrival {
  /** What the chain goes over, until the chain is verified. */
  header: Uint8Array | null;
  readonly time: bigint;
  /** Bytes of a volume; no length of a seal. */
  readonly volume: number;
  readonly offset: number;
  readonly length: number;
}

export interface Found {
  readonly superblock: JournalSuper;
  /** Where the next arrival goes. */
  readonly end: number;
  /** By mark, each once, in any order. */
  readonly arrivals: readonly HeldArrival[];
  /** Up to the cut, as they lie in the ring: some may have been dropped, and their marks brought again. */
  readonly passed: readonly HeldArrival[];
  /** A comparison was committed, and may be half applied: what it brought. Null when there is none. */
  readonly staged: { readonly arrivals: readonly HeldArrival[]; readonly images: readonly Image[] } | null;
}

export type Recovered = { readonly ok: true; readonly found: Found } | Extract<Recovery, { ok: false }>;

/** Reads the ring, and overwrites what a crash left behind its end. `isFollowed`: what is passed is wanted too. */
export function recoverArrivals(disk: Disk, superblock: JournalSuper, isFollowed = false): Recovered {
  const { basePosition, baseMark, sequence, cut } = superblock;
  const passed: HeldArrival[] = [];
  const byMark = new Map<number, HeldArrival>();
  const stagedByMark = new Map<number, HeldArrival>();
  const images: Image[] = [];
  const recovery = recoverRing(disk, superblock, (entry) => {
    const isImage = entry.kind === ENTRY_KIND.image;
    const isStaged = basePosition > 0 && entry.position >= basePosition;
    if (isStaged && isImage) images.push(imageOf(entry));
    else if (isStaged && entry.mark > baseMark) stagedByMark.set(entry.mark, arrivalOf(entry));
    // A later session brings a mark again that was dropped at its begin.
    else if (!isStaged && !isImage && !isPassed(entry, superblock)) byMark.set(entry.mark, arrivalOf(entry));
    else if (isFollowed && !isStaged && !isImage && entry.mark <= cut) passed.push(arrivalOf(entry));
  });
  if (!recovery.ok) return recovery;
  const { position } = recovery.end;
  const wiped = wipeBehind(disk, superblock, position);
  if (wiped < 0) return { ok: false, fault: 'unreadable', position, errno: wiped };
  // A comparison that broke off begins anew; one that is being brought in, goes on.
  const isCommitted = basePosition > 0 && sequence % 2 === 1;
  const staged = isCommitted ? { arrivals: [...stagedByMark.values()], images } : null;
  return { ok: true, found: { superblock, end: position, arrivals: [...byMark.values()], passed, staged } };
}

/** On the receive volumes already, or dropped when the session began. */
function isPassed({ mark, position }: Entry, { cut, sessionPosition, sessionMark }: JournalSuper): boolean {
  return mark <= cut || (position < sessionPosition && mark > sessionMark);
}

function imageOf(entry: Entry): Image {
  const { mark, position } = entry;
  return { isImage: true, mark, position, end: position + ringBytesOf(entry) };
}

function arrivalOf(entry: Entry): HeldArrival {
  const header = new Uint8Array(ENTRY.bytes);
  encodeEntry(entry, 0n, header, 0);
  const { mark, cycle, kind, chain, position, time, volume, offset, length } = entry;
  const end = position + ringBytesOf(entry);
  const isSeal = kind === ENTRY_KIND.seal;
  return { isImage: false, mark, cycle, isSeal, chain, position, end, header, time, volume, offset, length };
}
