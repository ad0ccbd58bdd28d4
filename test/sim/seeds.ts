/** Every seed that ever failed, with a line of why: they run first, for ever. */
export const SEEDS: readonly (readonly [seed: number, why: string])[] = [
  [10, 'packets that were held, or waited in the inbound ring through a standstill, were delivered too old'],
  [17, 'a restarted node took packets again that its former incarnation had delivered, from replayed datagrams'],
  [18, 'a head block that went astray counted as a second owner of the slot'],
  [22, 'the reader went on with the former incarnation under the gates of the new one'],
  [47, 'a volume that showed the past brought a former incarnation back'],
  [147, 'a head block said "I accept you" to a newcomer with the floors of its predecessor'],
];
