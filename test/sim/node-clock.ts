/** The clocks of a simulated host. */
import type { World } from './world.ts';

/** A host's clocks: its monotonic one began at its boot and drifts, its wall clock is whatever somebody set. */
export class NodeClock {
  readonly #world: World;
  readonly #offsetMs: number;
  readonly #driftPpm: number;
  #wallMs: number;

  constructor(world: World, driftPpm: number) {
    this.#world = world;
    this.#offsetMs = world.within(1000, 1e9);
    this.#driftPpm = driftPpm;
    this.#wallMs = 1.7e12 + world.within(-1, 1) * 5 * 3_600_000;
  }

  monotonicMs(): number {
    return this.#offsetMs + this.#world.nowMs * (1 + this.#driftPpm / 1e6);
  }

  /** An administrator, or a time server, sets the wall clock. */
  stepWall(byMs: number): void {
    this.#wallMs += byMs;
  }

  times(): { nowMs: number; monotonicUs: number; wallUs: number } {
    const nowMs = this.monotonicMs();
    return {
      nowMs,
      monotonicUs: Math.round(nowMs * 1000),
      wallUs: Math.round((this.#wallMs + this.#world.nowMs) * 1000),
    };
  }
}
