/** What of a source's ring lies beyond a mark: what would be given up with it. */
import type { Point, RegionRun } from '../core/meeting.ts';
import { RegionSet } from '../core/region-set.ts';
import { recoverRing } from '../store/recovery.ts';
import { readSuper } from '../store/superblock.ts';
import type { VolumeDevice } from '../threads/volume-loop.ts';
import { ENTRY_KIND } from '../wire/entry.ts';

export interface Beyond {
  /** Writes, zeroings and trims, and the bytes of the volumes that they cover. */
  readonly writes: number;
  readonly bytes: number;
  readonly first: number;
  readonly last: number;
  /** Where they lie. */
  readonly regions: readonly RegionRun[];
}

/**
 * Reads the ring of a journal, and closes it. Null when that cannot be known: the ring does not go back so far, cannot be read,
 * or does not hold that point. A crash may have taken from it what a target had (MI3), and other writes may bear those marks by now.
 */
export function beyond(device: VolumeDevice, until: Point): Beyond | null {
  try {
    const read = readSuper(device);
    if (typeof read === 'number' || !read.ok || read.superblock.tailMark - 1 > until.mark) return null;
    const { tailMark, tailChain } = read.superblock;
    let chainAt = tailMark - 1 === until.mark ? tailChain : null;
    let [writes, bytes, last] = [0, 0, until.mark];
    const set = new RegionSet(read.superblock.volumes);
    const recovery = recoverRing(device, read.superblock, ({ kind, mark, chain, volume, offset, length }) => {
      if (mark === until.mark) chainAt = chain;
      if (mark <= until.mark) return;
      last = Math.max(last, mark);
      if (kind === ENTRY_KIND.seal) return;
      writes++;
      bytes += length;
      set.mark(volume, offset, length);
    });
    if (!recovery.ok || chainAt !== until.chain) return null;
    const regions: RegionRun[] = [];
    for (let run = set.take(Infinity); run; run = set.take(Infinity)) regions.push(run);
    return { writes, bytes, first: until.mark + 1, last, regions };
  } finally {
    device.close();
  }
}
