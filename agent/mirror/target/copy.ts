/**
 * What a target holds: arrivals in order, what of them is committed, the cut that the receive volumes show; and how one cut
 * follows another. Knows no connection.
 *
 * [MI9] Before the receive volumes are touched a superblock is durable whose sequence is odd and which names what is
 * committed; entries up to there stay in the ring until a superblock with the new cut, and an even sequence, is durable. So a
 * start that finds `committed` beyond the cut applies again what lies between, from the first entry on.
 *
 * [MI12] A staged comparison has a book of its own beside the copy's: what it brings lies in the same ring, behind `basePosition`,
 * and changes nothing before R. Then its list is the intent, and with R's superblock its book becomes the copy's. A session that
 * ends before leaves the copy's book as it was.
 */
import { sameBytes } from '../../base/bytes.ts';
import { Receiver, type Arrival } from '../core/receiver.ts';
import type { Point } from '../core/meeting.ts';
import { ETIMEDOUT } from '../core/stand-watch.ts';
import { payloadBytesMax, type RingSize } from '../store/ring.ts';
import {
  JOURNAL_STATE,
  type JournalAncestor,
  type JournalState,
  type JournalVolume,
  POLICY,
  type Policy,
} from '../store/superblock.ts';
import type { JournalMemory } from '../store/journal-memory.ts';
import type { ApplyCommand, ApplyReport } from '../threads/apply-loop.ts';
import { chainAt, ENTRY, ENTRY_KIND, type Entry } from '../wire/entry.ts';
import type { CheckpointBlock } from '../wire/checkpoint.ts';
import { heldFrom, type Checkpoint } from './checkpoint-intake.ts';
import { GENERATION_BYTES } from '../wire/layout.ts';
import { Arrivals, type Kept } from './arrivals.ts';
import { CutGate } from './cut-gate.ts';
import type { Found, HeldArrival } from './recover.ts';
import type { ShownLog } from './shown-log.ts';
import type { TransferFacts } from './transfer.ts';

export interface CopyParts {
  /** To the apply thread. */
  apply(command: ApplyCommand): void;
  /** The receive volumes show this cut, durably. */
  applied(cut: number): void;
  /** Blocks that could not be brought to this cut, which is not shown: their bytes are needed. */
  wanted(cut: number, blocks: readonly CheckpointBlock[]): void;
  /** What a comparison has written onto the receive volumes may be gone: it is no use to go on with it. */
  imagesLost(): void;
  log(line: string): void;
}

/** How a session begins: checked, and not refused. */
export interface NewSession {
  readonly session: number;
  readonly generation: Uint8Array;
  readonly ancestry: readonly JournalAncestor[];
  readonly policy: Policy;
  readonly from: Point;
  /**
   * `in place`: the target is no copy, or gives up to be one, and begins to be one at `from`. `staged`: it stays at its cut until
   * all is there that brings it to a later one.
   */
  readonly how: 'replay' | 'in place' | 'staged';
}

/** What a staged comparison has brought. */
interface Staged {
  readonly receiver: Receiver;
  readonly generation: Uint8Array;
  readonly ancestry: readonly JournalAncestor[];
  /** Where it begins in the ring. */
  readonly position: number;
}

export class Copy {
  readonly arrivals: Arrivals;
  readonly gate: CutGate = new CutGate();
  readonly volumes: readonly JournalVolume[];
  readonly ring: RingSize;
  readonly #parts: CopyParts;
  /** Who records what is shown; null: nobody. */
  #log: ShownLog | null;
  /** The last arrival found no room in the file. */
  #isCramped = false;
  readonly #payloadBytesMax: number;
  /** The copy's own. */
  #receiver: Receiver;
  #staged: Staged | null = null;
  #session: number;
  #generation: Uint8Array;
  #ancestry: readonly JournalAncestor[];
  #isTakenOver: boolean;
  /** Of the entry at the cut: what a source that this becomes goes on from. */
  #cutTime: bigint;
  #cutCycle: number;
  #policy: Policy;
  #isConsistent: boolean;
  /** In a comparison: the mark at which all of the source is here. */
  #wholeAt: number | null = null;
  #sessionPosition: number;
  #sessionMark: number;
  #rollTo = 0;
  #applyId = 0;
  #applyingTo: number | null = null;
  /** The receive volumes are, or may be, between two cuts: the superblock says so. */
  #isMixed = false;
  /** The next cut by its blocks; they are verified first. */
  #checkpoint: Checkpoint | null = null;
  #isVerifying = false;
  #applyJournalErrno = 0;
  #volumesErrno = 0;
  #isHung = { journal: false, volumes: false };

  constructor(
    memory: JournalMemory,
    { superblock, end, arrivals, staged }: Found,
    parts: CopyParts,
    log: ShownLog | null = null,
  ) {
    this.#parts = parts;
    this.#log = log;
    this.volumes = superblock.volumes;
    this.ring = { ringBytes: superblock.ringBytes, windowBytes: superblock.windowBytes };
    this.#payloadBytesMax = payloadBytesMax(memory);
    this.#generation = superblock.generation;
    this.#ancestry = superblock.ancestry;
    this.#isTakenOver = superblock.state === JOURNAL_STATE.takenOver;
    this.#cutTime = superblock.tailTime;
    this.#cutCycle = superblock.tailCycle;
    this.#policy = superblock.policy;
    this.#isConsistent = superblock.state === JOURNAL_STATE.consistent || this.#isTakenOver;
    this.#sessionPosition = superblock.sessionPosition;
    this.#sessionMark = superblock.sessionMark;
    const { session, committed, baseMark, baseChain, baseGeneration, basePosition } = superblock;
    this.#session = session;
    const cut = { mark: superblock.cut, chain: superblock.cutChain };
    // Beside a comparison that was committed, `committed` is of that.
    const own = staged ? cut.mark : committed;
    this.#receiver = new Receiver({ session, cut, committed: own }, chainOf, staged ? [] : arrivals);
    if (staged) {
      const base = { mark: baseMark, chain: baseChain };
      const receiver = new Receiver({ session, cut: base, committed }, chainOf, staged.arrivals, staged.images);
      this.#staged = { receiver, generation: baseGeneration, ancestry: superblock.ancestry, position: basePosition };
      this.#wholeAt = committed;
    }
    // A comparison broke off with the process: what it brought is no part of the copy's book.
    if (basePosition > 0 && !staged) [this.#sessionPosition, this.#sessionMark] = [end, this.#receiver.prefix.mark];
    this.arrivals = new Arrivals(memory, superblock, end, () => this.#kept());
  }

  /** Applies what was committed before the start. Until then nobody sees volumes that may be between two cuts. */
  start(): void {
    const { committed, cut } = this.receiver;
    if (committed <= cut.mark) return;
    this.gate.shut(() => {});
    this.roll(committed);
  }

  /** The book of the session that runs: a comparison's own while one is staged. */
  get receiver(): Receiver {
    return this.#staged?.receiver ?? this.#receiver;
  }

  /** The book of the copy that the volumes show. */
  get shown(): Receiver {
    return this.#receiver;
  }

  /** The highest session that was begun. */
  get session(): number {
    return this.#session;
  }

  /** A comparison is staged beside the copy. */
  get isStaged(): boolean {
    return this.#staged !== null;
  }

  /** Of the copy that the volumes show. */
  get generation(): Uint8Array {
    return this.#generation;
  }

  get ancestry(): readonly JournalAncestor[] {
    return this.#ancestry;
  }

  /** It has a generation of its own: no source writes here any more. */
  get isTakenOver(): boolean {
    return this.#isTakenOver;
  }

  get policy(): Policy {
    return this.#policy;
  }

  /** The receive volumes show the cut; before the first time they are nothing. */
  get hasCut(): boolean {
    return this.#isConsistent;
  }

  get isApplying(): boolean {
    return this.#applyingTo !== null;
  }

  /** What is wrong with the arrival journal, 0 when it is well. */
  get journalErrno(): number {
    return this.arrivals.errno || this.#applyJournalErrno || (this.#isHung.journal ? ETIMEDOUT : 0);
  }

  /** What stands still in a call to its storage: such a call tells no errno. */
  hung(journal: boolean, volumes: boolean): void {
    this.#isHung = { journal, volumes };
  }

  /** An image of an older state than this would take back what is applied, or is being. */
  get imagesFrom(): number {
    return Math.max(this.#receiver.cut.mark, this.#applyingTo ?? 0);
  }

  get volumesErrno(): number {
    return this.#volumesErrno || (this.#isHung.volumes ? ETIMEDOUT : 0);
  }

  /** What arrivals are checked against. */
  get facts(): TransferFacts {
    return {
      generation: this.#staged?.generation ?? this.#generation,
      volumes: this.volumes,
      payloadBytesMax: this.#payloadBytesMax,
    };
  }

  /** Begins a session; `done` when a superblock says so: before, nothing of it may be taken. */
  begin(begin: NewSession, done: () => void): void {
    const { session, from, how } = begin;
    this.#session = session;
    this.#dropCheckpoint();
    this.#log?.session();
    this.#policy = begin.policy;
    if (how === 'staged') this.#stage(begin);
    else this.#beginOwn(begin);
    if (how !== 'replay') {
      this.#rollTo = 0;
      this.#wholeAt = null;
    }
    this.receiver.begin(session, from.mark);
    this.arrivals.put(done);
  }

  #beginOwn({ session, generation, ancestry, from, how }: NewSession): void {
    if (how === 'in place') this.#log?.breaks('the volumes are compared in place');
    else if (!sameBytes(generation, 0, this.#generation, 0, generation.length)) this.#log?.turn();
    this.#generation = generation;
    this.#ancestry = ancestry;
    if (how === 'in place') {
      // What came in an earlier attempt is no part of this one; a copy that is written in place is none meanwhile.
      this.#receiver = new Receiver({ session: session - 1, cut: from, committed: from.mark }, chainOf);
      this.#isConsistent = false;
    }
    this.#sessionPosition = this.arrivals.head;
    this.#sessionMark = from.mark;
  }

  #stage({ session, generation, ancestry, from }: NewSession): void {
    const isSame = sameBytes(generation, 0, this.#generation, 0, generation.length);
    // Entries of two generations cannot lie behind one another: the cut stays, what is not applied yet goes.
    if (!isSame) {
      this.#log?.forget();
      const { cut } = this.#receiver;
      this.#receiver = new Receiver({ session: session - 1, cut, committed: cut.mark }, chainOf);
    }
    const receiver = new Receiver({ session: session - 1, cut: from, committed: from.mark }, chainOf);
    this.#staged = { receiver, generation, ancestry, position: this.arrivals.head };
  }

  /** In a staged comparison: entries come behind `base` from now on; what came before it is dropped, but for the images. */
  rebase(base: Point): void {
    this.#wholeAt = null;
    this.#staged?.receiver.rebase(base);
  }

  /** The session is over. What a comparison has staged is nothing, unless it is being brought in. */
  lost(): void {
    this.receiver.lost();
    if (!this.#staged || this.#applyingTo !== null) return;
    this.#staged = null;
    this.#wholeAt = null;
    this.#sessionPosition = this.arrivals.head;
    this.#sessionMark = this.#receiver.prefix.mark;
    this.arrivals.put(() => {});
  }

  /**
   * Begins a generation behind the longest durable prefix; `done` when a superblock says so, which is the takeover. What of
   * the prefix is not on the receive volumes is brought there now, or at the next start.
   */
  takeOver(generation: Uint8Array, done: () => void): void {
    this.#log?.breaks('it is taken over');
    this.#log = null;
    const until = this.#receiver.takeOver();
    const isFirst = this.#generation.every((byte) => byte === 0);
    if (!isFirst) this.#ancestry = [{ generation: this.#generation, until }, ...this.#ancestry];
    this.#generation = generation;
    this.#isTakenOver = true;
    this.#isConsistent = true;
    this.#sessionPosition = this.arrivals.head;
    this.#sessionMark = until.mark;
    this.arrivals.put(() => {
      done();
      this.roll(until.mark);
    });
  }

  /** Puts an arrival into the journal, once: false when there is no room for it now. */
  take(entry: Entry, body: Uint8Array, offset: number): boolean {
    const { mark, cycle, kind, chain, time } = entry;
    const { receiver } = this;
    if (!receiver.wants(this.#session, mark)) return true;
    const placed = this.#place(entry, body, offset);
    if (!placed) return false;
    const header = body.slice(offset, offset + ENTRY.at.position);
    const isSeal = kind === ENTRY_KIND.seal;
    const range = { volume: entry.volume, offset: entry.offset, length: entry.length };
    const arrival: HeldArrival = { isImage: false, mark, cycle, isSeal, chain, ...placed, header, time, ...range };
    receiver.placed(arrival);
    return true;
  }

  #place(entry: Entry, body: Uint8Array, offset: number): ReturnType<Arrivals['place']> {
    const placed = this.arrivals.place(entry, body, offset);
    this.#isCramped = placed === null && this.arrivals.lacksRoom(entry.payloadBytes);
    return placed;
  }

  /** Somebody records what is shown. */
  get isFollowed(): boolean {
    return this.#log !== null;
  }

  /**
   * The source of the session had given no mark beyond this one by then, ms by its clock, which is so far ahead of one of its own that
   * is never set. Of a comparison nothing is shown yet.
   */
  heard(mark: number, ms: number, aheadMs: number | null): void {
    if (!this.#staged) this.#log?.heard(mark, ms, aheadMs);
  }

  /** Whether an arrival waits for room in the file. */
  get isCramped(): boolean {
    return this.#isCramped;
  }

  /** By how much the ring's tail lies further back for who records what is shown. */
  get heldBack(): number {
    const own = this.#ownTail;
    return Math.max(0, own - (this.#log?.tail(own) ?? own));
  }

  /** Gives the ring the room that who records does not need any more. */
  moveTail(): void {
    const own = this.#ownTail;
    if ((this.#log?.tail(own) ?? own) > this.arrivals.tail) this.arrivals.put(() => {});
  }

  get #ownTail(): number {
    return this.#receiver.tail(this.#staged?.position ?? this.arrivals.head);
  }

  /** Puts an image of a staged comparison into the journal: false when there is no room for it now. */
  takeImage(entry: Entry, body: Uint8Array, offset: number): boolean {
    const placed = this.#place(entry, body, offset);
    if (placed) this.receiver.placedImage({ isImage: true, mark: entry.mark, ...placed });
    return placed !== null;
  }

  /** Whether it would wait for room for ever: nothing of a staged comparison leaves the ring before all of it is there. */
  isFullFor({ payloadBytes }: Entry): boolean {
    const isAllHere = this.#wholeAt !== null && this.receiver.received >= this.#wholeAt;
    const isFull = this.#staged !== null && !isAllHere && this.arrivals.lacksRoom(payloadBytes);
    // Else who records what is shown is let go of first.
    return isFull && this.heldBack === 0;
  }

  /**
   * What the copy's own book keeps in the ring beside a comparison that has no room there: entries that are committed and not
   * shown, or else entries that were never committed. Null: nothing, or nothing that may go: with `strict` nobody was answered
   * without them.
   */
  get besideStaged(): 'committed' | 'uncommitted' | null {
    const { committed, cut, prefix } = this.#receiver;
    if (committed > cut.mark) return 'committed';
    return prefix.mark > cut.mark && this.#policy !== POLICY.strict ? 'uncommitted' : null;
  }

  /** Gives that room back, when the session is over: brings the copy to what is committed, or drops what is not. */
  clearBeside(what: 'committed' | 'uncommitted'): void {
    const { committed, cut, session } = this.#receiver;
    if (what === 'committed') return this.roll(committed);
    this.#receiver = new Receiver({ session, cut, committed: cut.mark }, chainOf);
    this.#sessionPosition = this.arrivals.head;
    this.#sessionMark = cut.mark;
    return this.arrivals.put(() => {});
  }

  /** The comparison is over: with `mark` the copy is whole. */
  wholeAt(mark: number): void {
    if (this.#staged) {
      this.#wholeAt = mark;
      return this.#applyNext();
    }
    if (this.#isConsistent) return;
    this.#wholeAt = mark;
    this.#becomeWhole();
    this.arrivals.put(() => this.#beginLog());
  }

  /** Brings the receive volumes to `mark`, or as far as is committed, now or later. */
  roll(mark: number): void {
    this.#rollTo = Math.max(this.#rollTo, mark);
    this.#applyNext();
  }

  /** Brings the receive volumes to a cut by its blocks, now or when they show what it begins at. What is wrong in words, or null. */
  checkpoint(checkpoint: Checkpoint): string | null {
    const { committed, cut } = this.receiver;
    if (checkpoint.cut > committed) return `a checkpoint of mark ${checkpoint.cut}, and ${committed} is committed`;
    if (checkpoint.base > Math.max(this.#rollTo, this.#applyingTo ?? 0, cut.mark)) {
      return `a checkpoint that begins at mark ${checkpoint.base}, which nothing brings`;
    }
    this.#dropCheckpoint();
    this.#checkpoint = checkpoint;
    this.#applyNext();
    return null;
  }

  /** Of the session that is over: its references lead nowhere any more. */
  #dropCheckpoint(): void {
    this.#checkpoint = null;
    // Its report is of no interest.
    if (this.#isVerifying) this.#applyId++;
    this.#isVerifying = false;
  }

  /** A cycle was committed: what was to be rolled to may be so now. */
  committed(): void {
    this.#applyNext();
  }

  /** From the apply thread. */
  report(report: ApplyReport): void {
    const { id, isDone, journalErrno, volumesErrno } = report;
    if (this.#isVerifying && id === this.#applyId) return this.#verified(report);
    if (report.imagesLost) {
      this.#wholeAt = null;
      this.#parts.imagesLost();
    }
    const cut = this.#applyingTo;
    if (id !== this.#applyId || cut === null || !this.#isMixed) return;
    if (volumesErrno !== 0 && this.#volumesErrno === 0) this.#parts.log(failing('a receive volume', volumesErrno));
    if (journalErrno !== 0 && this.#applyJournalErrno === 0) this.#parts.log(failing('the journal', journalErrno));
    this.#volumesErrno = volumesErrno;
    this.#applyJournalErrno = journalErrno;
    if (!isDone) return;
    this.#noteCut(cut);
    if (this.#staged) this.#log?.breaks('a comparison brings the volumes to another cut');
    else this.#log?.add(this.receiver.toApply(cut).filter((one): one is HeldArrival => !one.isImage));
    this.receiver.applied(cut);
    if (this.#staged) this.#becomeStaged(this.#staged);
    this.#isMixed = false;
    this.#becomeWhole();
    this.arrivals.put(() => {
      this.#applyingTo = null;
      if (this.#log?.isWhole === true) this.#log.shown(this.shownCut);
      else this.#beginLog();
      this.gate.open();
      this.#parts.applied(cut);
      this.#applyNext();
    });
  }

  /** That the volumes are a copy is durable. */
  #beginLog(): void {
    if (this.#isConsistent && this.#log?.isWhole === false) this.#log.begin(this.shownCut);
  }

  /** What the volumes show, when nothing is being brought in. */
  get shownCut(): Point & { readonly time: bigint } {
    return { ...this.#receiver.cut, time: this.#cutTime };
  }

  /** What was staged is the copy now. */
  #becomeStaged({ receiver, generation, ancestry, position }: Staged): void {
    this.#staged = null;
    this.#receiver = receiver;
    this.#generation = generation;
    this.#ancestry = ancestry;
    this.#sessionPosition = position;
    this.#sessionMark = this.#wholeAt ?? 0;
    this.#wholeAt = null;
  }

  #noteCut(cut: number): void {
    const arrival = this.receiver.arrivalAt(cut) as HeldArrival | null;
    if (!arrival) return;
    this.#cutTime = arrival.time;
    this.#cutCycle = arrival.cycle;
  }

  #becomeWhole(): void {
    if (this.#wholeAt !== null && this.#receiver.cut.mark >= this.#wholeAt) this.#isConsistent = true;
  }

  #applyNext(): void {
    const { receiver } = this;
    const { cut } = receiver;
    const to = receiver.endUpTo(this.#rollTo);
    if (this.#applyingTo !== null || this.#isVerifying) return;
    if (this.#staged && (this.#wholeAt === null || to < this.#wholeAt)) return;
    if (to > cut.mark) {
      this.#bring(to, (id) => {
        const list = this.receiver.toApply(to);
        const places = new Float64Array(2 * list.length);
        list.forEach(({ position, end }, i) => places.set([position, end], 2 * i));
        return { id, places };
      });
    } else if (this.#checkpoint && this.#checkpoint.cut > cut.mark) {
      this.#isVerifying = true;
      const blocks = heldFrom(this.#ownTail, this.#checkpoint);
      this.#parts.apply({ id: ++this.#applyId, blocks, isVerify: true });
    } else this.#checkpoint = null;
  }

  /** [MI9] The superblock first, then nobody reads, then the volumes. */
  #bring(to: number, commandOf: (id: number) => ApplyCommand): void {
    this.#applyingTo = to;
    this.#isMixed = true;
    const id = ++this.#applyId;
    this.arrivals.put(() => this.gate.shut(() => this.#parts.apply(commandOf(id))));
  }

  /** Readers see the former cut until all of the next one is known to be good. */
  #verified({ isDone, failed, journalErrno }: ApplyReport): void {
    this.#applyJournalErrno = journalErrno;
    const checkpoint = this.#checkpoint;
    if (!isDone || !checkpoint) return;
    this.#isVerifying = false;
    this.#checkpoint = null;
    if (failed.length === 0) {
      const { list } = checkpoint;
      return this.#bring(checkpoint.cut, (id) => ({ id, blocks: list, isVerify: false }));
    }
    const blocks = failed.flatMap((i) => checkpoint.blocks[i] ?? []);
    this.#parts.log(
      `${blocks.length} blocks of cut ${checkpoint.cut} are not here as they must be: they are asked for`,
    );
    this.#parts.wanted(checkpoint.cut, blocks);
    return this.#applyNext();
  }

  get #state(): JournalState {
    if (this.#isTakenOver) return JOURNAL_STATE.takenOver;
    return this.#isConsistent ? JOURNAL_STATE.consistent : JOURNAL_STATE.initialising;
  }

  /** What a superblock says now. */
  #kept(): Kept {
    const { cut, committed } = this.#receiver;
    const staged = this.#staged;
    const isCommitted = staged !== null && this.#isMixed;
    const base = staged?.receiver.cut ?? { mark: 0, chain: 0n };
    return {
      isApplying: this.#isMixed,
      tailPosition: this.#log?.tail(this.#ownTail) ?? this.#ownTail,
      tailTime: this.#cutTime,
      tailCycle: this.#cutCycle,
      generation: this.#generation,
      // A start that brings a comparison in knows what it is of.
      ancestry: isCommitted ? staged.ancestry : this.#ancestry,
      policy: this.#policy,
      session: this.#session,
      sessionPosition: this.#sessionPosition,
      sessionMark: this.#sessionMark,
      cut: cut.mark,
      cutChain: cut.chain,
      committed: isCommitted ? (this.#applyingTo ?? 0) : committed,
      state: this.#state,
      baseGeneration: staged?.generation ?? NO_GENERATION,
      baseMark: base.mark,
      baseChain: base.chain,
      basePosition: staged?.position ?? 0,
    };
  }
}

const NO_GENERATION = new Uint8Array(GENERATION_BYTES);

function chainOf(arrival: Arrival, previous: bigint): bigint {
  const held = arrival as HeldArrival;
  if (!held.header) return arrival.chain;
  const chain = chainAt(held.header, 0, previous);
  if (chain === arrival.chain) held.header = null;
  return chain;
}

const failing = (what: string, errno: number): string =>
  `${what} fails (errno ${errno}): its cut stays; it is tried again until it succeeds, check the storage`;
