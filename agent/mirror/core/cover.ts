/**
 * Whether clients may be answered without a target (I21). A target that is cut off cannot know that its source goes on alone: so
 * before the first such answer it is made durable elsewhere that it is outdated. Until then it is waited for, though it is away.
 */
export type CoverAction =
  /** Make durable that it is outdated since `cut`, or since when it says so already; `marked` when it is, and nobody claims the role. */
  | { readonly do: 'mark'; readonly cut: number }
  /** It is in sync again: take the mark away; `cleared` when that is durable. */
  | { readonly do: 'clear' }
  | null;

export class Cover {
  #state: 'unknown' | 'found' | 'in-sync' | 'marking' | 'marked' | 'clearing';
  readonly #graceUntilMs: number;

  /**
   * `isMarked`: as a start finds it, null where it cannot be read. Who wrote it may have answered nobody, for a claim of the role
   * stood: so it counts when it is written once more. `graceUntilMs`: before, a target that has not been met yet is given time.
   */
  constructor(isMarked: boolean | null, graceUntilMs: number) {
    this.#state = isMarked === null ? 'unknown' : isMarked ? 'found' : 'in-sync';
    this.#graceUntilMs = graceUntilMs;
  }

  /** Answers wait for it: what it has may be answered, and no more. */
  get isWaitedFor(): boolean {
    return this.#state !== 'marked';
  }

  /** `isWanting`: somebody waits for an answer that only it keeps from him. `durable`: the last mark that it has. */
  look(isInSync: boolean, isWanting: boolean, durable: number, nowMs: number): CoverAction {
    if (isInSync) {
      if (this.#state !== 'marked' && this.#state !== 'found' && this.#state !== 'unknown') return null;
      this.#state = 'clearing';
      return { do: 'clear' };
    }
    if (this.#state === 'found') {
      this.#state = 'marking';
      return { do: 'mark', cut: Infinity };
    }
    if ((this.#state !== 'in-sync' && this.#state !== 'unknown') || !isWanting || nowMs < this.#graceUntilMs)
      return null;
    this.#state = 'marking';
    return { do: 'mark', cut: durable };
  }

  marked(): void {
    this.#state = 'marked';
  }

  cleared(): void {
    this.#state = 'in-sync';
  }
}
