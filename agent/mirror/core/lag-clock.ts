/** When marks were admitted, roughly: so that a lag can be told in time. Keeps some hundred samples, however long it runs. */
interface Sample {
  /** The newest one that was admitted in this sample's time. */
  readonly mark: number;
  /** When that time began. */
  readonly atMs: number;
}

const SAMPLES_MAX = 512;

export class LagClock {
  #samples: Sample[] = [];
  #mark: number;
  /** How much time is in one sample at least. */
  #gapMs = 1;

  /** `mark`: admitted before anything is noted; what came before it has no time. */
  constructor(mark: number) {
    this.#mark = mark;
  }

  /** `mark` is the newest that was admitted. */
  note(mark: number, nowMs: number): void {
    if (mark <= this.#mark) return;
    this.#mark = mark;
    const last = this.#samples.at(-1);
    if (last && nowMs - last.atMs < this.#gapMs) this.#samples.splice(-1, 1, { mark, atMs: last.atMs });
    else this.#samples.push({ mark, atMs: nowMs });
    if (this.#samples.length > SAMPLES_MAX) this.#coarsen();
  }

  /** For how long somebody who has everything up to `mark` has lacked something, in ms, a little more rather than less. */
  behindMs(mark: number, nowMs: number): number {
    const missing = this.#samples.find((sample) => sample.mark > mark);
    return missing ? Math.max(0, nowMs - missing.atMs) : 0;
  }

  /** The same by another clock, which says `byMs` more; it began with what is past at `nowMs`, whatever the first clock said. */
  moved(byMs: number, nowMs: number): LagClock {
    const clock = new LagClock(this.#mark);
    clock.#gapMs = this.#gapMs;
    clock.#samples = this.#samples.map(({ mark, atMs }) => ({ mark, atMs: Math.min(nowMs, atMs + byMs) }));
    return clock;
  }

  /** Nobody asks about `mark` or below any more. */
  dropUpTo(mark: number): void {
    const first = this.#samples.findIndex((sample) => sample.mark > mark);
    this.#samples.splice(0, first < 0 ? this.#samples.length : first);
    if (this.#samples.length === 0) this.#gapMs = 1;
  }

  /** Two become one. */
  #coarsen(): void {
    this.#gapMs *= 2;
    const all = this.#samples;
    this.#samples = all.flatMap(({ atMs }, i) =>
      i % 2 === 0 ? [{ atMs, mark: (all[i + 1] ?? all[i])?.mark ?? 0 }] : [],
    );
  }
}
