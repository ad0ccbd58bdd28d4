/**
 * Lanes that share one queue of the write buffer take turns. Each gets a bounded piece at a time, and whoever found the
 * queue full begins when there is room again: without that the first lane would take every place that comes free.
 */

/** What a lane did with its turn. */
export type Turn =
  /** It has nothing more to send now. */
  | 'done'
  /** It has more, and had its piece. */
  | 'more'
  /** The queue has no room. */
  | 'refused';

/** A piece: one super-packet, or some dozens of ordinary ones. */
export const TURN_BYTES = 65_536;

export class Turns {
  #first = 0;
  /** Who may have more, in the order of their turns. */
  readonly #waiting: number[] = [];

  /** Gives turns to `count` lanes until all are done, or the queue is full. */
  go(count: number, turn: (index: number) => Turn): void {
    const waiting = this.#waiting;
    waiting.length = 0;
    for (let i = 0; i < count; i++) waiting.push((this.#first + i) % count);
    for (let next = 0; next < waiting.length; next++) {
      const index = waiting[next] ?? 0;
      const result = turn(index);
      if (result === 'more') waiting.push(index);
      if (result !== 'refused') continue;
      this.#first = index;
      return;
    }
  }
}
