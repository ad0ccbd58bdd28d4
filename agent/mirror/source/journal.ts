/**
 * A source's journal as main sees it: entries go in, callbacks tell how far they are, room is freed behind them. Main
 * calls no disk here; the journal thread and the volume thread do.
 *
 * A place in the window may be overwritten when its entry is durable in the file and, unless the volume thread is away,
 * on the send volume; a place in the file, when it is on flushed send volumes and `free` has passed it.
 */
import { AgentError } from '../../base/errors.ts';
import type { LagClock } from '../core/lag-clock.ts';
import { HUNG_MS } from '../core/stand-watch.ts';
import { sleep, type Cancel, type Files, type Machine, type Thread } from '../machine.ts';
import { systemMachine } from '../system-machine.ts';
import { allocateJournal, JOURNAL_WORD, JournalMemory } from '../store/journal-memory.ts';
import { writeBytesMax, type RingPlace } from '../store/ring.ts';
import { JOURNAL_STATE, type JournalSuper } from '../store/superblock.ts';
import type { ThreadWord, VolumeWord } from '../threads/context.ts';
import type { CutBlocks } from '../threads/cut-image.ts';
import type { Image } from '../threads/volume-loop.ts';
import { ENTRY, ENTRY_KIND, type EntryKind } from '../wire/entry.ts';
import { Appender, type Appended } from './appender.ts';
import { DurableWaits } from './durable-waits.ts';
import { LiveSuper, type Lasting, type StandDown } from './live-super.ts';
import { openJournal, type OpenedJournal } from './open-journal.ts';
import type { PendingIndex } from './pending.ts';

export interface SourceJournalOptions {
  readonly path: string;
  /** The send volumes' paths, by index in the group. */
  readonly volumes: readonly string[];
  /** False: a flush only for those who wait for one, and now and then. */
  readonly flushAlways?: boolean;
  /** A volume thread that stands still for so long with work before it is away ([CY8]). */
  readonly awayAfterMs?: number;
  /** A journal that takes nothing for so long fails those who wait. */
  readonly failAfterMs?: number;
}

export interface JournalEvents {
  /** There is room again after an append that was refused. */
  room(): void;
  /** Some position or errno is not as it was. */
  progress(): void;
  /** A thread died: nothing more will happen. */
  fatal(error: Error): void;
}

/** Positions in the ring, and what is wrong. */
export interface JournalStatus {
  readonly head: number;
  readonly durable: number;
  readonly stored: number;
  readonly flushed: number;
  readonly tail: number;
  /** 0 when all is well. */
  readonly journalErrno: number;
  readonly volumeErrno: number;
  /** The send volume does not keep up, or fails: reads are served from the journal. */
  readonly isAway: boolean;
  /** For how long each has stood still with work before it, in ms: a call that hangs tells no errno. */
  readonly journalHungMs: number;
  readonly volumeHungMs: number;
}

type Done = (errno: number) => void;

const WATCH_MS = 50;
const VOLUME_FLUSH_MS = 1000;
/** For a thread to run and to have opened the journal: on a machine with much other work the first alone took more than ten. */
const START_MS = 40_000;
const STOP_MS = 10_000;
const END_MS = 1000;
/** A volume that got on by nothing for so long is not waited for at a stop: the next start brings it what it lacks. */
const GIVE_UP_MS = 2500;
const EIO = 5;

export class SourceJournal {
  readonly superblock: JournalSuper;
  readonly pending: PendingIndex;
  /** When that was written which a start found, by the clock that is never set. */
  readonly written: LagClock;
  readonly #memory: JournalMemory;
  readonly #appender: Appender;
  readonly #super: LiveSuper;
  readonly #journalThread: Thread;
  readonly #volumeThread: Thread;
  readonly #events: JournalEvents;
  readonly #options: Required<SourceJournalOptions>;
  readonly #machine: Machine;
  readonly #stopWatch: Cancel;
  readonly #lock: ReturnType<Files['lock']>;
  readonly #waits: DurableWaits = new DurableWaits();
  readonly #images = new Map<number, (image: Image) => void>();
  #imageId = 0;
  #durable: number;
  #journalFlushes = 0;
  #stored: number;
  #flushed: number;
  #freed: number;
  #isDirty = false;
  #isRefusing = false;
  /** The first append that found no room, and since when; an append as large ends it. */
  #refused: { readonly bytes: number; readonly sinceMs: number } | null = null;
  #isAway = true;
  #storedMs = 0;
  /** When the volume thread last got on. */
  #volumeMs: number;
  #volumeFlushMs = 0;
  /** Since when everything is well, or what was done last. */
  #journalGoodMs: number;
  #hasFailed = false;
  #isClosing = false;
  #closed: Promise<void> | null = null;

  private constructor(
    options: Required<SourceJournalOptions>,
    opened: OpenedJournal,
    lock: ReturnType<Files['lock']>,
    events: JournalEvents,
    machine: Machine,
  ) {
    const { superblock, end, pending, milestones } = opened;
    this.#lock = lock;
    this.#machine = machine;
    this.#volumeMs = machine.clock.monotonicMs();
    this.#journalGoodMs = this.#volumeMs;
    this.superblock = superblock;
    this.pending = pending;
    this.written = opened.written.moved(this.#volumeMs - machine.clock.wallMs(), this.#volumeMs);
    this.#options = options;
    this.#events = events;
    const shared = allocateJournal(superblock);
    const memory = new JournalMemory(shared);
    this.#memory = memory;
    this.#super = new LiveSuper(memory, superblock, milestones);
    const { tailPosition, generation } = superblock;
    this.#appender = new Appender(memory, generation, end, tailPosition, () => wallNs(machine));
    // Beyond that, a power cut may yet take what recovery found: the journal thread flushes it first.
    const { durablePosition } = superblock;
    this.#durable = durablePosition;
    this.#stored = tailPosition;
    this.#flushed = tailPosition;
    this.#freed = tailPosition;
    memory.publish(JOURNAL_WORD.durable, durablePosition);
    memory.publish(JOURNAL_WORD.flushWanted, end.position);
    for (const word of ['stored', 'flushed', 'volumeFlushWanted'] as const) {
      memory.publish(JOURNAL_WORD[word], tailPosition);
    }
    memory.set(JOURNAL_WORD.flushAlways, options.flushAlways ? 1 : 0);
    const journalPath = options.path;
    this.#journalThread = machine.threads.journal({ shared, journalPath, generation, end: end.position });
    const start = { position: tailPosition, mark: superblock.tailMark - 1, volumeCount: options.volumes.length };
    const volumes = superblock.volumes.map(({ bytes }, i) => ({ path: options.volumes[i] ?? '', bytes }));
    this.#volumeThread = machine.threads.volume({ shared, journalPath, volumes, start });
    for (const thread of [this.#journalThread, this.#volumeThread]) {
      thread.on('message', (word: ThreadWord) => this.#hear(word));
      thread.on('error', (error) => this.#died(error));
      thread.on('exit', () => this.#died(new AgentError('died', 'a thread of the journal has ended')));
    }
    this.#stopWatch = machine.timers.every(WATCH_MS, () => this.#watch());
  }

  /** Reads the journal and starts its threads. What the send volumes lack is brought to them while it already serves. */
  static async open(
    options: SourceJournalOptions,
    events: JournalEvents,
    machine: Machine = systemMachine,
  ): Promise<SourceJournal> {
    const lock = machine.files.lock(options.path);
    const journal = attempt(lock, () => {
      const opened = openJournal(options.path, machine.files.open(options.path));
      const { volumes } = opened.superblock;
      if (volumes.length !== options.volumes.length) {
        const what = `${volumes.length} volumes, not ${options.volumes.length}`;
        throw new AgentError('volume', `journal ${options.path} is for ${what}: name them as it was made`);
      }
      const all = { flushAlways: true, awayAfterMs: 1000, failAfterMs: 10_000, ...options };
      return new SourceJournal(all, opened, lock, events, machine);
    });
    const isReady = () => journal.#memory.get(JOURNAL_WORD.journalReady) === 1;
    await journal.#until(isReady, START_MS);
    if (!isReady()) {
      await journal.#stop();
      throw new AgentError(
        'volume',
        `journal ${options.path} does not take anything within ${START_MS / 1000} s: check its storage, or whether the machine has too much to do`,
      );
    }
    journal.#super.put(JOURNAL_STATE.consistent, journal.#durable, null);
    return journal;
  }

  /**
   * Appends one entry; null when there is no room now (`room` will say when to try again) or when the journal has failed.
   * `chunks`: the payload of `length` bytes, copied before this returns; none for zeroes, trims and seals.
   */
  append(
    kind: EntryKind,
    volume: number,
    offset: number,
    length: number,
    chunks?: readonly Uint8Array[],
    flags?: number,
  ): Appended | null {
    if (this.#hasFailed || this.#isClosing) return null;
    const appender = this.#appender;
    const { tail } = this.#super;
    if (tail.wants(appender.head)) tail.note(appender.place);
    const put = appender.append(kind, volume, offset, length, chunks, flags);
    const bytes = chunks ? length : 0;
    if (put === null) {
      this.#refused ??= { bytes, sinceMs: this.#nowMs };
      this.#refuse();
      return null;
    }
    if (this.#refused && bytes >= this.#refused.bytes) this.#refused = null;
    if (kind !== ENTRY_KIND.seal) {
      const isZero = kind !== ENTRY_KIND.write;
      this.pending.add({ volume, offset, length, position: put.position, end: put.end, isZero });
    }
    if (!this.#isDirty) {
      this.#isDirty = true;
      queueMicrotask(() => this.#publish());
    }
    return put;
  }

  /** The number of the open cycle: entries from now on bear it. */
  set cycle(cycle: number) {
    this.#appender.cycle = cycle;
  }

  /** Calls `done` when everything before `end` is durable, or with an errno when that has failed. */
  whenDurable(end: number, done: Done): void {
    if (end <= this.#durable) return done(0);
    if (this.#hasFailed) return done(EIO);
    this.#waits.add(end, done);
    if (this.#options.flushAlways) return;
    const memory = this.#memory;
    if (memory.position(JOURNAL_WORD.flushWanted, this.#durable) >= end) return;
    memory.publish(JOURNAL_WORD.flushWanted, end);
    if (!this.#isDirty) memory.ring(JOURNAL_WORD.journalBell);
  }

  /** Nobody but the send volumes needs entries before `position` any more: a target has them, or marks in its bitmap. */
  free(position: number): void {
    // Never beyond what there is: somebody may need what comes.
    this.#freed = Math.max(this.#freed, Math.min(position, this.#appender.head));
  }

  /** Somebody needs what lies behind `position` again, though it was let go of. False when it is too late. */
  keepFrom(position: number): boolean {
    if (position < this.#super.tail.soon) return false;
    this.#freed = Math.min(this.#freed, position);
    return true;
  }

  /** Reads blocks of the send volumes as they are behind all that was appended before this call ([MI7]). */
  cut(cut: CutBlocks, done: (image: Image) => void): void {
    this.#command({ id: ++this.#imageId, at: this.#appender.head, cut }, done);
  }

  /** Reads a range of a send volume as it is just now; the image says behind which mark ([MI12]). */
  imageNow(volume: number, offset: number, length: number, done: (image: Image) => void): void {
    this.#command({ id: ++this.#imageId, at: null, volume, offset, length }, done);
  }

  get status(): JournalStatus {
    const memory = this.#memory;
    return {
      head: this.#appender.head,
      durable: this.#durable,
      stored: memory.position(JOURNAL_WORD.stored, this.#stored),
      flushed: this.#flushed,
      tail: this.#super.tail.position,
      journalErrno: memory.get(JOURNAL_WORD.journalErrno),
      volumeErrno: memory.get(JOURNAL_WORD.volumeErrno),
      isAway: this.#isAway,
      journalHungMs: this.#hungMs(this.#journalGoodMs),
      volumeHungMs: this.#hungMs(this.#storedMs),
    };
  }

  /** Since when it has not got on: no news below what is usual. */
  #hungMs(goodMs: number): number {
    const ms = this.#machine.clock.monotonicMs() - goodMs;
    return ms > HUNG_MS ? ms : 0;
  }

  /** Why it serves no writes, or null. */
  get down(): StandDown | null {
    return this.#super.down;
  }

  /** Says so in the superblock, from now on and at each start. Resolves when that is durable; rejects when it cannot be made so. */
  async keep(change: Partial<Lasting>): Promise<void> {
    this.#super.keep(change);
    const endMs = this.#nowMs + STOP_MS;
    // No await between the last look and the put: others put some too.
    while (this.#super.isWriting && this.#nowMs < endMs) await sleep(this.#machine, 2);
    if (!this.#super.isWriting && !this.#isClosing) {
      this.#super.put(JOURNAL_STATE.consistent, this.#durable, null);
      await this.#until(() => !this.#super.isWriting, STOP_MS);
      if (!this.#super.isWriting) return;
    }
    throw new AgentError('volume', `journal ${this.#options.path} takes nothing: check its storage`);
  }

  /** All that was appended is durable, and on the flushed send volumes. */
  get isAtRest(): boolean {
    const { head } = this.#appender;
    return this.#durable >= head && this.#memory.position(JOURNAL_WORD.flushed, this.#flushed) >= head;
  }

  get path(): string {
    return this.#options.path;
  }

  get hasFailed(): boolean {
    return this.#hasFailed;
  }

  get isAway(): boolean {
    return this.#isAway;
  }

  /** How long something has found no room; 0 when nothing waits for any. */
  get refusedForMs(): number {
    return this.#refused ? this.#nowMs - this.#refused.sinceMs : 0;
  }

  /** Bytes of the ring that no target keeps. */
  get unkeptBytes(): number {
    return this.superblock.ringBytes - Math.max(0, this.#appender.head - this.#freed);
  }

  /** What is on the flushed send volumes. */
  get flushed(): number {
    return this.#flushed;
  }

  /** What is durable in the file. */
  get durable(): number {
    return this.#durable;
  }

  /** What is on the send volumes. */
  get stored(): number {
    return this.#memory.position(JOURNAL_WORD.stored, this.#stored);
  }

  /** Where the next entry goes. */
  get head(): number {
    return this.#appender.head;
  }

  /** Longer writes go in several entries. */
  get writeBytesMax(): number {
    return writeBytesMax(this.superblock);
  }

  get ringBytes(): number {
    return this.superblock.ringBytes;
  }

  get windowBytes(): number {
    return this.superblock.windowBytes;
  }

  /** What is behind everything that was appended. */
  get end(): RingPlace {
    return this.#appender.place;
  }

  /** The oldest place that is kept. */
  get oldest(): RingPlace {
    return this.#super.tail.oldest;
  }

  /** The last noted place at or before `mark`; null when the ring does not go back so far. */
  placeBefore(mark: number): RingPlace | null {
    return this.#super.tail.beforeMark(mark);
  }

  /** What the window holds from `position` to its boundary; null when it has been written over. */
  windowFrom(position: number): Uint8Array | null {
    if (position < this.#appender.windowStart) return null;
    const { window, windowBytes } = this.#memory;
    return window.subarray(position % windowBytes);
  }

  /** `length` bytes of the entry at `position`, from `from` on in its payload; null when the window has lost it. */
  inWindow(position: number, from: number, length: number): Uint8Array | null {
    if (position < this.#appender.windowStart) return null;
    const { window, windowBytes } = this.#memory;
    const at = (position % windowBytes) + ENTRY.bytes + from;
    return window.subarray(at, at + length);
  }

  /** Whether the place in the file is still that of the entry at `position`. */
  inFile(position: number): boolean {
    return position >= this.#appender.head - this.superblock.ringBytes && position >= this.#super.tail.position;
  }

  /**
   * Everything that was appended is made durable and, if they answer, brought to the flushed send volumes. `beforeClean`: called
   * before the journal says that it was stopped in order, if it can.
   */
  async close(beforeClean: (end: RingPlace) => void = () => {}): Promise<void> {
    this.#closed ??= this.#close(beforeClean);
    return this.#closed;
  }

  async #close(beforeClean: (end: RingPlace) => void): Promise<void> {
    // A thread that died has ended everything already.
    if (this.#isClosing) return this.#stop();
    this.#isClosing = true;
    this.#volumeMs = this.#nowMs;
    this.#publish();
    const { head } = this.#appender;
    this.#memory.set(JOURNAL_WORD.flushAlways, 1);
    this.#memory.ring(JOURNAL_WORD.journalBell);
    this.flushVolumes(head);
    const isAtRest = () => this.#flushed >= head || this.#nowMs - this.#volumeMs > GIVE_UP_MS;
    await this.#until(() => this.#durable >= head && isAtRest(), STOP_MS);
    // One at a time: the thread writes it from shared memory.
    await this.#until(() => !this.#super.isWriting, STOP_MS);
    if (this.#durable >= head && !this.#super.isWriting) {
      beforeClean(this.end);
      this.#super.put(JOURNAL_STATE.clean, this.#durable, this.#freeable());
    }
    await this.#until(() => !this.#super.isWriting, STOP_MS);
    await this.#stop();
    this.#failAll();
  }

  #command(command: VolumeWord, done: (image: Image) => void): void {
    this.#images.set(command.id, done);
    this.#volumeThread.postMessage(command);
    Atomics.add(this.#memory.words, JOURNAL_WORD.commands, 1);
    this.#memory.ring(JOURNAL_WORD.volumeBell);
  }

  /** Once a turn: the threads see all that was appended in it. */
  #publish(): void {
    if (!this.#isDirty) return;
    this.#isDirty = false;
    this.#appender.publish();
    this.#memory.ring(JOURNAL_WORD.journalBell);
  }

  #refuse(): void {
    this.#isRefusing = true;
    this.#memory.set(JOURNAL_WORD.storedWatched, 1);
    this.#look();
  }

  #hear(word: ThreadWord): void {
    if (word !== 0) {
      const done = this.#images.get(word.id);
      this.#images.delete(word.id);
      return done?.(word);
    }
    this.#memory.set(JOURNAL_WORD.told, 0);
    this.#look();
    this.#waits.answer(this.#durable);
    if (this.#isRefusing) this.#offerRoom();
    this.#events.progress();
  }

  /** Takes over how far the threads are. */
  #look(): void {
    const memory = this.#memory;
    const appender = this.#appender;
    this.#durable = memory.position(JOURNAL_WORD.durable, this.#durable);
    const stored = memory.position(JOURNAL_WORD.stored, this.#stored);
    if (stored !== this.#stored || stored >= this.#durable) this.#storedMs = this.#nowMs;
    const flushed = memory.position(JOURNAL_WORD.flushed, this.#flushed);
    if (stored > this.#stored || flushed > this.#flushed) this.#volumeMs = this.#nowMs;
    this.#stored = stored;
    if (flushed > this.#flushed) this.pending.dropBefore(flushed);
    this.#flushed = flushed;
    this.#judgeVolume();
    appender.durable = this.#durable;
    appender.windowFloor = this.#isAway ? this.#durable : Math.min(this.#durable, stored);
    this.#moveTail();
    appender.ringFloor = this.#super.tail.position;
  }

  /** [CY8] Away: it fails, or it stands still with work before it; until it has caught up with the window. */
  #judgeVolume(): void {
    const isFailing = this.#memory.get(JOURNAL_WORD.volumeErrno) !== 0;
    const isStanding = this.#nowMs - this.#storedMs > this.#options.awayAfterMs;
    const isBehind = this.#isAway && this.#stored < this.#appender.windowStart;
    this.#isAway = isFailing || isStanding || isBehind;
  }

  /** The last place before which nobody needs anything. */
  #freeable(): RingPlace | null {
    const position = Math.min(this.#flushed, this.#freed);
    if (position >= this.#appender.head) return this.#appender.place;
    return this.#super.tail.before(position);
  }

  get #nowMs(): number {
    return this.#machine.clock.monotonicMs();
  }

  #moveTail(): void {
    const { isWriting, tail } = this.#super;
    if (isWriting) return;
    tail.written();
    if (this.#isClosing) return;
    const milestone = this.#freeable();
    const gain = (milestone?.position ?? 0) - tail.position;
    const isWorth = this.#isRefusing ? gain > 0 : gain >= this.superblock.ringBytes / 16;
    if (milestone && isWorth) this.#super.put(JOURNAL_STATE.consistent, this.#durable, milestone);
  }

  /** The send volumes are to be flushed at least up to here. */
  flushVolumes(position: number): void {
    const memory = this.#memory;
    if (memory.position(JOURNAL_WORD.volumeFlushWanted, this.#flushed) >= position) return;
    this.#volumeFlushMs = this.#nowMs;
    memory.publish(JOURNAL_WORD.volumeFlushWanted, position);
    memory.ring(JOURNAL_WORD.volumeBell);
  }

  #offerRoom(): void {
    const unflushed = this.#stored - this.#flushed;
    const isRingShort = this.#appender.head - this.#super.tail.position > this.superblock.ringBytes / 2;
    if (unflushed > 0 && isRingShort) this.flushVolumes(this.#stored);
    if (!this.#appender.hasRoom(0)) return;
    this.#isRefusing = false;
    this.#memory.set(JOURNAL_WORD.storedWatched, 0);
    this.#events.room();
  }

  /** What no word of a thread calls for: flushes of the volumes, and what stands still. */
  #watch(): void {
    this.#look();
    if (this.#isRefusing) this.#offerRoom();
    const nowMs = this.#nowMs;
    const unflushed = this.#stored - this.#flushed;
    const isOld = unflushed > 0 && nowMs - this.#volumeFlushMs >= VOLUME_FLUSH_MS;
    if (isOld || unflushed >= this.superblock.ringBytes / 8) this.flushVolumes(this.#stored);
    if (this.#isJournalGood()) {
      this.#journalGoodMs = nowMs;
      this.#hasFailed = false;
    } else if (nowMs - this.#journalGoodMs > this.#options.failAfterMs) {
      this.#failAll();
    }
  }

  /** It has flushed since the last look, or has nothing to flush: a call that hangs tells no errno. */
  #isJournalGood(): boolean {
    const flushes = this.#memory.get(JOURNAL_WORD.journalFlushes);
    const isMoving = flushes !== this.#journalFlushes || this.#durable >= this.#appender.head;
    this.#journalFlushes = flushes;
    return isMoving && this.#memory.get(JOURNAL_WORD.journalErrno) === 0;
  }

  #failAll(): void {
    this.#hasFailed = true;
    this.#waits.fail(EIO);
    if (this.#isRefusing) this.#events.room();
  }

  #died(error: Error): void {
    if (this.#isClosing) return;
    this.#isClosing = true;
    this.#stopWatch();
    this.#failAll();
    this.#events.fatal(error);
  }

  async #until(isDone: () => boolean, boundMs: number): Promise<void> {
    const endMs = this.#nowMs + boundMs;
    while (!isDone() && this.#nowMs < endMs) await sleep(this.#machine, 2);
  }

  async #stop(): Promise<void> {
    this.#isClosing = true;
    this.#stopWatch();
    this.#memory.set(JOURNAL_WORD.stop, 1);
    this.#memory.ring(JOURNAL_WORD.journalBell);
    this.#memory.ring(JOURNAL_WORD.volumeBell);
    await Promise.all([this.#journalThread, this.#volumeThread].map(async (thread) => this.#ended(thread)));
    this.#lock.close();
  }

  /** A thread that hangs in its storage does not hold up the end of the process for ever. */
  async #ended(thread: Thread): Promise<void> {
    const exit = new Promise<void>((resolve) => thread.once('exit', () => resolve()));
    const late = new Promise<void>((resolve) => this.#machine.timers.idly(END_MS, resolve));
    await Promise.race([exit, late]);
  }
}

function attempt<T>(lock: { close(): void }, action: () => T): T {
  try {
    return action();
  } catch (error) {
    lock.close();
    throw error;
  }
}

const wallNs = ({ clock }: Machine): bigint => BigInt(Math.round(clock.wallMs() * 1000)) * 1000n;
