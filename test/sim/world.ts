/**
 * Time that is counted, not waited for: a queue of events, run in the order of their times, and the one source of chance.
 * Everything in a run hangs on its seed; the digest over all that happened is the same whenever the seed is.
 */
import { Prng } from '../../agent/base/prng.ts';

interface Event {
  readonly atMs: number;
  readonly order: number;
  readonly run: () => void;
}

const before = (a: Event, b: Event): boolean => a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order);

const FNV_BASIS = 0x811c_9dc5;
const FNV_PRIME = 0x0100_0193;

export class World {
  readonly prng: Prng;
  readonly seed: number;
  /** Gets every line of the trace; null keeps only the digest. */
  readonly print: ((line: string) => void) | null;
  #nowMs = 0;
  #order = 0;
  #digest = FNV_BASIS;
  readonly #heap: Event[] = [];

  constructor(seed: number, print: ((line: string) => void) | null = null) {
    this.seed = seed;
    this.prng = new Prng(seed);
    this.print = print;
  }

  get nowMs(): number {
    return this.#nowMs;
  }

  /** Digest over every line noted so far. */
  get digest(): string {
    return this.#digest.toString(16).padStart(8, '0');
  }

  /** A fraction from 0 up to, not including, 1. */
  fraction(): number {
    return this.prng.u32() / 4_294_967_296;
  }

  /** Somewhere from `low` to `high`. */
  within(low: number, high: number): number {
    return low + this.fraction() * (high - low);
  }

  /** Something that happened: part of the digest, and of the trace. */
  note(text: string): void {
    const line = `${this.#nowMs.toFixed(3)} ${text}`;
    let digest = this.#digest;
    for (let i = 0; i < line.length; i++) digest = Math.imul(digest ^ line.charCodeAt(i), FNV_PRIME);
    this.#digest = digest >>> 0;
    this.print?.(line);
  }

  at(atMs: number, run: () => void): void {
    this.#push({ atMs: Math.max(atMs, this.#nowMs), order: this.#order++, run });
  }

  after(ms: number, run: () => void): void {
    this.at(this.#nowMs + ms, run);
  }

  /** Lets everything happen up to `untilMs`. */
  runUntil(untilMs: number): void {
    while (this.step(untilMs));
  }

  /** Lets the next event happen; false, and it is `untilMs`, when there is none before. */
  step(untilMs: number): boolean {
    const [next] = this.#heap;
    if (!next || next.atMs > untilMs) {
      this.#nowMs = untilMs;
      return false;
    }
    this.#pop();
    this.#nowMs = next.atMs;
    next.run();
    return true;
  }

  #push(event: Event): void {
    const heap = this.#heap;
    let i = heap.push(event) - 1;
    while (i > 0) {
      const parent = (i - 1) >> 1;
      const above = heap[parent] as Event;
      if (!before(event, above)) break;
      heap[i] = above;
      i = parent;
    }
    heap[i] = event;
  }

  #pop(): void {
    const heap = this.#heap;
    const last = heap.pop();
    if (!last || heap.length === 0) return;
    let i = 0;
    for (;;) {
      let child = 2 * i + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && before(heap[child + 1] as Event, heap[child] as Event)) child++;
      if (!before(heap[child] as Event, last)) break;
      heap[i] = heap[child] as Event;
      i = child;
    }
    heap[i] = last;
  }
}

/** How long a thread takes from its wake-up to its first instruction. */
const WAKE_MS_MIN = 0.01;
const WAKE_MS_MAX = 0.06;

/**
 * A thread of a node: `run` is one round of its loop and answers how long it sleeps. It runs at the earliest of all
 * times that it was asked for; while `isHeld` it does not run, and makes up for it when released.
 */
export class Actor {
  readonly #world: World;
  readonly #run: () => number;
  readonly #isHeld: () => boolean;
  #dueMs = Infinity;
  #token = 0;
  #ended = false;

  constructor(world: World, run: () => number, isHeld: () => boolean) {
    this.#world = world;
    this.#run = run;
    this.#isHeld = isHeld;
  }

  /** Wakes it: it runs as soon as a woken thread does. */
  wake(): void {
    this.wakeAt(this.#world.nowMs + this.#world.within(WAKE_MS_MIN, WAKE_MS_MAX));
  }

  wakeAt(atMs: number): void {
    if (this.#ended || atMs >= this.#dueMs) return;
    this.#dueMs = atMs;
    const token = ++this.#token;
    this.#world.at(atMs, () => {
      if (token === this.#token) this.#go();
    });
  }

  #go(): void {
    this.#dueMs = Infinity;
    if (this.#ended || this.#isHeld()) return;
    const sleepMs = this.#run();
    if (sleepMs === Infinity) return;
    this.wakeAt(this.#world.nowMs + sleepMs + this.#world.within(WAKE_MS_MIN, WAKE_MS_MAX));
  }

  end(): void {
    this.#ended = true;
    this.#token++;
  }
}
