/** Less is no news of a clock: it is the way that the question took. */
export const CLOCK_NOISE_US = 1_000_000;

/**
 * [HI6] By how many ms another host's clock is ahead of ours. It was read somewhere between our question and its arrival here, so it is
 * known within that time alone: of all that it can be, the least.
 */
export function clockAhead(theirsMs: number, askedMs: number, arrivedMs: number): number {
  const [least, most] = [theirsMs - arrivedMs, theirsMs - askedMs];
  if (least > 0) return least;
  return most < 0 ? most : 0;
}
