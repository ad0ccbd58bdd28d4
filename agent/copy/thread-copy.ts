/** `copy: local` as the main thread sees it: the copying thread, started again when it dies, and what it has copied. */
import { Worker } from 'node:worker_threads';
import { AgentError, isExitReason } from '../base/errors.ts';
import { systemClock } from '../platform/clock.ts';
import { errnoName } from '../platform/native.ts';
import type { CopyPoint, CopyState } from '../queue/copy-state.ts';
import type { CopyMethod, MethodEvent } from './method.ts';
import type { CopierData } from './worker.ts';

const WORKER = new URL('worker.js', import.meta.url);
/** A volume that does not answer at the start does not hold up the agent. */
const READY_MS_MAX = 3000;
const CLOSE_MS_MAX = 2000;
const RESTART_MS = 1000;

export interface ThreadCopyParts {
  readonly data: CopierData;
  readonly state: CopyState;
  /** A call to a volume that takes longer hangs. */
  readonly deadlineMs: number;
  readonly tell: (event: MethodEvent) => void;
  readonly worker?: URL;
}

export class ThreadCopy implements CopyMethod {
  readonly #parts: ThreadCopyParts;
  #worker: Worker | null = null;
  #isClosing = false;
  #death: string | null = null;
  #failedMs = -1;
  #errors = 0;

  private constructor(parts: ThreadCopyParts) {
    this.#parts = parts;
  }

  /** Throws what the thread throws: a volume that must not be copied to. */
  static async open(parts: ThreadCopyParts): Promise<ThreadCopy> {
    const copy = new ThreadCopy(parts);
    await new Promise<void>((resolve, reject) => {
      const late = setTimeout(resolve, READY_MS_MAX);
      const end = (act: () => void) => {
        clearTimeout(late);
        act();
      };
      copy.#start(
        () => end(resolve),
        (error) => end(() => reject(error)),
      );
    });
    return copy;
  }

  get copied(): CopyPoint {
    return this.#parts.state.copied;
  }

  get fault(): string | null {
    const { state, deadlineMs } = this.#parts;
    if (this.#death !== null) return `the copying thread died: ${this.#death}`;
    const { errno } = state;
    if (errno !== 0) return `copying fails with ${errnoName(errno)}`;
    const forMs = state.callingMs(systemClock.monotonicMs());
    return forMs > deadlineMs ? `copying hangs for ${Math.round(forMs)} ms` : null;
  }

  get figures(): Readonly<Record<string, unknown>> {
    return { volume: this.#parts.data.target, ...this.#parts.state.totals };
  }

  async copyNow(): Promise<string | null> {
    this.#parts.state.wake();
    return null;
  }

  look(nowMs: number): void {
    const { data, tell, state } = this.#parts;
    const { fault } = this;
    const { errors } = state.totals;
    // As long as some calls fail it fails, whatever the last one was.
    const isFailing = fault !== null || errors !== this.#errors;
    this.#errors = errors;
    if (isFailing && this.#failedMs < 0) {
      this.#failedMs = nowMs;
      tell({ kind: 'copy-failed', reason: fault ?? 'copying failed', volume: data.target });
    } else if (!isFailing && this.#failedMs >= 0) {
      tell({ kind: 'copy-good', afterMs: nowMs - this.#failedMs });
      this.#failedMs = -1;
    }
  }

  async close(): Promise<void> {
    this.#isClosing = true;
    const worker = this.#worker;
    if (worker === null) return;
    const ended = new Promise<void>((resolve) => worker.once('exit', () => resolve()));
    this.#parts.state.stop();
    const late = new Promise<void>((resolve) => setTimeout(resolve, CLOSE_MS_MAX).unref());
    await Promise.race([ended, late]);
    // One that hangs in the kernel stays until that answers; nobody waits for it.
    if (this.#worker !== null) void worker.terminate();
  }

  #start(ready: () => void, refused: (error: Error) => void): void {
    const worker = new Worker(this.#parts.worker ?? WORKER, { workerData: this.#parts.data });
    this.#worker = worker;
    let isReady = false;
    worker.once('message', () => {
      isReady = true;
      this.#death = null;
      ready();
    });
    let reason = 'it ended';
    worker.once('error', (error) => {
      reason = error.message;
      if (!isReady) refused(known(error));
    });
    worker.once('exit', () => {
      this.#worker = null;
      if (this.#isClosing || (!isReady && this.#death === null)) return;
      this.#death = reason;
      setTimeout(() => {
        if (this.#isClosing) return;
        this.#start(
          () => {},
          () => {},
        );
      }, RESTART_MS).unref();
    });
  }
}

/** Errors cross threads without their class. */
function known(error: Error): Error {
  const { reason } = error as Partial<AgentError>;
  return isExitReason(reason) ? new AgentError(reason, error.message) : error;
}
