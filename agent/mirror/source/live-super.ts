/**
 * The superblock of a source's journal that is open: what it says from now on, and where the ring's tail is. The journal thread
 * writes it from shared memory, so one write is under way at a time.
 */
import { JOURNAL_WORD, type JournalMemory } from '../store/journal-memory.ts';
import type { RingPlace } from '../store/ring.ts';
import { encodeSuper, JOURNAL_STATE, type JournalState, type JournalSuper } from '../store/superblock.ts';
import { Tail } from './tail.ts';

/** What a superblock says of a source that serves no writes: overtaken by `successor` behind `cut`, or released there. */
export type StandDown = Pick<JournalSuper, 'state' | 'successor' | 'cut' | 'cutChain'>;

/** What stays in every superblock until something else is put in its place. */
export interface Lasting extends Partial<Pick<JournalSuper, 'policy' | 'orders'>> {
  /** Why no writes are served, or null. */
  readonly down: StandDown | null;
}

export class LiveSuper {
  readonly tail: Tail;
  readonly #memory: JournalMemory;
  #lasting: Lasting;

  constructor(memory: JournalMemory, superblock: JournalSuper, milestones: RingPlace[]) {
    this.#memory = memory;
    this.tail = new Tail(superblock, milestones);
    this.#lasting = { down: downOf(superblock) };
  }

  get down(): StandDown | null {
    return this.#lasting.down;
  }

  get isWriting(): boolean {
    return this.#memory.get(JOURNAL_WORD.superDone) !== this.#memory.get(JOURNAL_WORD.superWanted);
  }

  /** In every superblock that is put from now on. */
  keep(change: Partial<Lasting>): void {
    this.#lasting = { ...this.#lasting, ...change };
  }

  /** Has the thread write one; none may be under way. `durable`: the position up to which the ring is. */
  put(state: JournalState, durable: number, milestone: RingPlace | null): void {
    const durablePosition = Math.max(durable, milestone?.position ?? 0);
    const { down, ...lasting } = this.#lasting;
    const next = this.tail.next({ state, durablePosition, ...lasting, ...down }, milestone);
    this.#memory.superblock.set(encodeSuper(next));
    Atomics.add(this.#memory.words, JOURNAL_WORD.superWanted, 1);
    this.#memory.ring(JOURNAL_WORD.journalBell);
  }
}

function downOf({ state, successor, cut, cutChain }: JournalSuper): StandDown | null {
  const isDown = state === JOURNAL_STATE.overtaken || state === JOURNAL_STATE.released;
  return isDown ? { state, successor, cut, cutChain } : null;
}
