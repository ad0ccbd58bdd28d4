/**
 * What a start finds in a ring. From the tail on, each entry must be the next one (in a target's, where marks lie as they
 * arrived, any one that holds by itself); the first that is not is either the
 * end of the journal (a crash took what follows, none of which was answered) or damage. The two are told apart by what
 * was written about durability: in the superblock, and in each later entry that is still there.
 */
import { sameBytes } from '../../base/bytes.ts';
import { chainAt, decodeEntry, ENTRY, ENTRY_KIND, isChained, ringBytesOf, type Entry } from '../wire/entry.ts';
import { ENTRY_ALIGN, GENERATION_BYTES } from '../wire/layout.ts';
import type { Disk } from './disk.ts';
import { fileOffset, type RingPlace } from './ring.ts';
import { RingReader } from './ring-reader.ts';
import { JOURNAL_ROLE, type JournalSuper } from './superblock.ts';

/**
 * Why the place behind the last entry holds none: nothing like one; one of an earlier lap; one that a crash or damage
 * left in part; one that once lay here but does not follow (its predecessor was lost in an earlier crash).
 */
export type EndReason = 'unwritten' | 'lap-old' | 'torn' | 'stale';

const EIO = 5;

export interface RingEnd extends RingPlace {
  readonly reason: EndReason;
}

export type Recovery =
  | { readonly ok: true; readonly end: RingEnd }
  /** What was durable is not there: the journal may not be cut off at `position`. */
  | { readonly ok: false; readonly fault: 'damage'; readonly position: number; readonly reason: EndReason }
  | { readonly ok: false; readonly fault: 'unreadable'; readonly position: number; readonly errno: number };

/** Reads all entries from the tail to the end; `onEntry` gets each, skips excluded, with the place before it. */
export function recoverRing(
  disk: Disk,
  superblock: JournalSuper,
  onEntry: (entry: Entry, before: RingPlace) => void,
): Recovery {
  const reader = new RingReader(disk, superblock);
  let end = tailOf(superblock);
  for (;;) {
    const next = nextEntry(reader, superblock, end);
    if (typeof next === 'number') return { ok: false, fault: 'unreadable', position: end.position, errno: next };
    if (typeof next === 'string') {
      const proof = wasDurable(reader, superblock, end.position);
      if (proof < 0) return { ok: false, fault: 'unreadable', position: end.position, errno: proof };
      if (proof > 0) return { ok: false, fault: 'damage', position: end.position, reason: next };
      return { ok: true, end: { ...end, reason: next } };
    }
    if (next.kind !== ENTRY_KIND.skip) onEntry(next, end);
    const position = end.position + ringBytesOf(next);
    const { mark, time, cycle, chain } = next;
    end = isChained(next.kind) ? { position, mark, time, cycle, chain } : { ...end, position };
  }
}

/** The place before the oldest entry that is needed. */
export const tailOf = (superblock: JournalSuper): RingPlace => ({
  position: superblock.tailPosition,
  mark: superblock.tailMark - 1,
  chain: superblock.tailChain,
  time: superblock.tailTime,
  cycle: superblock.tailCycle,
});

/** The entry at the end so far, when it is the next one; otherwise why not, or a negative errno. */
function nextEntry(reader: RingReader, superblock: JournalSuper, end: RingPlace): Entry | EndReason | number {
  const bytes = reader.header(end.position);
  if (typeof bytes === 'number') return bytes;
  const result = decodeEntry(bytes, 0);
  if (!result.ok) return result.fault === 'magic' ? 'unwritten' : 'torn';
  const { entry } = result;
  if (entry.position !== end.position) return entry.position < end.position ? 'lap-old' : 'stale';
  if (!isOfGeneration(entry, superblock)) return 'stale';
  if (!staysInside(entry, superblock)) return 'stale';
  if (superblock.role === JOURNAL_ROLE.source && !follows(entry, bytes, end)) return 'stale';
  if (entry.payloadBytes === 0) return entry;
  const crc = reader.crc(end.position + ENTRY.bytes, entry.payloadBytes);
  if (crc < 0) return crc;
  return crc === entry.payloadCrc ? entry : 'torn';
}

/** Whether mark and chain are those that come behind the last entry. */
const follows = (entry: Entry, bytes: Uint8Array, { mark, chain }: RingPlace): boolean =>
  !isChained(entry.kind) || (entry.mark === mark + 1 && entry.chain === chainAt(bytes, 0, chain));

/** A target's ring may hold what came before a takeover elsewhere, or here; a staged comparison may bring a later generation. */
function isOfGeneration(entry: Entry, superblock: JournalSuper): boolean {
  const { role, generation, ancestry, baseGeneration, basePosition } = superblock;
  const is = (one: Uint8Array): boolean => sameBytes(entry.generation, 0, one, 0, GENERATION_BYTES);
  if (basePosition > 0 && entry.position >= basePosition) return is(baseGeneration);
  return is(generation) || (role === JOURNAL_ROLE.target && ancestry.some((former) => is(former.generation)));
}

/**
 * A target, after recovery: what a crash left behind the end is overwritten with zeros. There is no order of marks by which
 * the next start could tell such an entry from one that was put behind the present end. 0, or a negative errno.
 */
export function wipeBehind(disk: Disk, superblock: JournalSuper, end: number): number {
  const { ringBytes, windowBytes, tailPosition } = superblock;
  // What was not durable lies within one window.
  const until = Math.min(end + windowBytes, tailPosition + ringBytes);
  for (let at = end; at < until;) {
    const bytes = Math.min(until - at, ringBytes - (at % ringBytes));
    const put = disk.write(fileOffset(at, superblock), new Uint8Array(bytes));
    if (put < bytes) return put < 0 ? put : -EIO;
    at += bytes;
  }
  return disk.flush();
}

/** No entry crosses the ring's end, or reaches into the tail. */
function staysInside(entry: Entry, { ringBytes, tailPosition }: JournalSuper): boolean {
  const bytes = ringBytesOf(entry);
  return (entry.position % ringBytes) + bytes <= ringBytes && entry.position + bytes <= tailPosition + ringBytes;
}

/**
 * 1 when something proves that the entry at `position` was durable, 0 when nothing does, a negative errno when a place
 * that could prove it cannot be read. A proof lies within two windows: what is not durable lies within one, and the entry
 * that is put behind it says that it was.
 */
function wasDurable(reader: RingReader, superblock: JournalSuper, position: number): number {
  if (position < superblock.durablePosition) return 1;
  const { tailPosition, ringBytes, windowBytes } = superblock;
  const until = Math.min(position + 2 * windowBytes, tailPosition + ringBytes);
  for (let at = position; at < until; at += ENTRY_ALIGN) {
    const bytes = reader.header(at);
    if (typeof bytes === 'number') return bytes;
    const result = decodeEntry(bytes, 0);
    if (!result.ok || result.entry.position !== at || !isOfGeneration(result.entry, superblock)) continue;
    if (at - result.entry.durableBack > position) return 1;
  }
  return 0;
}
