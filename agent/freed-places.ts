/**
 * Seats and readers of former plans that a thread may still use: one that hangs in its storage has not taken over the plan
 * that freed them. They are not given away before it has.
 */
import type { Busy } from './plan.ts';
import { READER } from './queue/reader-words.ts';
import { AGENT, type SharedState } from './queue/shared-state.ts';

interface Freed {
  /** The plan that freed them. */
  readonly plan: number;
  readonly seats: readonly number[];
  readonly readers: readonly number[];
}

export class FreedPlaces {
  readonly #state: SharedState;
  #freed: readonly Freed[] = [];

  constructor(state: SharedState) {
    this.#state = state;
  }

  add(freed: Freed): void {
    this.#freed = [...this.#freed, freed];
  }

  /** The newest plan that the switch thread, the flush thread and all these readers have. */
  newestOfAll(readers: readonly number[]): number {
    const { words } = this.#state;
    const own = [AGENT.switchPlan, AGENT.flushPlan].map((index) => Atomics.load(words, index));
    return Math.min(...own, ...readers.map((reader) => this.#planOf(reader)));
  }

  #planOf(reader: number): number {
    return Atomics.load(this.#state.reader(reader).words, READER.plan);
  }

  /** What is not to be given away yet, while these readers are in use. */
  busy(current: readonly number[]): Busy {
    // A reader that hangs may still use what earlier and later plans than the one without it have freed.
    const hanging = this.#freed.flatMap(({ plan, readers }) => readers.filter((reader) => this.#planOf(reader) < plan));
    const newest = this.newestOfAll([...current, ...hanging]);
    this.#freed = this.#freed.filter(({ plan }) => newest < plan);
    return {
      seats: new Set(this.#freed.flatMap(({ seats }) => seats)),
      readers: new Set(this.#freed.flatMap(({ readers }) => readers)),
    };
  }
}
