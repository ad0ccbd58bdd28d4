/** The clocks. Everything that decides uses `monotonicMs`; `wallMs` is for people and for time marks only. */
export interface Clock {
  /** Milliseconds (with fraction) since an arbitrary start; never steps, the same for all processes of the host. */
  monotonicMs(): number;
  /** Milliseconds since 1970 by the host's clock, which an administrator may step. */
  wallMs(): number;
}

export const systemClock: Clock = {
  monotonicMs: () => Number(process.hrtime.bigint()) / 1e6,
  wallMs: () => Date.now(),
};
