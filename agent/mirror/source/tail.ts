/**
 * The tail of a ring: where it may be put, and what superblock says so. Room in the file is free only when a superblock
 * that names the new tail is durable, for a start reads from the tail that it finds.
 */
import type { JournalSuper } from '../store/superblock.ts';
import { tailOf } from '../store/recovery.ts';
import type { RingPlace } from '../store/ring.ts';
import { milestoneGrain } from './open-journal.ts';

export class Tail {
  readonly #milestones: RingPlace[];
  readonly #grain: number;
  /** As the durable superblock says. */
  position: number;
  #superblock: JournalSuper;

  constructor(superblock: JournalSuper, milestones: RingPlace[]) {
    this.#superblock = superblock;
    this.#milestones = milestones;
    this.#grain = milestoneGrain(superblock.ringBytes);
    this.position = superblock.tailPosition;
  }

  /** The same of the newest superblock, durable or not: what lies before is gone before long. */
  get soon(): number {
    return this.#superblock.tailPosition;
  }

  /** Whether a place for the tail is wanted here. */
  wants(position: number): boolean {
    return position - (this.#milestones.at(-1)?.position ?? -Infinity) >= this.#grain;
  }

  note(milestone: RingPlace): void {
    this.#milestones.push(milestone);
  }

  /** The last place at or before `position`. */
  before(position: number): RingPlace | null {
    return this.#milestones.findLast((milestone) => milestone.position <= position) ?? null;
  }

  /** The last noted place that is not behind `mark`. */
  beforeMark(mark: number): RingPlace | null {
    return this.#milestones.findLast((milestone) => milestone.mark <= mark) ?? null;
  }

  get oldest(): RingPlace {
    return this.#milestones[0] ?? tailOf(this.#superblock);
  }

  /** A superblock with these changes, to be written next. */
  next(change: Partial<JournalSuper>, milestone: RingPlace | null): JournalSuper {
    const { position, mark, chain, time, cycle } = milestone ?? tailOf(this.#superblock);
    this.#superblock = {
      ...this.#superblock,
      ...change,
      sequence: this.#superblock.sequence + 2,
      tailPosition: position,
      tailMark: mark + 1,
      tailChain: chain,
      tailTime: time,
      tailCycle: cycle,
    };
    return this.#superblock;
  }

  /** The last one that `next` made is durable: older places are gone. */
  written(): void {
    const tail = tailOf(this.#superblock);
    this.position = tail.position;
    const first = this.#milestones.findIndex(({ position }) => position >= tail.position);
    this.#milestones.splice(0, first < 0 ? this.#milestones.length : first);
    // It need not have been noted: a target that is exactly there finds all that it lacks.
    if (this.#milestones[0]?.position !== tail.position) this.#milestones.unshift(tail);
  }
}
