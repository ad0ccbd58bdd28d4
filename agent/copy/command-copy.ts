/**
 * `copy: command`: a program of the operator's copies the send volume. One runs at a time, begun every interval, or when it
 * is asked for. What had been written when it began is on the copy when it ends with status 0: that is what it must hold to.
 */
import { systemClock } from '../platform/clock.ts';
import { HookProgram, type HookResult } from '../operate/hook-program.ts';
import type { CopyPoint, CopyState } from '../queue/copy-state.ts';
import type { CopyCommand } from '../settings/settings.ts';
import type { CopyMethod, MethodEvent } from './method.ts';

export interface CommandCopyParts {
  readonly command: CopyCommand;
  /** Of the program, beside the agent's own. */
  readonly environment: Readonly<Record<string, string>>;
  readonly state: CopyState;
  readonly tell: (event: MethodEvent) => void;
}

/** Of one that is asked to end. */
const CLOSE_MS_MAX = 1500;

export class CommandCopy implements CopyMethod {
  readonly #parts: CommandCopyParts;
  #copied: CopyPoint = { position: 0, heads: 0 };
  #program: HookProgram | null = null;
  /** The run under way, and the one behind it that somebody asked for. */
  #running: Promise<string | null> | null = null;
  #next: Promise<string | null> | null = null;
  #dueMs: number;
  #fault: string | null = null;
  #failedMs = 0;
  #runs = 0;
  #failures = 0;
  #lastMs = 0;
  #isClosing = false;

  constructor(parts: CommandCopyParts) {
    this.#parts = parts;
    this.#dueMs = parts.command.onCommand ? Infinity : -Infinity;
  }

  get copied(): CopyPoint {
    return this.#copied;
  }

  get fault(): string | null {
    return this.#fault;
  }

  get figures(): Readonly<Record<string, unknown>> {
    const { run, onCommand } = this.#parts.command;
    return {
      command: run.join(' '),
      onCommand,
      running: this.#running !== null,
      runs: this.#runs,
      failures: this.#failures,
      lastRunMs: Math.round(this.#lastMs),
    };
  }

  look(nowMs: number): void {
    if (this.#running !== null || this.#isClosing || nowMs < this.#dueMs) return;
    this.#dueMs = nowMs + this.#parts.command.intervalMs;
    void this.#begin(false);
  }

  async copyNow(): Promise<string | null> {
    const { onCommand } = this.#parts.command;
    if (this.#running === null) return this.#begin(onCommand);
    // The one under way may have begun before the newest batch.
    this.#next ??= this.#running.then(async () => {
      this.#next = null;
      return this.#running ?? this.#begin(onCommand);
    });
    return this.#next;
  }

  async close(): Promise<void> {
    this.#isClosing = true;
    this.#program?.end('the agent ends');
    const late = new Promise<void>((resolve) => setTimeout(resolve, CLOSE_MS_MAX).unref());
    await Promise.race([this.#running, late]);
    this.#program?.kill();
  }

  async #begin(isAsked: boolean): Promise<string | null> {
    if (this.#isClosing) return 'the agent ends';
    this.#running = this.#run(isAsked).finally(() => (this.#running = null));
    return this.#running;
  }

  async #run(isAsked: boolean): Promise<string | null> {
    const { command, environment, state } = this.#parts;
    const [program, ...args] = command.run;
    const { written } = state;
    const beganMs = systemClock.monotonicMs();
    this.#program = new HookProgram({
      program,
      arguments: args,
      environment: { ...environment, STILLBEAT_POSITION: String(written.position) },
      timeoutMs: command.timeoutMs,
      hearsOutput: true,
    });
    const result = await this.#program.run();
    this.#program = null;
    this.#runs++;
    this.#lastMs = systemClock.monotonicMs() - beganMs;
    this.#ended(result, written, isAsked);
    return this.#fault;
  }

  #ended({ fault, said }: HookResult, written: CopyPoint, isAsked: boolean): void {
    const { command, tell } = this.#parts;
    const nowMs = systemClock.monotonicMs();
    if (fault !== null) {
      this.#failures++;
      if (this.#fault === null) this.#failedMs = nowMs;
      this.#fault = `${command.run[0]} ${fault}${said === '' ? '' : `, and said: ${said}`}`;
      if (!this.#isClosing) tell({ kind: 'copy-failed', reason: `${command.run[0]} ${fault}`, said });
      return;
    }
    this.#copied = written;
    if (this.#fault !== null) tell({ kind: 'copy-good', afterMs: nowMs - this.#failedMs });
    this.#fault = null;
    if (isAsked) tell({ kind: 'copy-ran', afterMs: this.#lastMs, said });
  }
}
