/** What main hands to the apply thread. Commands and reports pass over its port. */
import { Worker } from 'node:worker_threads';
import type { RingSize } from '../store/ring.ts';

export interface ApplyContext {
  readonly ring: RingSize;
  readonly journalPath: string;
  /** Each receive volume's path and least size, by index in the group. */
  readonly volumes: readonly { readonly path: string; readonly bytes: number }[];
}

export const startApplyThread = (context: ApplyContext): Worker =>
  new Worker(new URL('./apply-worker.js', import.meta.url), { workerData: context });
