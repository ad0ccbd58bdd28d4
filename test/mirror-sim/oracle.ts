/**
 * What must be so, and whatever was found to be otherwise: the initial content of the volumes, and the history of each
 * generation. Knows no product code but the kinds of entries.
 */
import type { Point } from '../../agent/mirror/core/meeting.ts';
import type { World } from '../sim/world.ts';
import { History } from './history.ts';

export interface Violation {
  readonly atMs: number;
  /** The invariant's id. */
  readonly rule: string;
  readonly text: string;
}

export class Oracle {
  readonly violations: Violation[] = [];
  readonly initial: readonly Uint8Array[];
  readonly #world: World;
  readonly #histories = new Map<string, History>();
  readonly counts: Record<string, number> = {};

  constructor(world: World, initial: readonly Uint8Array[]) {
    this.#world = world;
    this.initial = initial;
  }

  violate(rule: string, text: string): void {
    this.violations.push({ atMs: this.#world.nowMs, rule, text });
    this.#world.note(`VIOLATION ${rule}: ${text}`);
  }

  count(what: string, by = 1): void {
    this.counts[what] = (this.counts[what] ?? 0) + by;
  }

  /** No generation has begun. */
  get isBlank(): boolean {
    return this.#histories.size === 0;
  }

  /** Of a generation, as hexadecimal text; undefined before anybody has seen it begin. */
  of(generation: string): History | undefined {
    return this.#histories.get(generation);
  }

  /** Its place among all, in the order in which they were begun. */
  ageOf(history: History): number {
    return [...this.#histories.values()].indexOf(history);
  }

  /** A site is allowed to have less than it once had. */
  forgetPromises(site: string): void {
    for (const history of this.#histories.values()) history.promisedAt.delete(site);
  }

  /** What a log device said is gone: a source that asks there cannot know of a takeover. */
  forgetClaims(): void {
    for (const history of this.#histories.values()) history.cleanBranch = Infinity;
  }

  /** The group's first. */
  begin(generation: string): History {
    const history = new History(this);
    this.#histories.set(generation, history);
    return history;
  }

  /** It branched off `parent` there. */
  branched(generation: string, parent: History, { mark, chain }: Point, isClean: boolean): History {
    this.#world.note(`generation ${generation.slice(0, 8)} begins behind mark ${mark}${isClean ? ', in order' : ''}`);
    this.count(isClean ? 'takeovers in order' : 'takeovers by force');
    const history = parent.branch(mark, chain, isClean);
    this.#histories.set(generation, history);
    return history;
  }
}
