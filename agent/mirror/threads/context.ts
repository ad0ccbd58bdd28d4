/** What main hands to the journal thread and the volume thread, and what passes over their ports. */
import { Worker } from 'node:worker_threads';
import { JOURNAL_WORD, type JournalMemory, type SharedJournal } from '../store/journal-memory.ts';
import type { CutCommand, Image, ImageCommand, VolumeLoopStart } from './volume-loop.ts';

export interface JournalContext {
  readonly shared: SharedJournal;
  readonly journalPath: string;
  readonly generation: Uint8Array;
  /** The end that recovery found. */
  readonly end: number;
}

export interface VolumeContext {
  readonly shared: SharedJournal;
  readonly journalPath: string;
  /** Each send volume's path and least size, by index in the group. */
  readonly volumes: readonly { readonly path: string; readonly bytes: number }[];
  readonly start: VolumeLoopStart;
}

/** From a thread to main: look at the words, or an image. */
export type ThreadWord = 0 | Image;
/** From main to the volume thread. */
export type VolumeWord = ImageCommand | CutCommand;

export const startJournalThread = (context: JournalContext): Worker =>
  new Worker(new URL('./journal-worker.js', import.meta.url), { workerData: context });

export const startVolumeThread = (context: VolumeContext): Worker =>
  new Worker(new URL('./volume-worker.js', import.meta.url), { workerData: context });

/** One word to main however often something changes before it looks: a message costs more than what it tells. */
export function teller(memory: JournalMemory, post: (word: ThreadWord) => void): () => void {
  return () => {
    if (Atomics.exchange(memory.words, JOURNAL_WORD.told, 1) === 0) post(0);
  };
}
