/** A process of `traffic-entry.ts` inside a node of the lab, and what it has said. Every wait for it has a bound. */
import type { ChildProcess } from 'node:child_process';
import { createInterface } from 'node:readline';
import { AgentError } from '../base/errors.ts';
import { type Lab, TRAFFIC_PATH } from './lab.ts';
import type { TrafficRole } from './traffic-role.ts';

/** A bound on what hangs: a start takes a moment, and on a busy machine many. */
const READY_TIMEOUT_MS = 60_000;
export const RESULT_TIMEOUT_MS = 30_000;
const ERROR_TAIL_BYTES = 2000;

/** Resolves when the promise does, or when the time is over: the caller looks what it has. */
export async function within(boundMs: number, promise: Promise<unknown>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const bound = new Promise<void>((resolve) => (timer = setTimeout(resolve, boundMs)));
  await Promise.race([promise, bound]);
  clearTimeout(timer);
}

type Figures = Readonly<Record<string, unknown>>;

export class TrafficProcess {
  readonly #child: ChildProcess;
  readonly #name: string;
  readonly #closed: Promise<void>;
  #progress: Figures = {};
  #result: Figures | null = null;
  #stderr = '';
  #onReady = (): void => {};
  #onAnswer: { event: string; take: (figures: Figures) => void } | null = null;

  private constructor(child: ChildProcess, name: string) {
    this.#child = child;
    this.#name = name;
    this.#closed = new Promise((resolve) => child.once('close', () => resolve()));
    child.stdin?.on('error', () => {}); // it may have ended before it was told to
    child.stderr?.on('data', (piece: Buffer) => {
      this.#stderr = (this.#stderr + piece.toString()).slice(-ERROR_TAIL_BYTES);
    });
    if (child.stdout !== null) createInterface(child.stdout).on('line', (line) => this.#heard(line));
  }

  static async start(lab: Lab, node: string, role: TrafficRole): Promise<TrafficProcess> {
    const child = lab.spawn(node, [process.execPath, TRAFFIC_PATH, JSON.stringify(role)], { stdio: 'pipe' });
    const started = new TrafficProcess(child, `${role.role} on ${node}`);
    let ready = false;
    const readiness = new Promise<void>((resolve) => {
      started.#onReady = () => {
        ready = true;
        resolve();
      };
    });
    await within(READY_TIMEOUT_MS, Promise.race([readiness, started.#closed]));
    if (!ready) throw started.#failure('did not start');
    return started;
  }

  get progress(): Figures {
    return this.#progress;
  }

  /** Tells it to stop now. */
  async stop(): Promise<Figures> {
    this.#child.stdin?.end();
    return this.result();
  }

  /** Tells a receiver how many packets there were; it stops when it has them, or when they do not come. */
  async expect(packets: number): Promise<Figures> {
    this.#child.stdin?.write(`${JSON.stringify({ expect: packets })}\n`);
    return this.result();
  }

  /** Tells it something, and waits (bounded) for the event that answers. */
  async tell(words: Figures, event: string): Promise<Figures> {
    let answer: Figures | null = null;
    const answered = new Promise<void>((resolve) => {
      this.#onAnswer = {
        event,
        take: (figures) => {
          answer = figures;
          resolve();
        },
      };
    });
    this.#child.stdin?.write(`${JSON.stringify(words)}\n`);
    await within(RESULT_TIMEOUT_MS, Promise.race([answered, this.#closed]));
    if (answer === null) throw this.#failure(`did not answer ${event}`);
    return answer;
  }

  /** Tells it the last thing; answers its result. */
  async finish(words: Figures): Promise<Figures> {
    this.#child.stdin?.write(`${JSON.stringify(words)}\n`);
    return this.result();
  }

  async result(): Promise<Figures> {
    await within(RESULT_TIMEOUT_MS, this.#closed);
    if (this.#result === null) throw this.#failure('ended without a result');
    return this.#result;
  }

  #heard(line: string): void {
    const { event, ...figures } = JSON.parse(line) as { event: string };
    if (event === this.#onAnswer?.event) this.#onAnswer.take(figures);
    else if (event === 'ready') this.#onReady();
    else if (event === 'progress') this.#progress = figures;
    else this.#result = figures;
  }

  #failure(what: string): AgentError {
    const said =
      this.#stderr
        .trim()
        .split('\n')
        .find((line) => line.includes('Error')) ?? this.#stderr.trim();
    return new AgentError('failed', `traffic (${this.#name}) ${what}${said === '' ? '' : `: ${said}`}`);
  }
}
