/**
 * Watches the threads: each shows a beat in shared memory. One that stands still is reported once, and once more when it
 * moves; one that dies is started again, unless it keeps dying. There is a reader for each receive volume, and each is
 * watched by itself and told with its volume: what goes on elsewhere says nothing of it.
 */
import { EventEmitter } from 'node:events';
import type { Worker } from 'node:worker_threads';
import { AgentError } from './base/errors.ts';
import type { CoreEvent } from './core/ports.ts';
import { systemClock } from './platform/clock.ts';
import { READER, readingMs } from './queue/reader-words.ts';
import { AGENT, AGENT_TIME, type SharedState } from './queue/shared-state.ts';
import { type ReadNews, ReadWatch, type StorageTrouble } from './read-watch.ts';

/** A thread as it is told: a reader with the volume that it reads. */
type Named = { readonly thread: 'switch' | 'flush' } | { readonly thread: 'reader'; readonly volume: string };

/** A thread that can be started again; `reader`: its number, whose words are its own. */
export type Restartable =
  { readonly thread: 'flush' } | { readonly thread: 'reader'; readonly reader: number; readonly volume: string };

/** Of the settings: what tells storage that hangs. */
export interface StorageTimes {
  readonly writeDeadlineMs: number;
  readonly beaconMs: number;
}

export type SupervisorEvent =
  | (Named & { readonly kind: 'thread-stalled'; readonly forMs: number })
  | (Named & { readonly kind: 'thread-moves'; readonly afterMs: number })
  | (Named & { readonly kind: 'thread-died'; readonly reason: string; readonly restarts: number })
  | ReadNews
  | ({ readonly kind: 'storage-error' } & StorageTrouble)
  | { readonly kind: 'storage-good'; readonly afterMs: number };

const LOOK_EVERY_MS = 1000;
/** Threads beat ten times a second and more; this long without one is a standstill. */
const STALLED_MS = 2000;
const RESTARTS_MAX = 5;
const RESTARTS_WITHIN_MS = 60_000;

interface Watched {
  readonly named: Named;
  /** Where its beat is. */
  readonly words: Int32Array;
  readonly beatAt: number;
  /** It stands in a call to the storage. */
  readonly isInStorage: () => boolean;
  /** What its reads say; of readers only. */
  readonly reads: ReadWatch | null;
  beat: number;
  movedMs: number;
  stalled: boolean;
}

export class Supervisor extends EventEmitter<{ event: [CoreEvent | SupervisorEvent]; fatal: [AgentError] }> {
  readonly state: SharedState;
  readonly #workers = new Set<Worker>();
  /** By the thread's name, and a reader's number. */
  readonly #watched = new Map<string, Watched>();
  readonly #deaths: number[] = [];
  readonly #timer: NodeJS.Timeout;
  #stopping = false;
  #isDead = false;
  #storageBadMs = -1;
  readonly #storage: StorageTimes;
  #lookedMs = systemClock.monotonicMs();

  constructor(state: SharedState, storage: StorageTimes) {
    super();
    this.state = state;
    this.#storage = storage;
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
        this.#die(known);
      };
      worker.on('message', (message: { ready?: { tunFd: number }; event?: CoreEvent }) => {
        if (message.event) this.emit('event', message.event);
        if (!message.ready) return;
        clearTimeout(late);
        this.#watch('switch', { thread: 'switch' }, AGENT.switchBeat, () => false);
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
    what: Restartable,
    start: (isRestart: boolean) => Worker,
    isWanted: () => boolean = () => true,
    isRestart = false,
  ): void {
    const worker = start(isRestart);
    this.#workers.add(worker);
    const name = what.thread === 'reader' ? `reader ${what.reader}` : what.thread;
    const named = what.thread === 'reader' ? this.#watchReader(name, what) : this.#watchFlush(name);
    const watched = this.#watched.get(name);
    let reason = 'ended';
    worker.on('error', (error) => (reason = error.message));
    worker.once('exit', () => {
      this.#workers.delete(worker);
      if (this.#stopping || this.state.stopping) return;
      // The number may be another reader's by now, and that one is wanted.
      if (this.#watched.get(name) !== watched) return;
      if (!isWanted()) {
        this.#watched.delete(name);
        return;
      }
      const now = systemClock.monotonicMs();
      this.#deaths.push(now);
      const recent = this.#deaths.filter((at) => now - at < RESTARTS_WITHIN_MS).length;
      this.emit('event', { kind: 'thread-died', ...named, reason, restarts: recent });
      if (recent > RESTARTS_MAX) {
        this.#die(new AgentError('died', `the ${what.thread} thread keeps dying (${reason}): see the log`));
        return;
      }
      this.supervise(what, start, isWanted, true);
    });
  }

  /** The first reason counts: what follows from it is no news. */
  #die(error: AgentError): void {
    if (this.#stopping || this.#isDead) return;
    this.#isDead = true;
    this.emit('fatal', error);
  }

  #watchFlush(name: string): Named {
    const isWriting = () => Atomics.load(this.state.words, AGENT.writing) === 1;
    return this.#watch(name, { thread: 'flush' }, AGENT.flushBeat, isWriting);
  }

  #watchReader(name: string, { reader, volume }: { readonly reader: number; readonly volume: string }): Named {
    const own = this.state.reader(reader);
    const reads = this.#watched.get(name)?.reads ?? null;
    const isSame = reads?.volume === volume;
    const isReading = () => readingMs(own, systemClock.monotonicMs()) > 0;
    const readWatch = isSame ? reads : new ReadWatch(own, volume, this.#storage.writeDeadlineMs);
    return this.#watch(name, { thread: 'reader', volume }, READER.beat, isReading, own.words, readWatch);
  }

  #watch(
    name: string,
    named: Named,
    beatAt: number,
    isInStorage: () => boolean,
    words: Int32Array = this.state.words,
    reads: ReadWatch | null = null,
  ): Named {
    const movedMs = systemClock.monotonicMs();
    this.#watched.set(name, { named, words, beatAt, isInStorage, reads, beat: -1, movedMs, stalled: false });
    return named;
  }

  #look(): void {
    const now = systemClock.monotonicMs();
    const sinceMs = now - this.#lookedMs;
    this.#lookedMs = now;
    // The whole process stood still: nobody else could have moved meanwhile, and each gets its time again.
    if (sinceMs > STALLED_MS) for (const watched of this.#watched.values()) watched.movedMs += sinceMs;
    else this.#lookAtThreads(now);
    if (Atomics.load(this.state.words, AGENT.slotTaken) !== 1 || this.#stopping) return;
    const message = "another agent writes this node's slot: two agents have one name; rename or stop one of them";
    this.#die(new AgentError('taken', message));
  }

  #lookAtThreads(now: number): void {
    for (const watched of this.#watched.values()) {
      this.#lookAt(watched, now);
      const news = watched.reads?.look(now);
      if (news) this.emit('event', news);
    }
    this.#lookAtStorage(now);
  }

  #lookAt(watched: Watched, now: number): void {
    const { named } = watched;
    const beat = Atomics.load(watched.words, watched.beatAt);
    if (beat !== watched.beat) {
      if (watched.stalled) this.emit('event', { kind: 'thread-moves', ...named, afterMs: now - watched.movedMs });
      watched.beat = beat;
      watched.movedMs = now;
      watched.stalled = false;
    } else if (!watched.stalled && now - watched.movedMs > STALLED_MS) {
      watched.stalled = true;
      this.emit('event', { kind: 'thread-stalled', ...named, forMs: now - watched.movedMs });
    }
  }

  #lookAtStorage(now: number): void {
    const trouble = this.#storageTrouble(now);
    if (trouble && this.#storageBadMs < 0) {
      this.#storageBadMs = now;
      this.emit('event', { kind: 'storage-error', ...trouble });
    } else if (!trouble && this.#storageBadMs >= 0) {
      this.emit('event', { kind: 'storage-good', afterMs: now - this.#storageBadMs });
      this.#storageBadMs = -1;
    }
  }

  #storageTrouble(now: number): StorageTrouble | null {
    const { words, times } = this.state;
    const errno = Atomics.load(words, AGENT.writeErrno);
    if (errno !== 0) return { reason: 'a write failed', errno, forMs: null };
    const forMs = now - (times[AGENT_TIME.writeBeganMs] ?? now);
    const isWriting = Atomics.load(words, AGENT.writing) === 1;
    if (isWriting && forMs > this.#storage.writeDeadlineMs) return { reason: 'a write hangs', errno: null, forMs };
    const writtenMs = times[AGENT_TIME.writtenMs] ?? 0;
    if (writtenMs === 0 || this.state.storageAvailable(this.#storage, now)) return null;
    return { reason: 'nothing is written any more', errno: null, forMs: now - writtenMs };
  }

  /**
   * Whether the threads do their work. One that stands in a call to the storage does: the storage may hang, and the network way
   * must not end for that.
   */
  get isMoving(): boolean {
    return [...this.#watched.values()].every(({ stalled, isInStorage }) => !stalled || isInStorage());
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
