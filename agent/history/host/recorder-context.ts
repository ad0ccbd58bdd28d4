/** What main and a recorder's thread say to each other. */
import type { MessagePort } from 'node:worker_threads';
import type { RecordedVolume } from '../store/files.ts';
import type { Retention } from '../store/recording.ts';

export interface RecorderContext {
  /** The recording itself. */
  readonly folder: string;
  readonly monitor: string;
  readonly volumes: readonly RecordedVolume[];
  readonly retention: Retention;
}

export interface PruneWish {
  readonly prune: number;
  readonly beforeUs: number;
  readonly bytes: number;
}

/** From main: a connection, or what is to be let go of. */
export type RecorderWish = { readonly port: MessagePort } | PruneWish;

/** How the recording is: of what the recorder says of it. */
export interface RecordingStatus {
  readonly kept: number;
  readonly base: { readonly state: string; readonly mark: number };
  readonly storedBytes: number;
  readonly pendingBytes: number;
  /** Of the last write; null while it is well. */
  readonly fault: string | null;
}

/** From the thread. `isOpen`: it takes connections, or why it does not and whether that is for an operator to mend first. */
export type RecorderWord =
  | { readonly isOpen: true }
  | { readonly isOpen: false; readonly why: string; readonly isRefused: boolean }
  | { readonly log: string; readonly isGood: boolean }
  | { readonly status: RecordingStatus | null }
  | { readonly pruned: number; readonly answer: unknown; readonly why: string | null };
