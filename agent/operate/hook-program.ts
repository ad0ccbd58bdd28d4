/**
 * Runs a program of the operator's once, within bounds: of time, of output, and of what it may hold up (nothing). What it
 * has started is ended with it when it does not end in time, for it runs in a process group of its own.
 */
import { type ChildProcess, spawn } from 'node:child_process';

/** Between asking the program to end and ending it. */
const GRACE_MS = 1000;
/** A program has so long after its end for its last words: a child of its own may hold the pipe open for ever. */
const LAST_WORDS_MS = 200;
/** More is a mistake in the program, and reading it would cost the agent. */
const OUTPUT_BYTES_MAX = 65_536;
const LINE_CHARACTERS_MAX = 300;

export interface HookCall {
  readonly program: string;
  readonly arguments?: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
  readonly timeoutMs: number;
  /** What it writes to stdout counts as its words too. */
  readonly hearsOutput?: boolean;
}

/** `fault` is null when the program ended with 0; `said`: the last line that it wrote. */
export interface HookResult {
  readonly fault: string | null;
  readonly said: string;
}

export class HookProgram {
  readonly #call: HookCall;
  #child: ChildProcess | null = null;
  #text = '';
  #bytes = 0;
  /** Why we ended it ourselves. */
  #endedFor: string | null = null;
  readonly #timers: NodeJS.Timeout[] = [];

  constructor(call: HookCall) {
    this.#call = call;
  }

  /** Never rejects. */
  async run(): Promise<HookResult> {
    const fault = await new Promise<string | null>((resolve) => this.#start(resolve));
    for (const timer of this.#timers) clearTimeout(timer);
    this.#closePipes();
    return { fault, said: lastLine(this.#text) };
  }

  /** Ends it and what it started: asks first, then insists. */
  end(why: string): void {
    if (this.#endedFor !== null) return;
    this.#endedFor = why;
    this.#signal('SIGTERM');
    this.#timers.push(setTimeout(() => this.#signal('SIGKILL'), GRACE_MS));
  }

  /** At once and for good: the agent ends. */
  kill(): void {
    this.#endedFor ??= 'the agent ends';
    this.#signal('SIGKILL');
  }

  #start(done: (fault: string | null) => void): void {
    const { program, environment, timeoutMs, hearsOutput = false } = this.#call;
    try {
      this.#child = spawn(program, [...(this.#call.arguments ?? [])], {
        cwd: '/',
        env: { ...process.env, ...environment },
        stdio: ['ignore', hearsOutput ? 'pipe' : 'ignore', 'pipe'],
        detached: true,
      });
    } catch (error) {
      done(reasonOf(error));
      return;
    }
    const child = this.#child;
    child.once('error', (error) => done(reasonOf(error)));
    child.once('exit', (status, signal) => {
      // What it left behind when it was ended goes too; a program that ended by itself may leave a child at work.
      if (this.#endedFor !== null) this.#signal('SIGKILL');
      const fault = this.#endedFor ?? faultOf(status, signal);
      child.once('close', () => done(fault));
      this.#timers.push(setTimeout(() => done(fault), LAST_WORDS_MS));
    });
    for (const stream of [child.stdout, child.stderr]) {
      stream?.on('data', (piece: Buffer) => this.#hear(piece));
      stream?.on('error', () => {});
    }
    this.#timers.push(setTimeout(() => this.end(`did not end within ${timeoutMs} ms`), timeoutMs));
  }

  #hear(piece: Buffer): void {
    this.#bytes += piece.length;
    this.#text = (this.#text + piece.toString()).slice(-4 * LINE_CHARACTERS_MAX);
    if (this.#bytes <= OUTPUT_BYTES_MAX) return;
    this.#closePipes();
    this.end(`wrote more than ${OUTPUT_BYTES_MAX} bytes${this.#call.hearsOutput === true ? '' : ' to stderr'}`);
  }

  #closePipes(): void {
    this.#child?.stdout?.destroy();
    this.#child?.stderr?.destroy();
  }

  /** To the whole group, which the program leads. The group may be gone already. */
  #signal(signal: NodeJS.Signals): void {
    const pid = this.#child?.pid;
    if (pid === undefined) return;
    try {
      process.kill(-pid, signal);
    } catch {
      // It has ended.
    }
  }
}

function faultOf(status: number | null, signal: string | null): string | null {
  if (signal !== null) return `was ended by ${signal}`;
  return status === 0 ? null : `ended with status ${status}`;
}

function reasonOf(error: unknown): string {
  const { code } = error as NodeJS.ErrnoException;
  if (code === 'ENOENT') return 'is missing, or the interpreter that its first line names is';
  if (code === 'EACCES') return 'may not be run: make it executable for the user that the agent runs as';
  return `cannot be run (${code ?? String(error)})`;
}

function lastLine(text: string): string {
  const lines = text.split('\n').filter((line) => line.trim() !== '');
  // Control characters of a program's making do not belong into our log.
  return (lines.at(-1) ?? '')
    .replaceAll(/\p{Cc}/gu, ' ')
    .trim()
    .slice(0, LINE_CHARACTERS_MAX);
}
