/** What the page knows: what it was given at the beginning, and what came since. Pure. */
import type { Minute, Moment, Spread } from '../../view/figures.ts';
import type { EventView } from '../../view/status.ts';
import type { BeginView, NowView } from '../document.ts';

const EVENTS_MAX = 2000;
/** Moments of the last five minutes stand for themselves; what is older, for its minute. */
const MOMENTS_MAX = 320;

export class Store {
  now: NowView | null = null;
  readonly events: EventView[] = [];
  #minutes: Minute[] = [];
  #moments: Moment[] = [];

  begin({ events, minutes, now }: BeginView): void {
    this.events.splice(0, this.events.length, ...events);
    // What was seen before a break stays: nobody else knows it.
    this.#minutes = [...minutes];
    if (now) this.look(now);
  }

  look(now: NowView): void {
    this.now = now;
    if (this.#moments.at(-1)?.atMs === now.moment.atMs) return;
    this.#moments.push(now.moment);
    if (this.#moments.length > MOMENTS_MAX) this.#moments.splice(0, this.#moments.length - MOMENTS_MAX);
  }

  event(event: EventView): void {
    this.events.push(event);
    if (this.events.length > EVENTS_MAX) this.events.shift();
  }

  /** Figures since `fromMs`, oldest first: minutes by their mean, then moments. */
  moments(fromMs: number): Moment[] {
    const firstMs = this.#moments[0]?.atMs ?? Infinity;
    const minutes = this.#minutes.map(momentOf).filter(({ atMs }) => atMs < firstMs);
    return [...minutes, ...this.#moments].filter(({ atMs }) => atMs >= fromMs);
  }
}

const mean = (spread: Spread | number | undefined): number | null => {
  if (typeof spread === 'number') return spread;
  return spread ? spread[0] : null;
};

function momentOf({ at, node, peers }: Minute): Moment {
  const means = (figures: Readonly<Record<string, Spread | number>>): Record<string, number | null> =>
    Object.fromEntries(Object.entries(figures).map(([key, value]) => [key, mean(value)]));
  return {
    atMs: Date.parse(at),
    node: means(node) as unknown as Moment['node'],
    peers: Object.fromEntries(
      Object.entries(peers).map(([name, figures]) => [name, means(figures)]),
    ) as unknown as Moment['peers'],
  };
}
