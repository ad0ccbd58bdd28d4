/** Every seed that ever failed, with a line of why: they run first, for ever. */
export const SEEDS: readonly (readonly [seed: number, why: string])[] = [];
