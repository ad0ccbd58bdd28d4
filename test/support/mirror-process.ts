/** One side of a mirror as an administrator runs it: a settings file, a process, what it says and what is said to it. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ask } from '../../agent/control-client.ts';
import { run } from '../../agent/demo/shell.ts';
import { CLI_PATH } from '../../agent/demo/lab.ts';

export type Status = Readonly<Record<string, unknown>> & { readonly cut?: number };

/** A target as its source sees it. */
export interface TargetSeen {
  readonly name: string;
  readonly state: string;
  readonly received: number;
  readonly durable: number;
  readonly applied: number;
  readonly outOfSyncBytes?: number;
  readonly problem?: string | null;
}

const ANSWER_MS = 60_000;

export class MirrorProcess {
  /** `source` or `target`: what its settings make of it. */
  readonly role: string;
  readonly config: string;
  /** Where it is asked, and where clients reach it. */
  readonly control: string;
  readonly socket: string;
  /** The words in front of the program: to start it elsewhere. */
  wrapper: readonly string[] = [];
  log = '';
  #child: ChildProcess | null = null;

  /** Its files are named after `name`. */
  constructor(folder: string, name: string, role: string) {
    this.role = role;
    this.config = join(folder, `${name}.json`);
    this.control = join(folder, `${name}.sock`);
    this.socket = join(folder, `${name}.nbd`);
  }

  get pid(): number {
    return this.#child?.pid ?? 0;
  }

  get settings(): Record<string, unknown> {
    return JSON.parse(readFileSync(this.config, 'utf8')) as Record<string, unknown>;
  }

  /** Puts these keys into its settings, and takes out those that are undefined: for its next start. */
  configure(more: Readonly<Record<string, unknown>>): void {
    writeFileSync(this.config, JSON.stringify({ ...this.settings, ...more }));
  }

  start(): void {
    const own = [process.execPath, CLI_PATH, 'mirror', this.role, '--config', this.config];
    const [program = process.execPath, ...words]: readonly string[] = [...this.wrapper, ...own];
    const child = spawn(program, words, { stdio: ['ignore', 'ignore', 'pipe'] });
    child.stderr.on('data', (piece: Buffer) => (this.log += piece.toString()));
    this.#child = child;
  }

  /** Starts it, where it is to end by itself: its exit status, and what it said. */
  async run(): Promise<{ status: number; stderr: string }> {
    const { status, stderr } = await run([process.execPath, CLI_PATH, 'mirror', this.role, '--config', this.config]);
    return { status, stderr };
  }

  signal(signal: NodeJS.Signals): void {
    this.#child?.kill(signal);
  }

  /** Answers the exit status, or the signal that ended it. */
  async end(signal: NodeJS.Signals = 'SIGTERM'): Promise<number | string | null> {
    const child = this.#child;
    this.#child = null;
    if (!child) return null;
    if (child.exitCode === null && child.signalCode === null) {
      const exit = once(child, 'exit');
      child.kill(signal);
      await exit;
    }
    return child.exitCode ?? child.signalCode;
  }

  /** What `stillbeat mirror` says to it. */
  async ask(request: Readonly<Record<string, unknown>>): Promise<Status> {
    return ask(this.control, request, ANSWER_MS);
  }

  async status(): Promise<Status> {
    return ask(this.control, { command: 'mirror-status' });
  }

  /** `stillbeat mirror ACTION`: what it prints; rejects with what it refuses. */
  async command(action: string, ...flags: string[]): Promise<string> {
    const child = spawn(process.execPath, [CLI_PATH, 'mirror', action, '--config', this.config, ...flags]);
    let [out, problem] = ['', ''];
    child.stdout.on('data', (piece: Buffer) => (out += piece.toString()));
    child.stderr.on('data', (piece: Buffer) => (problem += piece.toString()));
    const [status] = (await once(child, 'close')) as [number | null];
    if (status !== 0) throw new Error(problem);
    return out;
  }

  /** Its targets, or the one of this name; null while it does not answer, or is no source. */
  async seen(name?: string): Promise<TargetSeen | null> {
    const status = await this.status().catch(() => null);
    const targets = status?.['targets'] as TargetSeen[] | undefined;
    return targets?.find((target) => name === undefined || target.name === name) ?? null;
  }
}
