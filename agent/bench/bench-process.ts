/** A program that a benchmark runs beside others, and ends. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { AgentError } from '../base/errors.ts';
import { howToGet } from '../demo/shell.ts';
import { systemClock } from '../platform/clock.ts';

const START_MS_MAX = 30_000;

/** What runs ends with us, also when a signal ends the benchmark. */
const running = new Set<ChildProcess>();
process.on('exit', () => running.forEach((child) => child.kill('SIGKILL')));

export class BenchProcess {
  readonly #child: ChildProcess;
  /** What it wrote to its standard error. */
  said = '';

  private constructor(child: ChildProcess) {
    this.#child = child;
    running.add(child);
    child.once('exit', () => running.delete(child));
    child.stderr?.on('data', (piece: Buffer) => (this.said += piece.toString()));
  }

  /** Starts it; resolves when `isReady` says so. Rejects when it ends before, or does not get there. */
  static async start(argv: readonly string[], isReady: () => boolean | Promise<boolean>): Promise<BenchProcess> {
    const [program = '', ...rest] = argv;
    const child = spawn(program, rest, { stdio: ['ignore', 'ignore', 'pipe'] });
    const started = new BenchProcess(child);
    let ended = '';
    child.once('error', () => (ended = `there is no ${program}: ${howToGet(program)}`));
    child.once('exit', (status) => (ended = `${program} ended with status ${status}: ${started.said}`));
    const deadlineMs = systemClock.monotonicMs() + START_MS_MAX;
    try {
      while (!(await isReady())) {
        if (ended !== '') throw new AgentError('failed', ended);
        if (systemClock.monotonicMs() > deadlineMs) {
          throw new AgentError('failed', `${program} is not ready in time: ${started.said}`);
        }
        await delay(5);
      }
    } catch (error) {
      await started.kill();
      throw error;
    }
    return started;
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  async kill(): Promise<void> {
    const child = this.#child;
    if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined) return;
    const gone = once(child, 'exit');
    child.kill('SIGKILL');
    await gone;
  }
}

export const isThere = (path: string) => (): boolean => existsSync(path);
