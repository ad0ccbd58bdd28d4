/** What one monitor sends, into its recording: over which connections, from where on, and how far it is kept. */
import { DataFolderReader } from './data-folder.ts';
import { storageFault } from './storage-fault.ts';
import { aheadAt, clockAhead, CLOCK_NOISE_US, clockNote, wasSet } from '../core/clock.ts';
import { unclearText } from '../core/spans.ts';
import { kinship, short } from '../../mirror/core/generation.ts';
import { decodeAhead, decodeKnown } from '../../mirror/link/greeting.ts';
import type { Peer } from '../../mirror/target/session.ts';
import { FRAME_KIND, type Frame } from '../../mirror/wire/frame.ts';
import { isRecording, readHead } from '../store/files.ts';
import { timeOf } from '../store/clock-list.ts';
import { KnownUntil } from '../store/known.ts';
import { PENDING_BYTES_MAX } from '../store/reserve.ts';
import { Recording, type Retention } from '../store/recording.ts';
import { restoreFrom, type Restored } from '../store/restore-from.ts';
import { decodeTake, encodeRecordingState, type RecordHello, type Take } from '../wire/greeting.ts';

export interface IntakeOptions {
  readonly folder: string;
  /** Its log device; null without. */
  readonly logFolder: string | null;
  readonly monitor: string;
  /** Null for a recording that is there. */
  readonly hello: RecordHello | null;
  readonly retention: Retention;
  /** For the operator's log. `isGood`: nothing is to be done about it. */
  readonly log: (line: string, isGood?: boolean) => void;
  readonly nowMs: () => number;
  /** Of a clock that is never set. */
  readonly steadyMs: () => number;
}

const GONE = 'it was gone before it was answered';

export class Intake {
  readonly #options: IntakeOptions;
  readonly recording: Recording;
  readonly #known: KnownUntil;
  /** The session that runs: its number, and its connections. */
  #session = 0;
  /** When it was answered how far its recording is. */
  #askedMs = 0;
  #control: Peer | null = null;
  readonly #peers = new Set<Peer>();
  #isTaking = false;
  #isPaused = false;
  /** What came behind a `take` that waits. */
  #waiting: (() => void)[] | null = null;
  /** Data that came before the `take` of its session. */
  #early: (() => void)[] = [];
  #told = -1;
  /** From this whole mark on there are states of this session; of a replay from its begin. */
  #wholeAt = 0;
  /** By how much the monitor's clock is ahead. */
  #aheadUs = 0;
  /** Of our own clock, as the session began. */
  #ownAheadMs = 0;
  /** [OS7] Null: data comes over links. */
  #dataFolder: DataFolderReader | null = null;
  #restored: Restored | null = null;

  private constructor(options: IntakeOptions, recording: Recording) {
    this.#options = options;
    this.recording = recording;
    this.#known = new KnownUntil(options.folder, options.log);
  }

  /** Throws an AgentError that says what to do. */
  static async open(options: IntakeOptions): Promise<Intake> {
    const { folder, monitor, hello, retention, log, nowMs, steadyMs } = options;
    const shape = isRecording(folder) ? readHead(folder) : hello;
    let intake: Intake | null = null;
    const recording = await Recording.open({
      folder,
      monitor,
      volumes: (hello ?? shape)?.volumes ?? [],
      generation: (shape ?? hello)?.generation ?? '',
      keepsBase: true,
      retention,
      nowMs,
      steadyMs,
      log,
      progress: () => intake?.progress(),
    });
    intake = new Intake(options, recording);
    await intake.#restore(true);
    return intake;
  }

  status(): Readonly<Record<string, unknown>> {
    const { recording } = this;
    return {
      monitor: this.#options.monitor,
      folder: this.#options.folder,
      linked: this.#control !== null,
      kept: recording.prefix.mark,
      base: recording.base,
      waiting: recording.waiting,
      storedBytes: recording.storedBytes,
      pendingBytes: recording.pendingBytes,
      fault: recording.fault,
      restored: this.#restored,
    };
  }

  /** Why it cannot be had, or null. */
  async greet(peer: Peer, hello: RecordHello): Promise<string | null> {
    if (hello.carries === 'data') {
      if (hello.session !== this.#session) return `session ${hello.session} does not run here`;
      this.#peers.add(peer);
      return null;
    }
    const { recording } = this;
    // What is tried to be written again and again would be waited for.
    if (recording.fault !== null && recording.isBusy)
      return storageFault(this.#options.folder, { code: recording.fault });
    const fault = this.#stranger(hello);
    if (fault !== null) return fault;
    for (const former of this.#peers) former.stop({ reason: 'another session was begun', again: true });
    this.#peers.clear();
    this.#isTaking = false;
    this.#session = hello.session;
    this.#control = peer;
    this.#peers.add(peer);
    const { dataFolder, session } = hello;
    this.#dataFolder = dataFolder === null ? null : new DataFolderReader(dataFolder, session, this.#options.log);
    this.#waiting = null;
    this.#early = [];
    if (hello.generation !== recording.generation) {
      this.#known.turn();
      await this.#known.settled();
    }
    // A fold that is under way ends with the head that it began with.
    while (recording.isBusy) await recording.settled();
    if (this.#control !== peer) return GONE;
    this.#takeGeneration(hello);
    while (recording.isBusy) await recording.settled();
    if (this.#control !== peer) return GONE;
    await this.#restore(false);
    if (this.#control !== peer) return GONE;
    const { standing: prefix, isWhole } = recording;
    this.#askedMs = this.#options.nowMs();
    peer.send(FRAME_KIND.recording, 0, 0, encodeRecordingState({ prefix, isWhole }));
    return null;
  }

  frame(peer: Peer, frame: Frame, body: Uint8Array): void {
    if (!this.#peers.has(peer)) return;
    if (this.#waiting) return void this.#waiting.push(() => this.frame(peer, frame, body));
    if (!this.#isTaking && peer !== this.#control) return this.#hold(peer, () => this.frame(peer, frame, body));
    if (frame.kind === FRAME_KIND.take && this.recording.isBusy)
      return void this.#later(() => this.frame(peer, frame, body));
    let fault: string | null;
    try {
      fault = this.#take(peer, frame.kind, frame.id, body);
    } catch (error) {
      const why = storageFault(this.#options.folder, error);
      if (why === null) throw error;
      return this.#trip(why, false);
    }
    if (fault !== null) this.#trip(fault);
    else if (this.recording.pendingBytes > PENDING_BYTES_MAX && !this.#isPaused) {
      this.#isPaused = true;
      for (const one of this.#peers) one.pause();
    }
    return undefined;
  }

  /** Data may overtake the word that says what comes: it belongs behind that. */
  #hold(peer: Peer, take: () => void): void {
    peer.pause();
    this.#early.push(take);
  }

  /** When nothing is being written: a base is not filled while a fold is brought into it. */
  async #later(take: () => void): Promise<void> {
    const waiting = [take];
    this.#waiting = waiting;
    for (const peer of this.#peers) peer.pause();
    while (this.recording.isBusy) await this.recording.settled();
    if (this.#waiting !== waiting) return;
    this.#waiting = null;
    for (const peer of this.#peers) peer.resume();
    for (const next of waiting) next();
  }

  disconnected(peer: Peer, reason: string): void {
    if (!this.#peers.delete(peer)) return;
    // A session that has lost one of its ways lacks what was on it.
    this.#trip(`a connection from ${peer.address} is gone: ${reason}`);
  }

  /** From time to time. */
  look(): void {
    const { recording } = this;
    recording.look();
    if (this.#isTaking && wasSet(this.#ownAhead(), this.#ownAheadMs)) return this.#trip('the recorder’s clock was set');
    if (this.#dataFolder === null || !this.#isTaking) return;
    const isFull = (): boolean => recording.pendingBytes > PENDING_BYTES_MAX;
    // A crash may take now what is removed there: the monitor keeps it until it is durable here.
    const fault = this.#dataFolder.look(isFull, (bytes) => recording.data(bytes));
    if (fault !== null) this.#trip(fault);
  }

  /** More is durable. */
  progress(): void {
    const { recording } = this;
    if (this.#isPaused && recording.pendingBytes < PENDING_BYTES_MAX / 2) {
      this.#isPaused = false;
      for (const one of this.#peers) one.resume();
    }
    const { mark } = recording.prefix;
    if (recording.wholeFrom >= this.#wholeAt) this.#known.reached(mark);
    if (mark === this.#told || !this.#isTaking) return;
    this.#told = mark;
    this.#control?.send(FRAME_KIND.kept, 0, mark);
  }

  async close(): Promise<void> {
    this.#isTaking = false;
    this.#control = null;
    await this.recording.close();
    this.#known.end();
    await this.#known.settled();
  }

  #take(peer: Peer, kind: number, id: number, body: Uint8Array): string | null {
    const { recording } = this;
    if (kind === FRAME_KIND.take && peer === this.#control) return this.#begin(body);
    if (!this.#isTaking && peer === this.#control) return 'a monitor has to say first what it sends';
    if (kind === FRAME_KIND.control) return recording.control(body);
    if (kind === FRAME_KIND.data) return recording.data(body);
    if (kind === FRAME_KIND.whole) {
      if (id > recording.prefix.mark) return `mark ${id} is whole, and ${recording.prefix.mark} is all that is here`;
      recording.whole(id, body.length === 0 ? undefined : decodeKnown(body) - this.#aheadUs / 1000);
      this.#wholeAt = id;
      return null;
    }
    if (kind === FRAME_KIND.known) {
      if (wasSet(this.#ownAhead(), this.#ownAheadMs)) return 'the recorder’s clock was set';
      const aheadMs = decodeAhead(body);
      if (aheadMs !== null && Math.abs(aheadMs * 1000 - this.#aheadUs) >= CLOCK_NOISE_US)
        return 'its clock is not what it was taken for';
      const timeUs = decodeKnown(body) * 1000 - this.#aheadUs;
      // Of what has not been yet nobody knows anything: its clock goes faster, or was set just now.
      if (timeUs > this.#options.nowMs() * 1000 + CLOCK_NOISE_US) return null;
      this.#known.come(id, timeUs);
      this.progress();
      return null;
    }
    return `a frame of kind ${kind}, which a recorder does not take`;
  }

  #begin(body: Uint8Array): string | null {
    const take = decodeTake(body);
    const { how, from } = take;
    const { recording } = this;
    const { mark, chain } = recording.standing;
    if (how === 'replay' && (from.mark !== mark || from.chain !== chain))
      return `mark ${from.mark} is not where it ends here`;
    if (how === 'replay') recording.resume();
    else {
      if (recording.isWhole && from.mark > mark) {
        this.#options.log(
          `marks ${mark + 1} to ${from.mark} were missed: they are a gap, until the volumes are compared`,
        );
        const known = this.#known.until;
        // One that lies in the future is of a clock that was set.
        const isSure = known.mark === mark && known.timeUs > 0 && known.timeUs <= this.#options.nowMs() * 1000;
        if (isSure) recording.endAt(mark, known.timeUs);
      }
      if (how === 'base' && !recording.isWhole) recording.fill(from.mark);
      recording.startAt(from.mark, from.chain);
    }
    this.#noteClock(take);
    this.#wholeAt = how === 'replay' ? 0 : Infinity;
    this.#known.begin();
    this.#isTaking = true;
    this.#told = -1;
    this.#options.log(
      `recording behind mark ${from.mark}${how === 'replay' ? '' : `, with ${how === 'base' ? 'all of the volumes' : 'what has changed'}`}`,
      true,
    );
    this.progress();
    for (const peer of this.#peers) peer.resume();
    for (const next of this.#early.splice(0)) next();
    return null;
  }

  /** [HI6] */
  #noteClock({ from, clockMs, newest = { mark: from.mark, stampMs: clockMs } }: Take): void {
    const { recording } = this;
    const nowMs = this.#options.nowMs();
    this.#ownAheadMs = this.#ownAhead();
    // What is not known now is as it was, until it is said.
    const isTold = clockMs > 0;
    const former = aheadAt(recording.clocks, Infinity) / 1000;
    const aheadMs = isTold ? Math.round(clockAhead(clockMs, this.#askedMs, nowMs)) : former;
    recording.clock(from, BigInt(Math.round(aheadMs)) * 1_000_000n);
    const { mark, timeUs } = this.#known.until;
    const note = clockNote(recording.clocks, {
      mark: from.mark,
      aheadUs: aheadMs * 1000,
      newest: newest.mark,
      stampAheadUs: isTold ? (newest.stampMs - clockMs) * 1000 : 0,
      nowUs: nowMs * 1000,
      known: { mark, timeUs: timeUs > 0 ? timeUs : timeOf(recording.folder, mark) },
    });
    if (note) recording.noteClock(note);
    this.#aheadUs = aheadAt(recording.clocks, Infinity);
    if (!note?.unclear) return;
    const seconds = (this.#aheadUs / 1e6).toFixed(0);
    const what = `its clock was set, or ours: it is ${seconds} s ahead of ours now`;
    this.#options.log(`${what}; ${unclearText({ from: note.mark, ...note.unclear })}`);
  }

  #ownAhead(): number {
    return this.#options.nowMs() - this.#options.steadyMs();
  }

  /** Why it can be no monitor of this recording, or null. */
  #stranger(hello: RecordHello): string | null {
    const ours = { generation: this.recording.generation, ancestry: [] };
    const { kin } = kinship(hello, ours);
    if (kin === 'same' || kin === 'successor') return null;
    return `the recording here is of generation ${short(ours.generation)}, and ${short(hello.generation)} does not come from it: remove the folder ${this.#options.folder}, or name another store`;
  }

  /** [HI5] Beyond the branch nothing counts that is here: behind a gap there may be marks that no prefix reaches. */
  #takeGeneration(hello: RecordHello): void {
    const { recording } = this;
    const kin = kinship(hello, { generation: recording.generation, ancestry: [] });
    if (kin.kin !== 'successor') return;
    const { mark } = kin.until;
    if (recording.prefix.mark > mark) {
      this.#options.log(
        `marks ${mark + 1} to ${recording.prefix.mark} were given up by a takeover: they can be restored no more`,
      );
    }
    this.#known.cut(mark);
    recording.branch(hello.generation, kin.until);
  }

  /** `again`: at once; else when it has been seen to. */
  #trip(reason: string, again = true): void {
    if (this.#control === null) return;
    this.#options.log(`session ends: ${reason}`);
    this.#isTaking = false;
    this.#control = null;
    this.#known.end();
    for (const peer of this.#peers) peer.stop({ reason, again });
    this.#peers.clear();
  }

  /** [HI7] */
  async #restore(isThorough: boolean): Promise<void> {
    const { logFolder, log } = this.#options;
    if (logFolder === null) return;
    try {
      const restored = await restoreFrom(this.recording, logFolder, isThorough);
      if (restored.control + restored.data === 0) return;
      this.#restored = restored;
      log(
        `${restored.control} records of control and ${restored.data} of data were restored from the log device ${logFolder}`,
        true,
      );
    } catch (error) {
      log(`nothing can be restored from the log device: ${(error as Error).message}`);
    }
  }
}
