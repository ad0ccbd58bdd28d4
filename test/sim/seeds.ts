/**
 * Every seed that ever failed with the faults as they are drawn now, with a line of why: they run first, for ever. Where
 * the drawing changes, a seed no longer means the same run: what it found is kept as a scenario before that.
 */
export const SEEDS: readonly (readonly [seed: number, why: string])[] = [
  [
    20,
    'confirmations meant for a predecessor, in a head block, made its successor forget packets that it had not sent',
  ],
  [
    61,
    'a packet for all that one full lane had dropped was dropped for the peers behind it too (a bug made on purpose)',
  ],
];
