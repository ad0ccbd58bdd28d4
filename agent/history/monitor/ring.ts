/** A source's ring as a follower sees it: what is durable there, so that a crash takes nothing back that was passed on. */
import type { RingPlace } from '../../mirror/store/ring.ts';
import type { LiveRing } from '../../mirror/source/ring-cursor.ts';
import type { SourceJournal } from '../../mirror/source/journal.ts';

/** More than this of the ring is kept for nobody who only records. */
export const KEPT_SHARE = 0.5;

export const durableRing = (journal: SourceJournal): LiveRing => ({
  ringBytes: journal.ringBytes,
  windowBytes: journal.windowBytes,
  get head() {
    return journal.durable;
  },
  get durable() {
    return journal.durable;
  },
  windowFrom: (position) => journal.windowFrom(position),
  inFile: (position) => journal.inFile(position),
});

/** Where to begin to look for a mark that the ring holds. */
export function placeFor(journal: SourceJournal, mark: number): RingPlace {
  const { oldest } = journal;
  const near = journal.placeBefore(mark);
  return near && near.position >= oldest.position ? near : oldest;
}
