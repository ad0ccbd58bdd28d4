/** The clocks of a simulated host. */
import type { Clock } from '../../agent/platform/clock.ts';
import type { World } from './world.ts';

/** A host's clocks: its monotonic one began at its boot and drifts, its wall clock is whatever somebody set. */
export class NodeClock implements Clock {
  readonly #world: World;
  readonly #offsetMs: number;
  readonly #driftPpm: number;
  #wallAheadMs: number;

  constructor(world: World, driftPpm: number) {
    this.#world = world;
    this.#offsetMs = world.within(1000, 1e9);
    this.#driftPpm = driftPpm;
    this.#wallAheadMs = 1.7e12 + world.within(-1, 1) * 5 * 3_600_000;
  }

  monotonicMs(): number {
    return this.#offsetMs + this.#world.nowMs * (1 + this.#driftPpm / 1e6);
  }

  /** An administrator, or a time server, sets the wall clock. */
  stepWall(byMs: number): void {
    this.#wallAheadMs += byMs;
  }

  wallMs(): number {
    return this.#wallAheadMs + this.#world.nowMs;
  }
}
