/** Who waits for a journal to be durable up to a position. */
type Done = (errno: number) => void;

export class DurableWaits {
  /** Ascending. */
  readonly #waiting: { readonly end: number; readonly done: Done }[] = [];

  add(end: number, done: Done): void {
    const waiting = this.#waiting;
    const before = (waiting.at(-1)?.end ?? 0) <= end ? waiting.length : waiting.findIndex((other) => other.end > end);
    waiting.splice(before, 0, { end, done });
  }

  /** Everything before `durable` is. */
  answer(durable: number): void {
    const waiting = this.#waiting;
    let count = 0;
    for (let next = waiting[0]; next && next.end <= durable; next = waiting[++count]) next.done(0);
    if (count > 0) waiting.splice(0, count);
  }

  fail(errno: number): void {
    for (const { done } of this.#waiting.splice(0)) done(errno);
  }
}
