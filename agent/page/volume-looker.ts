/**
 * The main thread's side of the thread that looks into volumes. It runs while somebody looks at the page, and no longer. A volume
 * that does not answer keeps the thread that it holds up: another one goes on with the others.
 */
import { Worker } from 'node:worker_threads';
import { AgentError } from '../base/errors.ts';
import { endThread } from '../platform/thread-end.ts';
import type { PacketsView } from './document.ts';
import type { SeenVolume } from './look.ts';

const ANSWER_MS_MAX = 3000;
const HANGS = 'the volume does not answer: its storage hangs';

export interface LookerData {
  readonly keys: readonly Uint8Array[] | null;
  /** Shared: the place, among the volumes of the request, of the one that is being read. */
  readonly place: Int32Array;
}

export interface LookRequest {
  readonly id: number;
  readonly volumes: readonly string[];
  readonly packets: { readonly volume: string; readonly node: string } | null;
}

export interface LookAnswer {
  readonly id: number;
  readonly volumes?: readonly SeenVolume[];
  readonly packets?: PacketsView;
  readonly error?: string;
}

/** A thread, and what it was asked and has not answered. */
interface Thread {
  readonly worker: Worker;
  readonly place: Int32Array;
  readonly pending: Map<number, { readonly request: LookRequest; readonly settle: (answer: LookAnswer) => void }>;
}

type Keys = () => readonly Uint8Array[] | null;

export class VolumeLooker {
  #thread: Thread | null = null;
  #asked = 0;
  #isReading = false;
  /** By volume, the thread that waits for it. */
  readonly #held = new Map<string, Thread>();

  /** Those that do not answer. */
  get hanging(): ReadonlySet<string> {
    return new Set(this.#held.keys());
  }

  /** Those of them that answer; null while the last question is under way. */
  async volumes(paths: readonly string[], keys: Keys): Promise<readonly SeenVolume[] | null> {
    if (this.#isReading) return null;
    this.#isReading = true;
    try {
      const answering = paths.filter((path) => !this.#held.has(path));
      const { volumes = null } = await this.#ask({ volumes: answering, packets: null }, keys);
      return volumes;
    } finally {
      this.#isReading = false;
    }
  }

  async packets(volume: string, node: string, keys: Keys): Promise<PacketsView> {
    if (this.#held.has(volume)) throw new AgentError('volume', HANGS);
    const { packets, error } = await this.#ask({ volumes: [], packets: { volume, node } }, keys);
    if (!packets) throw new AgentError('volume', error ?? 'the volume cannot be read');
    return packets;
  }

  /** What is open is given back. A thread that hangs in its volume ends when that answers. */
  close(): void {
    for (const thread of [this.#thread, ...this.#held.values()]) if (thread) end(thread);
    this.#thread = null;
    this.#held.clear();
  }

  async #ask(request: Omit<LookRequest, 'id'>, keys: Keys): Promise<LookAnswer> {
    const thread = (this.#thread ??= this.#start(keys()));
    const id = ++this.#asked;
    let timer: NodeJS.Timeout | undefined;
    const answer = new Promise<LookAnswer>((settle) => {
      thread.pending.set(id, { request: { id, ...request }, settle });
      timer = setTimeout(() => this.#late(thread, id), ANSWER_MS_MAX);
    });
    thread.worker.postMessage({ id, ...request } satisfies LookRequest);
    return answer.finally(() => clearTimeout(timer));
  }

  /** The thread is left to the volume that it hangs in; the next question goes to another one. */
  #late(thread: Thread, id: number): void {
    const [first] = thread.pending.values();
    const { volumes, packets } = first?.request ?? { volumes: [], packets: null };
    const path = packets?.volume ?? volumes[Atomics.load(thread.place, 0)];
    if (this.#thread === thread) {
      this.#thread = null;
      if (path !== undefined) this.#held.set(path, thread);
    }
    thread.pending.get(id)?.settle({ id, error: HANGS });
  }

  #start(keys: LookerData['keys']): Thread {
    const place = new Int32Array(new SharedArrayBuffer(4));
    const workerData: LookerData = { keys, place };
    const worker = new Worker(new URL('./worker.js', import.meta.url), { workerData });
    const thread: Thread = { worker, place, pending: new Map() };
    worker.unref();
    worker.on('message', (answer: LookAnswer) => {
      thread.pending.get(answer.id)?.settle(answer);
      thread.pending.delete(answer.id);
      if (thread !== this.#thread && thread.pending.size === 0) this.#answersAgain(thread);
    });
    // A look that fails ends no agent.
    worker.on('error', () => {
      if (this.#thread === thread) this.#thread = null;
      this.#answersAgain(thread);
    });
    return thread;
  }

  #answersAgain(thread: Thread): void {
    for (const [path, held] of this.#held) if (held === thread) this.#held.delete(path);
    end(thread);
  }
}

function end({ worker, pending }: Thread): void {
  void endThread(worker);
  for (const [id, { settle }] of pending) settle({ id, error: 'nobody looks any more' });
  pending.clear();
}
