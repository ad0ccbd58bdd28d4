/**
 * [MI10] What happens when the ring is full of what some target lacks and stays so: the send volumes are flushed, then the
 * target's entries are let go. Its bitmap has all of their ranges already, for every write is noted when it is admitted. Held
 * writes are answered when "outdated" is durable elsewhere, which is the group's to see to.
 */
import type { SourceJournal } from './journal.ts';
import type { TargetSession } from './target-session.ts';

export interface OverflowOptions {
  /** How long the ring may be full. */
  readonly afterMs: number;
  /** `strict`: nothing is ever let go, and nothing is answered without a target. */
  readonly policy: 'degrade' | 'strict';
}

export class Overflow {
  readonly #journal: SourceJournal;
  readonly #options: OverflowOptions;

  constructor(journal: SourceJournal, options: OverflowOptions) {
    this.#journal = journal;
    this.#options = options;
  }

  /** From time to time. */
  look(sessions: readonly TargetSession[]): void {
    const { head, ringBytes, flushed } = this.#journal;
    const laggards = sessions.filter(({ freed }) => head - freed >= ringBytes / 2);
    for (const session of laggards) session.ringIsFilling();
    const isOver = this.#journal.refusedForMs >= this.#options.afterMs && this.#options.policy === 'degrade';
    if (!isOver || laggards.length === 0) return;
    // A volume that is away keeps the ring as well: to let go of the targets' entries would help nobody.
    this.#journal.flushVolumes(head);
    const keptBelow = Math.min(...laggards.map(({ freed }) => freed)) + ringBytes / 4;
    if (flushed < keptBelow) return;
    for (const session of laggards) session.overflowed();
  }
}
