/**
 * [HI11] The history that a target keeps itself: the session that follows what it shows, and the recorder in a thread beside it. The
 * mirror asks it for nothing, and never waits for it.
 */
import type { Machine } from '../../mirror/machine.ts';
import type { ShownCopy } from '../../mirror/target/shown-copy.ts';
import { AgentError } from '../../base/errors.ts';
import { RecordSession } from '../monitor/record-session.ts';
import { RecorderThread } from './recorder-thread.ts';
import type { RecorderContext, RecordingStatus } from './recorder-context.ts';

export interface TargetHistoryOptions extends Pick<RecorderContext, 'folder' | 'retention'> {
  readonly shown: ShownCopy;
  /** `isGood`: nothing is to be done about it. */
  readonly log: (line: string, isGood?: boolean) => void;
}

export interface TargetHistoryStatus {
  readonly path: string;
  /** `away`: nothing is recorded now. `filling`: the volumes are being taken; a state of before may be there. */
  readonly state: 'away' | 'filling' | 'recording';
  /** Every mark up to here is recorded, but for gaps. */
  readonly kept: number;
  /** Of the ring, that it has not taken yet; null: it is let go of. */
  readonly lagBytes: number | null;
  /** How often it was let go of. */
  readonly letGo: number;
  readonly images: { readonly done: number; readonly total: number } | null;
  readonly storedBytes: number | null;
  readonly base: RecordingStatus['base'] | null;
  /** Nothing is recorded now because of the `problem`. */
  readonly isFailing: boolean;
  /** What is wrong, for an operator. */
  readonly problem: string | null;
}

const LOOK_MS = 250;

/** How the recorder is reached: in the tests without a thread. */
export type RecorderEnd = Pick<RecorderThread, 'dial' | 'status' | 'problem' | 'prune' | 'close'>;

export class TargetHistory {
  readonly #options: TargetHistoryOptions;
  readonly #recorder: RecorderEnd;
  readonly #session: RecordSession;
  readonly #stopLooking: () => void;
  #fault: string | null = null;

  constructor(options: TargetHistoryOptions, recorder: RecorderEnd, machine: Pick<Machine, 'clock' | 'timers'>) {
    this.#options = options;
    this.#recorder = recorder;
    const { shown, folder, log } = options;
    const session = new RecordSession({ name: 'history', connections: 1, wait: false, dataFolder: null }, shown, {
      machine,
      where: folder,
      dial: () => {
        if (!shown.isWhole) throw new AgentError('failed', 'the volumes are no whole copy yet');
        return recorder.dial();
      },
      changed: () => this.#release(),
      tell: (event) => {
        // That the recorder itself is not there it has told.
        if (event.kind === 'recorder-lost' && recorder.problem === null) log(`history ${folder}: ${event.reason}`);
      },
    });
    this.#session = session;
    shown.follow({
      note: (volume, offset, length) => session.note(volume, offset, length),
      shown: () => {
        session.progress();
        this.#release();
      },
      broken: (reason, isJump) => session.broken(reason, isJump),
    });
    this.#stopLooking = machine.timers.every(LOOK_MS, () => this.#look());
  }

  /** Throws an AgentError where the folder cannot be its own. */
  static async open(options: TargetHistoryOptions, machine: Machine): Promise<TargetHistory> {
    const { shown, folder, retention, log } = options;
    const recorder = new RecorderThread({ folder, retention, monitor: shown.group, volumes: shown.volumes }, { log });
    await recorder.open();
    return new TargetHistory(options, recorder, machine);
  }

  status(): TargetHistoryStatus {
    const session = this.#session.status() as Pick<
      TargetHistoryStatus,
      'state' | 'kept' | 'lagBytes' | 'letGo' | 'images' | 'problem'
    >;
    const { status, problem } = this.#recorder;
    const { state, kept, lagBytes, letGo, images } = session;
    const isWaiting = !this.#options.shown.isWhole;
    const fault = status?.fault ? `it cannot be written (${status.fault}): check its storage` : null;
    return {
      path: this.#options.folder,
      state,
      kept: status?.kept ?? kept,
      lagBytes,
      letGo,
      images,
      storedBytes: status?.storedBytes ?? null,
      base: status?.base ?? null,
      isFailing: fault !== null || problem !== null || (state === 'away' && !isWaiting),
      problem: fault ?? problem ?? session.problem,
    };
  }

  /** By whole segments: what was written before becomes part of the base. */
  async prune(beforeUs: number, bytes: number): Promise<unknown> {
    return this.#recorder.prune(beforeUs, bytes);
  }

  /** Nothing more is taken: what was is made durable. */
  async close(): Promise<void> {
    this.#stopLooking();
    this.#session.stop('the target ends');
    await this.#recorder.close();
  }

  #release(): void {
    this.#options.shown.free(this.#session.freed);
  }

  #look(): void {
    this.#session.progress();
    this.#release();
    const why = this.#options.shown.look();
    if (why !== null) {
      this.#session.letGo(why);
      this.#release();
    }
    this.#sayFault();
  }

  /** Once for each that comes. */
  #sayFault(): void {
    const fault = this.#recorder.status?.fault ?? null;
    if (fault !== null && fault !== this.#fault)
      this.#options.log(
        `history ${this.#options.folder} cannot be written (${fault}): the mirror goes on; check its storage`,
      );
    if (fault === null && this.#fault !== null)
      this.#options.log(`history ${this.#options.folder} is written again`, true);
    this.#fault = fault;
  }
}
