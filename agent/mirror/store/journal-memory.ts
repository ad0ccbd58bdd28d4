/**
 * What the threads of a journal share: the window (the newest part of the ring, at the same positions), how far each of
 * them is, and the bells they sleep on.
 *
 * Positions are shared as 32-bit counts of ENTRY_ALIGN and read beside one that is known to be near. Who publishes a
 * position has written what it covers before.
 */
import { ENTRY_ALIGN } from '../wire/layout.ts';
import { assertRingSize, type RingSize } from './ring.ts';
import { JOURNAL_SUPER } from './superblock.ts';

/** Words of 32 bits; those that one thread writes often lie on a line of their own. */
export const JOURNAL_WORD = {
  /** main: the end of what has been put into the window. */
  appended: 0,
  /** main: entries before it may have been overwritten in the window. */
  windowStart: 1,
  /** main: raised to wake the journal thread, the volume thread. */
  journalBell: 2,
  volumeBell: 3,
  /** main: 1 when everything is flushed at once; 0 when only up to `flushWanted`, and now and then. */
  flushAlways: 4,
  flushWanted: 5,
  /** main: the send volumes are to be flushed at least up to here. */
  volumeFlushWanted: 6,
  /** main: counts superblocks that are to be written, and commands to the volume thread. */
  superWanted: 7,
  commands: 8,
  stop: 9,
  /** main: 1 while it waits for the volume thread to get on. */
  storedWatched: 10,
  /** journal: what is durable in the file. */
  durable: 16,
  /** journal: an errno while the journal does not take anything, 0 when it is well. */
  journalErrno: 17,
  /** journal: superblocks that are written. */
  superDone: 18,
  journalBeat: 19,
  /** journal: 1 once it has opened the file. */
  journalReady: 20,
  journalFlushes: 21,
  /** volume: what is on the send volumes; goes back after a failed flush. */
  stored: 32,
  /** volume: what is on the flushed send volumes. */
  flushed: 33,
  /** volume: an errno while a send volume fails, 0 when all are well. */
  volumeErrno: 34,
  volumeBeat: 35,
  /** Both threads: a word to main is under way; main resets it before it looks. */
  told: 48,
} as const;
type Word = (typeof JOURNAL_WORD)[keyof typeof JOURNAL_WORD];

const WORDS = 64;

/** Handed to each thread. */
export interface SharedJournal extends RingSize {
  readonly window: SharedArrayBuffer;
  readonly words: SharedArrayBuffer;
  readonly superblock: SharedArrayBuffer;
}

export function allocateJournal(size: RingSize): SharedJournal {
  assertRingSize(size);
  return {
    ...size,
    window: new SharedArrayBuffer(size.windowBytes),
    words: new SharedArrayBuffer(WORDS * 4),
    superblock: new SharedArrayBuffer(JOURNAL_SUPER.bytes),
  };
}

export class JournalMemory implements RingSize {
  readonly ringBytes: number;
  readonly windowBytes: number;
  /** The window: a position lies at itself modulo `windowBytes`. */
  readonly window: Uint8Array;
  readonly words: Int32Array;
  /** The superblock that is to be written; main's until it raises `superWanted`. */
  readonly superblock: Uint8Array;

  constructor(shared: SharedJournal) {
    this.ringBytes = shared.ringBytes;
    this.windowBytes = shared.windowBytes;
    this.window = new Uint8Array(shared.window);
    this.words = new Int32Array(shared.words);
    this.superblock = new Uint8Array(shared.superblock);
  }

  /** The position in `word`; `near`: one that is less than half the range of a word away. */
  position(word: Word, near: number): number {
    const distance = (Atomics.load(this.words, word) - near / ENTRY_ALIGN) | 0;
    return near + distance * ENTRY_ALIGN;
  }

  publish(word: Word, position: number): void {
    Atomics.store(this.words, word, (position / ENTRY_ALIGN) | 0);
  }

  get(word: Word): number {
    return Atomics.load(this.words, word);
  }

  set(word: Word, value: number): void {
    Atomics.store(this.words, word, value);
  }

  /** Wakes whoever sleeps on `bell`, or keeps it from falling asleep. */
  ring(bell: Word): void {
    Atomics.add(this.words, bell, 1);
    Atomics.notify(this.words, bell);
  }
}
