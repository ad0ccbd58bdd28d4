/** A target's two threads. */
import { AgentError } from '../../base/errors.ts';
import { StandWatch } from '../core/stand-watch.ts';
import { END_MS_MAX, END_WORD } from '../../platform/thread-end.ts';
import { sleep, type Cancel, type Machine, type Thread } from '../machine.ts';
import { JOURNAL_WORD, JournalMemory, type SharedJournal } from '../store/journal-memory.ts';
import type { ApplyContext } from '../threads/apply-context.ts';
import type { ApplyCommand, ApplyReport, ImageReport, ImageWrite } from '../threads/apply-loop.ts';

export interface ThreadEvents {
  /** Some word of the journal is not as it was. */
  journal(): void;
  applied(report: ApplyReport): void;
  written(report: ImageReport): void;
  /** A thread died: nothing more will happen. */
  fatal(error: Error): void;
}

export interface TargetThreadsOptions {
  readonly shared: SharedJournal;
  readonly generation: Uint8Array;
  readonly end: number;
  readonly apply: ApplyContext;
}

/** For a thread to run and to have opened the journal: on a machine with much other work the first alone took more than ten. */
const START_MS = 40_000;
const END_MS = 1000;
const LOOK_MS = 250;

export class TargetThreads {
  readonly #memory: JournalMemory;
  readonly #journal: Thread;
  readonly #apply: Thread;
  readonly #machine: Machine;
  readonly #stopLooking: Cancel;
  #isClosing = false;
  readonly #dead = new Set<Thread>();
  /** Commands to the apply thread, and what it has answered: a look at it while there is something to do. */
  #asked = 0;
  #answered = 0;
  #isBusy = false;
  readonly #journalWatch: StandWatch = new StandWatch(0);
  readonly #applyWatch: StandWatch = new StandWatch(0);

  constructor({ shared, generation, end, apply }: TargetThreadsOptions, events: ThreadEvents, machine: Machine) {
    this.#machine = machine;
    this.#memory = new JournalMemory(shared);
    this.#journal = machine.threads.journal({ shared, journalPath: apply.journalPath, generation, end });
    this.#apply = machine.threads.apply(apply);
    this.#journal.on('message', () => {
      this.#memory.set(JOURNAL_WORD.told, 0);
      events.journal();
    });
    this.#apply.on('message', (report: ApplyReport | ImageReport | number) => {
      if (typeof report === 'number') this.#answered = report;
      else if ('image' in report) events.written(report);
      else events.applied(report);
    });
    this.#stopLooking = machine.timers.every(LOOK_MS, () => this.#look());
    this.#look();
    const died = (error: Error): void => {
      if (this.#isClosing) return;
      this.#isClosing = true;
      events.fatal(error);
    };
    for (const thread of [this.#journal, this.#apply]) {
      thread.on('error', died);
      thread.on('exit', () => this.#dead.add(thread));
      thread.on('exit', () => died(new AgentError('died', 'a thread of the target has ended')));
    }
  }

  /** Rejects with an AgentError when the journal takes nothing. */
  async ready(path: string): Promise<void> {
    const { clock } = this.#machine;
    const endMs = clock.monotonicMs() + START_MS;
    while (this.#memory.get(JOURNAL_WORD.journalReady) === 0) {
      if (clock.monotonicMs() > endMs || this.#isClosing) {
        throw new AgentError(
          'volume',
          `journal ${path} does not take anything within ${START_MS / 1000} s: check its storage, or whether the machine has too much to do`,
        );
      }
      await sleep(this.#machine, 2);
    }
  }

  /** For how long each stands still in a call to its storage, in ms; 0: it does not. */
  get hungMs(): { readonly journal: number; readonly volumes: number } {
    const nowMs = this.#machine.clock.monotonicMs();
    return { journal: this.#journalWatch.hungMs(nowMs), volumes: this.#applyWatch.hungMs(nowMs) };
  }

  /** The apply thread is asked whether it is there; nobody asks one that has had nothing to do. */
  #look(): void {
    const nowMs = this.#machine.clock.monotonicMs();
    const isAnswered = this.#answered === this.#asked;
    this.#applyWatch.look(this.#answered, !isAnswered, nowMs);
    if (isAnswered && this.#isBusy) {
      this.#isBusy = false;
      this.#apply.postMessage(++this.#asked);
    }
    const durable = this.#memory.get(JOURNAL_WORD.durable);
    this.#journalWatch.look(durable, durable !== this.#memory.get(JOURNAL_WORD.appended), nowMs);
  }

  apply(command: ApplyCommand): void {
    this.#isBusy = true;
    this.#apply.postMessage(command);
  }

  write(image: ImageWrite): void {
    this.#isBusy = true;
    this.#apply.postMessage(image);
  }

  /** What was published becomes durable; what is being applied is applied again at the next start. */
  async close(): Promise<void> {
    const { hungMs } = this;
    this.#isClosing = true;
    this.#stopLooking();
    this.#memory.set(JOURNAL_WORD.stop, 1);
    this.#memory.ring(JOURNAL_WORD.journalBell);
    await Promise.all([this.#ended(this.#journal, hungMs.journal > 0), this.#ended(this.#apply, hungMs.volumes > 0)]);
  }

  /** A thread that hangs in its storage does not hold up the end of the process for ever. */
  async #ended(thread: Thread, isHung: boolean): Promise<void> {
    if (this.#dead.has(thread)) return;
    const exit = new Promise<void>((resolve) => thread.once('exit', () => resolve()));
    const late = new Promise<void>((resolve) => this.#machine.timers.idly(isHung ? END_MS : END_MS_MAX, resolve));
    if (thread === this.#apply) thread.postMessage(END_WORD);
    await Promise.race([exit, late]);
  }
}
