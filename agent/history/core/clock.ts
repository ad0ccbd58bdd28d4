/** Less is no news of a clock: it is the way that the question took. */
export const CLOCK_NOISE_US = 1_000_000;
/** A wall clock that has gone apart so far from one that is never set was set itself, or slewed long enough. */
const SET_MS = 500;

/** By how much a wall clock is ahead of one that is never set: another figure, another clock. */
export const wasSet = (aheadMs: number, formerMs: number): boolean => Math.abs(aheadMs - formerMs) > SET_MS;

/** Marks of which it cannot be told when they were given, and between which times, by the recorder's clock, that was. */
export interface Unclear {
  readonly upTo: number;
  readonly fromUs: number;
  readonly untilUs: number;
}

/** Behind this mark the monitor's clock was so far ahead of the recorder's. */
export interface ClockNote {
  readonly mark: number;
  readonly aheadUs: number;
  /** One of the two clocks was set, or the stamps stood still: of marks from the next one on nothing is sure. */
  readonly unclear?: Unclear;
}

/** What is less than the noise counts as nothing. */
export const countedAhead = (aheadUs: number): number => (Math.abs(aheadUs) < CLOCK_NOISE_US ? 0 : aheadUs);

/** By how much the monitor's clock was ahead behind this mark. */
export function aheadAt(clocks: readonly ClockNote[], mark: number): number {
  let ahead = 0;
  for (const note of clocks) if (note.mark <= mark) ahead = note.aheadUs;
  return countedAhead(ahead);
}

/** A hybrid clock stamps some ns later each time while it stands still: what so many marks take. */
const STANDING_US = 10_000;

/** What a session finds as it begins, times in microseconds by the recorder's clock. */
export interface ClockFound {
  /** Everything up to here is recorded. */
  readonly mark: number;
  readonly aheadUs: number;
  /** The newest that is given by now, and by how much its stamp is ahead of the monitor's clock. */
  readonly newest: number;
  readonly stampAheadUs: number;
  readonly nowUs: number;
  /** Until when, and up to which mark, times were sure before. */
  readonly known: { readonly mark: number; readonly timeUs: number };
}

/** What is to be noted: null when it is as it was. */
export function clockNote(clocks: readonly ClockNote[], found: ClockFound): ClockNote | null {
  const { mark, newest, nowUs, known } = found;
  const [former, last] = [clocks.at(-1), clocks.findLast(({ unclear }) => unclear)?.unclear];
  const aheadUs = countedAhead(found.aheadUs);
  const isSet = former !== undefined && Math.abs(aheadUs - countedAhead(former.aheadUs)) >= CLOCK_NOISE_US;
  const isStanding = found.stampAheadUs >= CLOCK_NOISE_US;
  const standsUntilUs = isStanding ? nowUs + found.stampAheadUs + STANDING_US : nowUs;
  if (!isSet && (!isStanding || (last && last.untilUs > standsUntilUs - CLOCK_NOISE_US)))
    return former === undefined ? { mark, aheadUs } : null;
  const since = former === undefined ? { mark, timeUs: nowUs } : known;
  const unclear = {
    upTo: Math.max(newest, since.mark),
    fromUs: Math.min(since.timeUs, nowUs),
    untilUs: Math.max(since.timeUs, standsUntilUs),
  };
  return { mark: Math.min(since.mark, mark), aheadUs, unclear };
}

/**
 * [HI6] By how many ms another host's clock is ahead of ours. It was read somewhere between our question and its arrival here, so it is
 * known within that time alone: of all that it can be, the least.
 */
export function clockAhead(theirsMs: number, askedMs: number, arrivedMs: number): number {
  const [least, most] = [theirsMs - arrivedMs, theirsMs - askedMs];
  if (least > 0) return least;
  return most < 0 ? most : 0;
}
