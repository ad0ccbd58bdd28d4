/**
 * How far marks are there without a hole (CY2: transfers arrive in any order). Runs that came early wait, sorted; there are
 * few, as many as there are transfers under way.
 */
export class MarkPrefix {
  #upTo: number;
  /** Runs beyond the prefix: first and last mark, apart from each other and ascending. */
  readonly #early: [number, number][] = [];

  constructor(upTo = 0) {
    this.#upTo = upTo;
  }

  /** All marks up to this one are there. */
  get upTo(): number {
    return this.#upTo;
  }

  /** Marks beyond the prefix, for a message to an operator: where the holes are. */
  get early(): readonly (readonly [number, number])[] {
    return this.#early;
  }

  has(mark: number): boolean {
    return mark <= this.#upTo || this.#early.some(([first, last]) => first <= mark && mark <= last);
  }

  /** False when all of them were there already: a transfer that came twice. */
  add(first: number, last: number): boolean {
    if (last <= this.#upTo) return false;
    const early = this.#early;
    if (early.length === 0 && first <= this.#upTo + 1) {
      this.#upTo = last;
      return true;
    }
    let at = 0;
    while (at < early.length && (early[at]?.[1] ?? 0) < first - 1) at++;
    let end = at;
    let [from, to] = [first, last];
    let isNew = true;
    for (let run = early[end]; run && run[0] <= to + 1; run = early[++end]) {
      if (run[0] <= first && last <= run[1]) isNew = false;
      from = Math.min(from, run[0]);
      to = Math.max(to, run[1]);
    }
    early.splice(at, end - at, [from, to]);
    const head = early[0];
    if (head && head[0] <= this.#upTo + 1) {
      this.#upTo = head[1];
      early.shift();
    }
    return isNew;
  }

  /** What lies beyond `mark` is dropped (MI5). */
  cut(mark: number): void {
    this.#upTo = Math.min(this.#upTo, mark);
    const early = this.#early;
    for (let i = early.length - 1; i >= 0; i--) {
      const run = early[i];
      if (!run || run[1] <= mark) break;
      if (run[0] > mark) early.pop();
      else run[1] = mark;
    }
  }
}
