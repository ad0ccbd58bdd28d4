/**
 * Watches the threads: each shows a beat in shared memory. One that stands still is reported once, and once more when it
 * moves; one that dies is started again, unless it keeps dying.
 */
import { EventEmitter } from 'node:events';
import type { Worker } from 'node:worker_threads';
import { AgentError } from './base/errors.ts';
import type { CoreEvent } from './core/ports.ts';
import { systemClock } from './platform/clock.ts';
import { AGENT, AGENT_TIME, type SharedState } from './queue/shared-state.ts';

export type ThreadName = 'switch' | 'flush' | 'reader';

export type SupervisorEvent =
  | { readonly kind: 'thread-stalled'; readonly thread: ThreadName; readonly forMs: number }
  | { readonly kind: 'thread-moves'; readonly thread: ThreadName; readonly afterMs: number }
  | { readonly kind: 'thread-died'; readonly thread: ThreadName; readonly reason: string; readonly restarts: number }
  | { readonly kind: 'storage-error'; readonly errno: number }
  | { readonly kind: 'storage-good'; readonly afterMs: number };

const LOOK_EVERY_MS = 1000;
/** Threads beat ten times a second and more; this long without one is a standstill. */
const STALLED_MS = 2000;
const RESTARTS_MAX = 5;
const RESTARTS_WITHIN_MS = 60_000;

const BEATS: Readonly<Record<ThreadName, number>> = {
  switch: AGENT.switchBeat,
  flush: AGENT.flushBeat,
  reader: AGENT.readerBeat,
};

interface Watched {
  beat: number;
  movedMs: number;
  stalled: boolean;
}

export class Supervisor extends EventEmitter<{ event: [CoreEvent | SupervisorEvent]; fatal: [AgentError] }> {
  readonly state: SharedState;
  readonly #workers = new Set<Worker>();
  readonly #watched = new Map<ThreadName, Watched>();
  readonly #deaths: number[] = [];
  readonly #timer: NodeJS.Timeout;
  #stopping = false;
  #storageBadMs = -1;
  readonly #writeDeadlineMs: number;

  constructor(state: SharedState, writeDeadlineMs: number) {
    super();
    this.state = state;
    this.#writeDeadlineMs = writeDeadlineMs;
    this.#timer = setInterval(() => this.#look(), LOOK_EVERY_MS);
  }

  /** Waits until the switch thread is ready; answers its TUN descriptor. Its death is fatal. */
  async superviseSwitch(worker: Worker, timeoutMs: number): Promise<number> {
    this.#workers.add(worker);
    return new Promise((resolve, reject) => {
      const late = setTimeout(
        () => reject(new AgentError('died', 'the switch thread did not start in time')),
        timeoutMs,
      );
      const fail = (error: Error) => {
        clearTimeout(late);
        const known = asAgentError(error);
        reject(known);
        if (!this.#stopping) this.emit('fatal', known);
      };
      worker.on('message', (message: { ready?: { tunFd: number }; event?: CoreEvent }) => {
        if (message.event) this.emit('event', message.event);
        if (!message.ready) return;
        clearTimeout(late);
        this.#watch('switch');
        resolve(message.ready.tunFd);
      });
      worker.once('error', fail);
      worker.once('exit', (code) => {
        this.#workers.delete(worker);
        if (code !== 0) fail(new Error(`the switch thread ended with ${code}`));
      });
    });
  }

  /** Sends a message to every thread that runs. */
  post(message: unknown): void {
    for (const worker of this.#workers) worker.postMessage(message);
  }

  /**
   * Starts a thread that can take over from its own shared memory, again when it dies; not when it ends and is no longer
   * wanted.
   */
  supervise(
    thread: ThreadName,
    start: (isRestart: boolean) => Worker,
    isWanted: () => boolean = () => true,
    isRestart = false,
  ): void {
    const worker = start(isRestart);
    this.#workers.add(worker);
    this.#watch(thread);
    let reason = 'ended';
    worker.on('error', (error) => (reason = error.message));
    worker.once('exit', () => {
      this.#workers.delete(worker);
      if (this.#stopping || this.state.stopping || !isWanted()) return;
      const now = systemClock.monotonicMs();
      this.#deaths.push(now);
      const recent = this.#deaths.filter((at) => now - at < RESTARTS_WITHIN_MS).length;
      this.emit('event', { kind: 'thread-died', thread, reason, restarts: recent });
      if (recent > RESTARTS_MAX) {
        this.emit('fatal', new AgentError('died', `the ${thread} thread keeps dying (${reason}): see the log`));
        return;
      }
      this.supervise(thread, start, isWanted, true);
    });
  }

  #watch(thread: ThreadName): void {
    this.#watched.set(thread, { beat: -1, movedMs: systemClock.monotonicMs(), stalled: false });
  }

  #look(): void {
    const now = systemClock.monotonicMs();
    for (const [thread, watched] of this.#watched) this.#lookAt(thread, watched, now);
    this.#lookAtStorage(now);
    if (Atomics.load(this.state.words, AGENT.slotTaken) !== 1 || this.#stopping) return;
    const message = "another agent writes this node's slot: two agents have one name; rename or stop one of them";
    this.emit('fatal', new AgentError('taken', message));
  }

  #lookAt(thread: ThreadName, watched: Watched, now: number): void {
    const beat = Atomics.load(this.state.words, BEATS[thread]);
    if (beat !== watched.beat) {
      if (watched.stalled) this.emit('event', { kind: 'thread-moves', thread, afterMs: now - watched.movedMs });
      watched.beat = beat;
      watched.movedMs = now;
      watched.stalled = false;
    } else if (!watched.stalled && now - watched.movedMs > STALLED_MS) {
      watched.stalled = true;
      this.emit('event', { kind: 'thread-stalled', thread, forMs: now - watched.movedMs });
    }
  }

  #lookAtStorage(now: number): void {
    const { words, times } = this.state;
    const errno = Atomics.load(words, AGENT.writeErrno);
    const hangs =
      Atomics.load(words, AGENT.writing) === 1 && now - (times[AGENT_TIME.writeBeganMs] ?? now) > this.#writeDeadlineMs;
    if ((errno !== 0 || hangs) && this.#storageBadMs < 0) {
      this.#storageBadMs = now;
      this.emit('event', { kind: 'storage-error', errno });
    } else if (errno === 0 && !hangs && this.#storageBadMs >= 0) {
      this.emit('event', { kind: 'storage-good', afterMs: now - this.#storageBadMs });
      this.#storageBadMs = -1;
    }
  }

  /**
   * Whether the threads do their work. One that stands in a call to the storage does: the storage may hang, and the network way
   * must not end for that.
   */
  get isMoving(): boolean {
    const { words, times } = this.state;
    const inStorage: Readonly<Record<ThreadName, boolean>> = {
      switch: false,
      flush: Atomics.load(words, AGENT.writing) === 1,
      reader: (times[AGENT_TIME.readBeganMs] ?? 0) > 0,
    };
    return [...this.#watched].every(([thread, { stalled }]) => !stalled || inStorage[thread]);
  }

  /** Waits for the threads to end by themselves (the stop word is set), at most `waitMs`; then ends them, and answers false. */
  async stop(waitMs: number): Promise<boolean> {
    this.#stopping = true;
    clearInterval(this.#timer);
    const ends = [...this.#workers].map(
      async (worker) => new Promise<void>((resolve) => worker.once('exit', () => resolve())),
    );
    let timer: NodeJS.Timeout | undefined;
    const limit = new Promise<void>((resolve) => (timer = setTimeout(resolve, waitMs)));
    await Promise.race([Promise.all(ends), limit]);
    clearTimeout(timer);
    const late = [...this.#workers];
    for (const worker of late) void worker.terminate();
    return late.length === 0;
  }
}

/** Errors cross threads as copies without their class: the reason is found again by name. */
function asAgentError(error: Error): AgentError {
  const { reason } = error as Partial<AgentError>;
  if (error instanceof AgentError) return error;
  return reason === undefined
    ? new AgentError('died', `the switch thread died: ${error.message}`, { cause: error })
    : new AgentError(reason, error.message);
}
