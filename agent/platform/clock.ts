/** The clocks. Everything that decides uses `monotonicMs`; `wallMs` is for people and for time marks only. */
export interface Clock {
  /** Milliseconds (with fraction) since an arbitrary start; never steps, the same for all processes of the host. */
  monotonicMs(): number;
  /** Milliseconds since 1970 by the host's clock, which an administrator may step. */
  wallMs(): number;
}

/** Taken once: `process` is a getter, and this is called for every packet. */
const { hrtime } = process;

export const systemClock: Clock = {
  monotonicMs: () => Number(hrtime.bigint()) / 1e6,
  wallMs: () => Date.now(),
};

/** One moment on both clocks, as volumes bear it. */
export interface Times {
  readonly nowMs: number;
  readonly monotonicUs: number;
  readonly wallUs: number;
}

export function timesOf(clock: Clock): Times {
  const nowMs = clock.monotonicMs();
  return { nowMs, monotonicUs: Math.round(nowMs * 1000), wallUs: Math.round(clock.wallMs() * 1000) };
}
