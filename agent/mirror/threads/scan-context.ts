/** What main and a scan thread say to each other. */
import { Worker } from 'node:worker_threads';
import { AgentError } from '../../base/errors.ts';
import { endThread } from '../../platform/thread-end.ts';
import type { DigestWish } from '../scan/volume-digests.ts';

/** For a thread that may have just been started, and one that is in the middle of a volume. */
const CLOSE_MS_MAX = 5000;

export interface ScanContext {
  /** By index in the group. */
  readonly volumes: readonly { readonly path: string; readonly bytes: number }[];
  /** Somebody waits for what is compared, and nothing goes on without it. */
  readonly isAwaited?: boolean;
}

export interface ScanWish {
  readonly id: number;
  readonly volume: number;
  readonly wish: DigestWish;
}

export interface ScanWord {
  readonly id: number;
  /** 0, or why there are none. */
  readonly errno: number;
  readonly digests: Uint8Array;
}

/** Digests of a process's volumes, made by a thread of their own that is started with the first wish. */
export class Scanner {
  readonly #context: ScanContext;
  readonly #waiting = new Map<number, (word: ScanWord | Error) => void>();
  #worker: Worker | null = null;
  /** In this turn: together they cost one message each way, and a comparison asks for hundreds. */
  #asked: ScanWish[] = [];
  #id = 0;

  constructor(context: ScanContext) {
    this.#context = context;
  }

  /** Rejects when the volume cannot be read. */
  async digests(volume: number, wish: DigestWish): Promise<Uint8Array> {
    const id = ++this.#id;
    const word = await new Promise<ScanWord | Error>((resolve) => {
      this.#waiting.set(id, resolve);
      if (this.#asked.length === 0) queueMicrotask(() => this.#ask());
      this.#asked.push({ id, volume, wish });
    });
    if (word instanceof Error) throw word;
    if (word.errno === 0) return word.digests;
    throw new AgentError(
      'volume',
      `${this.#context.volumes[volume]?.path} cannot be read (errno ${word.errno}): check it`,
    );
  }

  /** Begins the thread, which takes it longer than many a comparison. */
  prepare(): void {
    this.#start();
  }

  async close(): Promise<void> {
    const worker = this.#worker;
    this.#fail(new AgentError('failed', 'the scan was ended'));
    // One that hangs in its volume stays until that answers.
    if (worker) await endThread(worker, CLOSE_MS_MAX);
  }

  #ask(): void {
    const asked = this.#asked.filter(({ id }) => this.#waiting.has(id));
    this.#asked = [];
    if (asked.length > 0) this.#start().postMessage(asked);
  }

  #start(): Worker {
    if (this.#worker) return this.#worker;
    const worker = new Worker(new URL('./scan-worker.js', import.meta.url), { workerData: this.#context });
    worker.on('message', (words: readonly ScanWord[]) => {
      for (const word of words) {
        this.#waiting.get(word.id)?.(word);
        this.#waiting.delete(word.id);
      }
    });
    const ended = (error: Error) => {
      this.#worker = null;
      this.#fail(error);
    };
    worker.on('error', ended);
    worker.on('exit', () => ended(new AgentError('died', 'the scan thread has ended')));
    this.#worker = worker;
    return worker;
  }

  #fail(error: Error): void {
    for (const done of this.#waiting.values()) done(error);
    this.#waiting.clear();
  }
}
