/** Where a file has holes, as NBD clients ask it (`base:allocation`), and what of that changes before it is there lie over it. */
import { findData, findHole } from '../platform/sparse-file.ts';
import { ALLOCATION } from './protocol.ts';
import type { Extent } from './volume.ts';

const ENXIO = 6;
/** In one answer. */
const EXTENTS_MAX = 1024;
/** Of changes that are laid over; with more all is called data, which is always true enough. */
const CHANGES_MAX = 4096;
const DATA = 0;

/** Data and holes from `offset` on, in turn: at least one extent, and perhaps not all of the range. Not on this thread. */
export function readAllocation(
  fd: number,
  offset: number,
  length: number,
  done: (extents: readonly Extent[]) => void,
): void {
  const end = offset + length;
  const extents: Extent[] = [];
  const next = (at: number): void => {
    if (at >= end || extents.length >= EXTENTS_MAX) return done(extents);
    findData(fd, at, (found) => {
      const data = found === -ENXIO ? end : found;
      // What cannot be told is reported as data.
      if (data < 0) return done([...extents, { length: end - at, flags: DATA }]);
      if (data > at) {
        const stop = Math.min(data, end);
        extents.push({ length: stop - at, flags: ALLOCATION.hole | ALLOCATION.zero });
        return next(stop);
      }
      findHole(fd, at, (hole) => {
        const stop = hole <= at ? end : Math.min(hole, end);
        extents.push({ length: stop - at, flags: DATA });
        next(stop);
      });
    });
  };
  next(offset);
}

/** A change that is not on the file yet. */
export interface Laid {
  readonly offset: number;
  readonly length: number;
  readonly isZero: boolean;
}

/** The extents of a range from `offset` on with changes laid over them, oldest first. */
export function overlaid(offset: number, extents: readonly Extent[], changes: readonly Laid[]): readonly Extent[] {
  if (changes.length === 0) return extents;
  const length = extents.reduce((sum, extent) => sum + extent.length, 0);
  if (changes.length > CHANGES_MAX) return [{ length, flags: DATA }];
  const end = offset + length;
  let runs: { from: number; to: number; flags: number }[] = [];
  let at = offset;
  for (const extent of extents) {
    runs.push({ from: at, to: at + extent.length, flags: extent.flags });
    at += extent.length;
  }
  for (const change of changes) {
    const from = Math.max(offset, change.offset);
    const to = Math.min(end, change.offset + change.length);
    if (from >= to) continue;
    const cut = runs.flatMap((run) => [
      { ...run, to: Math.min(run.to, from) },
      { ...run, from: Math.max(run.from, to) },
    ]);
    runs = [...cut.filter((run) => run.from < run.to), { from, to, flags: change.isZero ? ALLOCATION.zero : DATA }];
  }
  runs.sort((a, b) => a.from - b.from);
  return joined(runs);
}

/** Neighbours of one kind become one. */
function joined(runs: readonly { readonly from: number; readonly to: number; readonly flags: number }[]): Extent[] {
  const extents: { length: number; flags: number }[] = [];
  for (const { from, to, flags } of runs) {
    const last = extents.at(-1);
    if (last?.flags === flags) last.length += to - from;
    else extents.push({ length: to - from, flags });
  }
  return extents;
}
