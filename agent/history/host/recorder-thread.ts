/** A recorder in a thread of this process: started, fed with connections, asked, and started again when it is gone. */
import { MessageChannel, Worker } from 'node:worker_threads';
import { AgentError } from '../../base/errors.ts';
import type { LinkSocket } from '../../mirror/link/connection.ts';
import { endThread } from '../../platform/thread-end.ts';
import { portSocket } from './port-socket.ts';
import type { RecorderContext, RecorderWish, RecorderWord, RecordingStatus } from './recorder-context.ts';

export interface RecorderThreadEvents {
  /** `isGood`: nothing is to be done about it. */
  log(line: string, isGood?: boolean): void;
}

/** For a recording of any size to be read at its start; a target waits no longer before it runs. */
const OPEN_MS_MAX = 5000;
const CLOSE_MS_MAX = 5000;

export class RecorderThread {
  readonly #context: RecorderContext;
  readonly #events: RecorderThreadEvents;
  #worker: Worker | null = null;
  #isOpen = false;
  #isClosing = false;
  #status: RecordingStatus | null = null;
  #problem: string | null = null;
  #told = '';
  #pruneId = 0;
  readonly #pruning = new Map<number, (word: Extract<RecorderWord, { pruned: number }> | AgentError) => void>();
  #heard: () => void = () => {};

  constructor(context: RecorderContext, events: RecorderThreadEvents) {
    this.#context = context;
    this.#events = events;
  }

  /** Resolves when it takes connections, or does not answer in time. Throws an AgentError where the folder cannot be its own. */
  async open(): Promise<void> {
    let refused: string | null = null;
    let timer: NodeJS.Timeout | undefined;
    await new Promise<void>((resolve) => {
      timer = setTimeout(resolve, OPEN_MS_MAX);
      this.#heard = resolve;
      this.#start((why) => {
        refused = why;
        resolve();
      });
    });
    clearTimeout(timer);
    this.#heard = () => {};
    if (refused !== null) throw new AgentError('volume', refused);
    if (!this.#isOpen) this.#tell();
  }

  get status(): RecordingStatus | null {
    return this.#status;
  }

  /** Why it takes nothing, or null. */
  get problem(): string | null {
    return this.#isOpen ? null : this.#why;
  }

  /** Throws an AgentError while it takes none. */
  dial(): LinkSocket {
    if (!this.#worker) this.#start(() => {});
    if (!this.#isOpen || !this.#worker) throw new AgentError('failed', this.#why);
    const { port1, port2 } = new MessageChannel();
    this.#worker.postMessage({ port: port2 } satisfies RecorderWish, [port2]);
    return portSocket(port1);
  }

  async prune(beforeUs: number, bytes: number): Promise<unknown> {
    const worker = this.#worker;
    if (!worker || !this.#isOpen) throw new AgentError('failed', this.#why);
    const prune = ++this.#pruneId;
    const word = await new Promise<Extract<RecorderWord, { pruned: number }> | AgentError>((resolve) => {
      this.#pruning.set(prune, resolve);
      worker.postMessage({ prune, beforeUs, bytes } satisfies RecorderWish);
    });
    if (word instanceof AgentError) throw word;
    if (word.why !== null) throw new AgentError('failed', word.why);
    return word.answer;
  }

  /** What was taken is made durable, if its storage lets it. */
  async close(): Promise<void> {
    this.#isClosing = true;
    if (this.#worker) await endThread(this.#worker, CLOSE_MS_MAX);
  }

  get #why(): string {
    return `history ${this.#context.folder}: ${this.#problem ?? 'its storage does not answer yet'}`;
  }

  #start(refused: (why: string) => void): void {
    if (this.#isClosing) return;
    const worker = new Worker(new URL('./recorder-worker.js', import.meta.url), { workerData: this.#context });
    this.#worker = worker;
    worker.on('message', (word: RecorderWord) => {
      if ('log' in word) return this.#events.log(`history: ${word.log}`, word.isGood);
      if ('status' in word) return void (this.#status = word.status);
      if ('pruned' in word) return this.#pruned(word);
      this.#isOpen = word.isOpen;
      this.#problem = word.isOpen ? null : word.why;
      if (word.isOpen) this.#told = '';
      if (!word.isOpen && word.isRefused) refused(word.why);
      return this.#heard();
    });
    worker.on('error', (error) => (this.#problem = error.message));
    worker.on('exit', () => this.#ended());
  }

  #pruned(word: Extract<RecorderWord, { pruned: number }>): void {
    this.#pruning.get(word.pruned)?.(word);
    this.#pruning.delete(word.pruned);
  }

  /** Once, however often it is tried again. */
  #tell(): void {
    if (this.#why !== this.#told) this.#events.log(`${this.#why}: the mirror goes on without it`);
    this.#told = this.#why;
  }

  /** Whoever dials next starts another one. */
  #ended(): void {
    this.#worker = null;
    this.#isOpen = false;
    this.#status = null;
    this.#problem ??= 'its thread has ended';
    if (!this.#isClosing) this.#tell();
    for (const done of this.#pruning.values()) done(new AgentError('died', this.#why));
    this.#pruning.clear();
  }
}
