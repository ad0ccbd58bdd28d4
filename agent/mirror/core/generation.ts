/**
 * How two histories of a group belong together (MI13). A generation is begun by a takeover: it goes on from a point of the
 * one before, its parent. So of two that meet, one is the other's ancestor, or both have one (split brain), or they are
 * strangers, which are never merged.
 */
import type { Ancestor, Point } from './meeting.ts';

/** A generation and how it came to be. */
export interface Lineage {
  readonly generation: string;
  /** Former generations, newest first. */
  readonly ancestry: readonly Ancestor[];
}

export type Kinship =
  | { readonly kin: 'same' }
  /** Ours is an ancestor of theirs: they hold ours up to `until`, and nothing beyond. */
  | { readonly kin: 'overtaken'; readonly until: Point }
  /** Theirs is an ancestor of ours, which holds theirs up to `until`. */
  | { readonly kin: 'successor'; readonly until: Point }
  /** Both come from `parent`: from there on each has what the other has not. */
  | { readonly kin: 'split'; readonly parent: string; readonly ours: Point; readonly theirs: Point }
  | { readonly kin: 'none' };

export function kinship(ours: Lineage, theirs: Lineage): Kinship {
  if (ours.generation === theirs.generation) return { kin: 'same' };
  const overtaken = untilIn(theirs, ours.generation);
  if (overtaken) return { kin: 'overtaken', until: overtaken };
  const successor = untilIn(ours, theirs.generation);
  if (successor) return { kin: 'successor', until: successor };
  for (const { generation, until } of ours.ancestry) {
    const other = untilIn(theirs, generation);
    if (other) return { kin: 'split', parent: generation, ours: until, theirs: other };
  }
  return { kin: 'none' };
}

/**
 * The lowest branch on the way there: a generation may have been begun before the point where its parent was, by one who had not got
 * so far.
 */
function untilIn({ ancestry }: Lineage, wanted: string): Point | null {
  const index = ancestry.findIndex(({ generation }) => generation === wanted);
  if (index < 0) return null;
  const points = ancestry.slice(0, index + 1).map(({ until }) => until);
  return points.reduce((low, point) => (point.mark < low.mark ? point : low));
}

/** What each side of a split brain holds that the other has not, and what an operator can do. */
export function splitText(
  ours: Lineage & { readonly end: Point },
  theirs: Lineage & { readonly end: Point },
  { parent, ours: here, theirs: there }: Extract<Kinship, { kin: 'split' }>,
): string {
  const branch = Math.min(here.mark, there.mark);
  const holds = ({ generation, end }: Lineage & { readonly end: Point }): string =>
    `${short(generation)} (marks ${branch + 1} to ${end.mark})`;
  return (
    `split brain: generation ${holds(ours)} here and ${holds(theirs)} there both come from ${short(parent)}, ` +
    'and each has what the other has not; choose the side whose writes are given up, and say there: ' +
    'stillbeat mirror failback --discard'
  );
}

export const short = (generation: string): string => generation.slice(0, 8);
