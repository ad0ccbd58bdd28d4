/** Why clients of a source wait for their answers: for the operator who sees them hang. */

export interface Holds {
  /** Targets that have not heard yet what the settings promise now. */
  readonly unmet: readonly string[];
  /** With `strict`: targets without which nobody is answered. */
  readonly strict: readonly string[];
  /** Targets of which the log device does not say yet that they are outdated, while somebody waits. */
  readonly untold: readonly string[];
  readonly isJournalFull: boolean;
}

/** In words, each with what ends it; none: nobody is held. */
export function heldBecause({ unmet, strict, untold, isJournalFull }: Holds): readonly string[] {
  const names = (targets: readonly string[]): string => targets.join(', ');
  return [
    ...(unmet.length > 0 ? [`nobody is answered before ${names(unmet)} has heard that the settings promise less`] : []),
    ...(strict.length > 0 ? [`nobody is answered before ${names(strict)} is in sync: overflow.policy is strict`] : []),
    ...(untold.length > 0 ? [`nobody is answered before the log device says that ${names(untold)} is outdated`] : []),
    ...(isJournalFull ? ['the journal is full: writes wait for room'] : []),
  ];
}
