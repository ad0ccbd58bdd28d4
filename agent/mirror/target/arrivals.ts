/**
 * A target's journal as main sees it: arrivals go in, it is told how far they are durable, superblocks are written in
 * order. Main calls no disk here; the journal thread does.
 *
 * Room in the file is free only when a superblock that names the new tail is durable, for a start reads from the tail that
 * it finds.
 */
import { JOURNAL_WORD, type JournalMemory } from '../store/journal-memory.ts';
import { encodeSuper, type JournalSuper } from '../store/superblock.ts';
import type { Entry } from '../wire/entry.ts';
import { ArrivalWindow, type Placed } from './arrival-window.ts';

/** What a superblock says beside what stays the same. `isApplying`: the receive volumes may be a mix of two cuts. */
export interface Kept extends Partial<Omit<JournalSuper, 'sequence' | 'durablePosition'>> {
  readonly tailPosition: number;
  readonly isApplying: boolean;
}

export class Arrivals {
  readonly #memory: JournalMemory;
  readonly #window: ArrivalWindow;
  readonly #kept: () => Kept;
  /** As it was last encoded. */
  #superblock: JournalSuper;
  #wanted = 0;
  #writing = 0;
  #written = 0;
  #waiting: { readonly version: number; readonly done: () => void }[] = [];

  /** `end`: what recovery found, durable. `kept`: asked each time that a superblock is written. */
  constructor(memory: JournalMemory, superblock: JournalSuper, end: number, kept: () => Kept) {
    this.#memory = memory;
    this.#superblock = superblock;
    this.#kept = kept;
    this.#window = new ArrivalWindow(memory, end, superblock.tailPosition);
    memory.publish(JOURNAL_WORD.durable, end);
    memory.publish(JOURNAL_WORD.flushWanted, end);
    memory.set(JOURNAL_WORD.flushAlways, 1);
  }

  get head(): number {
    return this.#window.head;
  }

  get durable(): number {
    return this.#window.durable;
  }

  get tail(): number {
    return this.#window.tail;
  }

  get roomBytes(): number {
    return this.#window.roomBytes;
  }

  /** 0 when the journal is well. */
  get errno(): number {
    return this.#memory.get(JOURNAL_WORD.journalErrno);
  }

  /** Places an entry, as ArrivalWindow does. The thread sees it after `publish`. */
  place(entry: Entry, from: Uint8Array, offset: number): Placed | null {
    return this.#window.place(entry, from, offset);
  }

  /** Whether the file has no room for it. */
  lacksRoom(payloadBytes: number): boolean {
    return this.#window.lacksRoom(payloadBytes);
  }

  publish(): void {
    this.#window.publish();
    this.#memory.ring(JOURNAL_WORD.journalBell);
  }

  /** Writes a superblock; `done` when one is durable that says what is so now, or later. */
  put(done: () => void): void {
    this.#wanted++;
    this.#waiting.push({ version: this.#wanted, done });
    this.#writeNext();
  }

  /** Takes over how far the thread is. */
  look(): void {
    this.#window.durable = this.#memory.position(JOURNAL_WORD.durable, this.#window.durable);
    if (this.#writing === this.#written || this.#isBusy) return;
    this.#written = this.#writing;
    this.#window.tail = this.#superblock.tailPosition;
    const isDone = ({ version }: { version: number }) => version <= this.#written;
    const done = this.#waiting.filter(isDone);
    this.#waiting = this.#waiting.filter((one) => !isDone(one));
    this.#writeNext();
    for (const one of done) one.done();
  }

  get #isBusy(): boolean {
    return this.#memory.get(JOURNAL_WORD.superDone) !== this.#memory.get(JOURNAL_WORD.superWanted);
  }

  /** One at a time: the thread writes it from shared memory. */
  #writeNext(): void {
    if (this.#writing !== this.#written || this.#written === this.#wanted) return;
    this.#writing = this.#wanted;
    const { isApplying, ...kept } = this.#kept();
    const parity = isApplying ? 1 : 0;
    const { sequence } = this.#superblock;
    this.#superblock = {
      ...this.#superblock,
      ...kept,
      sequence: sequence + ((sequence + 1) % 2 === parity ? 1 : 2),
      durablePosition: Math.max(this.durable, kept.tailPosition),
    };
    this.#memory.superblock.set(encodeSuper(this.#superblock));
    Atomics.add(this.#memory.words, JOURNAL_WORD.superWanted, 1);
    this.#memory.ring(JOURNAL_WORD.journalBell);
  }
}
