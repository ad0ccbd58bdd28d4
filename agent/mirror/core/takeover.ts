/**
 * Whether a copy may be used without its source (I21, MI14). A copy that is cut off cannot know by itself that its source went
 * on without it: so without force it takes over only when somebody would have told, and nobody did.
 */
export interface CopyFacts {
  /** `initialising`: the volumes have never been a whole copy. */
  readonly state: 'initialising' | 'consistent';
  /** A comparison runs, or broke off: the volumes show an old cut, and what came since is not whole. */
  readonly isResyncing: boolean;
  /** The source is connected: it may be writing. */
  readonly isSourceHere: boolean;
  /** As the source last said it. */
  readonly policy: 'degrade' | 'strict' | 'logged' | 'released';
  readonly log: LogWord;
}

/** What the log device says of this target. */
export type LogWord =
  | { readonly says: 'nothing' }
  /** Writes beyond `cut` were answered without it. */
  | { readonly says: 'outdated'; readonly cut: number }
  /** None is set, or nothing that can be believed is there. */
  | { readonly says: 'unreadable'; readonly reason: string };

/** What may be lost by a takeover, each for an operator; none: nothing that a policy promised. */
export function doubts({ state, isResyncing, isSourceHere, policy, log }: CopyFacts): readonly string[] {
  const found: string[] = [];
  if (state === 'initialising') found.push('the copy was never whole: its volumes may be a mix, or hold nothing');
  if (isResyncing)
    found.push('the copy was being resynchronised: it shows an old cut, and what was written since is lost');
  // His word that all of it is here, durable before he stopped, is better than any other.
  if (policy === 'released') return found;
  if (isSourceHere) {
    found.push(
      'its source is connected, and what it writes from now on would be lost: say stillbeat mirror handover there',
    );
  }
  if (policy === 'strict') return found;
  if (policy === 'degrade') {
    found.push('the source may have gone on without this copy, and would not have told: what it wrote then is lost');
  } else if (log.says === 'outdated') {
    found.push(`the source went on without this copy from mark ${log.cut} on: what it wrote then is lost`);
  } else if (log.says === 'unreadable') {
    found.push(`the log device cannot say whether the source went on without this copy (${log.reason})`);
  }
  return found;
}
