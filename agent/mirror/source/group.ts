/**
 * The order of a source's group: what is admitted belongs to a cycle, a cycle is sealed and committed (MI4), clients are
 * answered by the policy (MI2), and room is freed when nobody needs it (MI6). Its targets' sessions tell it what they have.
 */
import { AgentError } from '../../base/errors.ts';
import { ERRNO } from '../../platform/native.ts';
import { Cycles, type CycleLimits } from '../core/cycles.ts';
import { Cover } from '../core/cover.ts';
import type { Point } from '../core/meeting.ts';
import { answerable, Replies, type Acknowledge, type Progress } from '../core/replies.ts';
import { ENTRY_KIND, entryBytes, type EntryKind } from '../wire/entry.ts';
import type { LagClock } from '../core/lag-clock.ts';
import { sleep, type Cancel, type Machine } from '../machine.ts';
import type { CheckpointOptions } from '../../settings/mirror.ts';
import type { Appended } from './appender.ts';
import { Checkpoints, type CheckpointTotals } from './checkpoints.ts';
import type { Follower } from '../../history/monitor/follower.ts';
import type { SourceJournal } from './journal.ts';
import { heldBecause } from './held.ts';
import { Overflow, type OverflowOptions } from './overflow.ts';
import type { TargetOrder } from '../store/orders.ts';
import type { TargetSession } from './target-session.ts';

export type Done = (errno: number) => void;

/** Where it is said that a target is outdated, for it to be asked there (I21). */
export interface OutdatedMarks {
  /** As a start finds it; null where that is not known. */
  isOutdated(target: string): boolean | null;
  /** Resolves when it is durable. */
  setOutdated(target: string, cut: number): Promise<void>;
  setInSync(target: string): Promise<void>;
}

export interface GroupOptions {
  readonly acknowledge: Acknowledge;
  readonly cycles: CycleLimits;
  /** Null: whatever is committed is redone at once. */
  readonly checkpoint: CheckpointOptions | null;
  readonly overflow: OverflowOptions;
  /** Null: who is away is not waited for. */
  readonly marks?: OutdatedMarks | null;
  /** For a target to be met after a start, before anybody is answered without it. */
  readonly graceMs?: number;
}

/** Where a write went. Bytes. */
export interface Range {
  readonly volume: number;
  readonly offset: number;
  readonly length: number;
}

/** A session, and what it has been told. */
interface Member {
  readonly session: TargetSession;
  /** Null where nobody is told who is outdated. */
  readonly cover: Cover | null;
  /** Nothing is committed there before this cycle is sealed: what it lacked comes as one (CY4). */
  joinCycle: number;
  committed: number;
  /** Of the session that both are for. */
  number: number;
  followsSinceMs: number | null;
  /** The session in which it was told that it is in sync. */
  toldInSync: number;
}

const CYCLES_KEPT = 1024;
/** How long a target may follow before it is waited for, however far behind it is. */
const JOIN_MS = 5000;

export class SourceGroup {
  readonly #journal: SourceJournal;
  readonly #cycles: Cycles;
  readonly #replies: Replies<Done>;
  readonly #outdatedMarks: OutdatedMarks | null;
  readonly #graceUntilMs: number;
  readonly #members: Member[] = [];
  /** They take no part in cycles and answers. */
  readonly #followers: Follower[] = [];
  readonly #checkpoints: Checkpoints | null;
  readonly #lag: LagClock;
  /** Appended and not known to be durable here: mark and end, ascending. */
  #undurable: Appended[] = [];
  #durableMark: number;
  #answeredMark: number;
  #committed = 0;
  /** The last one of an earlier run. */
  readonly #formerCycle: number;
  /** Where cycles end: those that are not committed, and the newest some. */
  readonly #ends = new Map<number, Point>();
  readonly #overflow: Overflow;
  readonly #options: GroupOptions;
  readonly #machine: Machine;
  readonly #stopTimer: Cancel;
  #isDue = false;
  /** No cycle is begun any more: the last mark is the last. */
  #isFrozen = false;
  #isFailed = false;
  /** Each target has to be met before anybody is answered; called then. */
  #whenMet: (() => void) | null = null;

  constructor(journal: SourceJournal, options: GroupOptions, machine: Machine) {
    this.#journal = journal;
    this.#options = options;
    this.#overflow = new Overflow(journal, options.overflow);
    this.#machine = machine;
    const { mark, cycle } = journal.end;
    this.#durableMark = mark;
    this.#answeredMark = mark;
    this.#formerCycle = cycle;
    // What a crash left of an open cycle is closed with the next one: its number goes on.
    // Several fit into the ring, and into that of a target as large: none has to be committed half.
    const bytes = Math.min(options.cycles.bytes, journal.ringBytes / 8);
    this.#cycles = new Cycles({ ...options.cycles, bytes }, { cycle: cycle + 1, mark: mark + 1 });
    this.#replies = new Replies(options.acknowledge);
    const { checkpoint } = options;
    this.#checkpoints = checkpoint && new Checkpoints(journal, checkpoint, () => this.#soon());
    // What is in the journal already waits since it was written.
    this.#lag = journal.written;
    this.#outdatedMarks = options.marks ?? null;
    this.#graceUntilMs = machine.clock.monotonicMs() + (options.graceMs ?? 0);
    journal.cycle = this.#cycles.open;
    const lookMs = Math.max(1, Math.min(50, options.cycles.cycleMs / 4));
    this.#stopTimer = machine.timers.every(lookMs, () => this.progress());
  }

  get acknowledge(): Acknowledge {
    return this.#replies.policy;
  }

  get marks(): { readonly admitted: number; readonly durable: number; readonly closed: number } {
    return { admitted: this.#journal.end.mark, durable: this.#durableMark, closed: this.#cycles.closedMark };
  }

  /** Clients that wait for an answer. */
  get waiting(): number {
    return this.#replies.waiting;
  }

  /** What was not answered before will not be. */
  get isFailed(): boolean {
    return this.#isFailed;
  }

  /** Nothing gets a mark any more, seals neither. */
  freeze(): void {
    this.#isFrozen = true;
  }

  /** After all: cycles are ended again. */
  thaw(): void {
    this.#isFrozen = this.#isFailed;
  }

  /** Another generation has taken over: nobody is answered any more, and no target is told anything. */
  fail(reason: string): void {
    this.#isFrozen = true;
    this.#isFailed = true;
    for (const { session } of this.#members) session.stop(reason);
    this.#replies.fail((done) => done(ERRNO.EIO));
  }

  /** Answers nobody before each target has heard what it may go by from now on (MI14); `done` then, once. */
  holdUntilMet(done: () => void): void {
    this.#whenMet = done;
  }

  /** Targets that have not been met and are waited for, whatever the policy. */
  get unmet(): readonly string[] {
    if (!this.#whenMet) return [];
    return this.sessions.filter(({ isMet }) => !isMet).map(({ link }) => link.name);
  }

  /** Why clients wait, in words. */
  get held(): readonly string[] {
    const namesOf = (members: readonly Member[]): string[] => members.map(({ session }) => session.link.name);
    const away = this.#members.filter(({ session }) => !session.link.isWaitedFor);
    const isWaited = this.#replies.waiting > 0;
    return heldBecause({
      unmet: this.unmet,
      strict: this.#options.overflow.policy === 'strict' ? namesOf(away) : [],
      untold: isWaited ? namesOf(away.filter(({ cover }) => cover?.isWaitedFor === true)) : [],
      isJournalFull: this.#journal.refusedForMs > 0,
    });
  }

  /** Resolves when a superblock has what an operator said of targets, and when they were scanned. */
  async keepOrders(): Promise<void> {
    const isKept = ({ isPaused, compare, scanned }: TargetOrder): boolean =>
      isPaused || compare !== null || scanned > 0;
    const orders = this.sessions.map(({ order }) => order).filter(isKept);
    return this.#journal.keep({ orders });
  }

  get sessions(): readonly TargetSession[] {
    return this.#members.map(({ session }) => session);
  }

  add(session: TargetSession): void {
    const marks = this.#outdatedMarks;
    const cover = marks && new Cover(marks.isOutdated(session.link.name), this.#graceUntilMs);
    this.#members.push({
      session,
      cover,
      joinCycle: 0,
      committed: 0,
      number: session.begun,
      followsSinceMs: null,
      toldInSync: 0,
    });
    session.cuts.onApplied = (cut) => this.#checkpoints?.applied(session, cut);
    session.cuts.onWanted = (cut, blocks) => this.#checkpoints?.wanted(session, cut, blocks);
    session.start();
  }

  /** Who only records what is written. */
  follow(follower: Follower): void {
    this.#followers.push(follower);
  }

  get followers(): readonly Follower[] {
    return this.#followers;
  }

  /** Before an entry with such a payload is appended: what would be too much for one cycle goes into the next. */
  making(payloadBytes: number): void {
    if (this.#cycles.isLarge(this.#cycleRoom(), entryBytes(payloadBytes))) this.#seal();
  }

  /** An entry was appended; `done` when the policy allows to answer it. */
  admitted(put: Appended, range: Range, isFlush: boolean, done: Done): void {
    this.#note(put, range);
    this.#replies.wait(put.mark, isFlush, done);
  }

  /** A part of a change whose last part will be answered. */
  admittedPart(put: Appended, range: Range): void {
    this.#note(put, range);
  }

  /** What an entry that was appended changes. */
  changed(kind: EntryKind, range: Range, { mark }: Appended): void {
    this.#checkpoints?.entry(kind, range, mark);
  }

  /** By what a target was brought to its cuts; null without checkpoints. */
  checkpointsOf(session: TargetSession): CheckpointTotals | null {
    return this.#checkpoints?.totals(session) ?? null;
  }

  /** Answers when all that was answered before is as safe as a flush promises. */
  flush(done: Done): void {
    if (this.#journal.hasFailed) return done(ERRNO.EIO);
    this.#checkpoints?.flushed();
    this.#replies.wait(this.#answeredMark, true, done);
    this.#soon();
  }

  /** The journal or a target has got on, or time has passed. */
  progress(): void {
    this.#isDue = false;
    if (this.#journal.hasFailed || this.#isFailed) {
      this.#replies.fail((done) => done(ERRNO.EIO));
      return;
    }
    this.#lookAtJournal();
    this.#noteLag();
    for (const member of this.#members) this.#lookAt(member);
    this.#lookForUnmet();
    this.#closeCycle();
    if (this.#checkpoints?.isDue(this.#machine.clock.monotonicMs(), this.#journal.end.mark, this.sessions)) this.#cut();
    this.#commit();
    this.#answer();
    this.#overflow.look(this.sessions);
    for (const follower of this.#followers) follower.progress();
    const held = this.#followers.map(({ freed }) => freed);
    this.#journal.free(Math.min(...this.#members.map((member) => freedBy(member)), ...held));
  }

  /** [MI10] How much room there is for what clients write, and of how much: they are slowed down as it gets short. */
  get room(): { readonly left: number; readonly of: number } {
    const { unkeptBytes, ringBytes } = this.#journal;
    let room = { left: unkeptBytes, of: ringBytes };
    for (const { session } of this.#members) {
      const { paceBytes } = session;
      if (paceBytes === Infinity) continue;
      const left = Math.max(0, paceBytes - session.behindBytes);
      if (left / paceBytes < room.left / room.of) room = { left, of: paceBytes };
    }
    return room;
  }

  /** Ends the open cycle now, an empty one too. Resolves when there was room for its seal. */
  async cut(): Promise<{ readonly mark: number; readonly cycle: number }> {
    for (;;) {
      if (this.#isFrozen) throw new AgentError('failed', 'no cycle is begun here any more');
      const cut = this.#cut();
      if (cut) return cut;
      await sleep(this.#machine, 10);
    }
  }

  /** Makes a cut, when those in sync show the one before; its mark. Whether they show it is seen by what they applied. */
  async checkpoint(boundMs: number): Promise<number> {
    const { clock } = this.#machine;
    const endMs = clock.monotonicMs() + boundMs;
    while (this.#checkpoints?.isUnderWay(this.sessions) === true && clock.monotonicMs() < endMs) {
      await sleep(this.#machine, 5);
    }
    return (await this.cut()).mark;
  }

  close(): void {
    this.#stopTimer();
    for (const { session } of this.#members) session.stop('the source ends');
    for (const follower of this.#followers) follower.stop('the source ends');
    this.#replies.fail((done) => done(ERRNO.EIO));
  }

  /** Answers are given when targets have something: else who is away is missed at an overflow alone. */
  get #isAnswerShared(): boolean {
    return this.acknowledge === 'sync' || this.acknowledge === 'receipt';
  }

  #note(put: Appended, { volume, offset, length }: Range): void {
    for (const { session } of this.#members) session.note(volume, offset, length);
    for (const follower of this.#followers) follower.note(volume, offset, length);
    this.#undurable.push(put);
    this.#cycles.admit(put.mark, put.end - put.position, this.#machine.clock.monotonicMs());
    // At once: one turn can bring more than a small target holds.
    if (this.#cycles.isLarge(this.#cycleRoom())) this.#seal();
    for (const { session } of this.#members) session.appended();
    this.#soon();
  }

  /** For how long a target has lacked something. */
  behindMs({ durable, lacksSinceMs }: TargetSession['link']): number {
    const nowMs = this.#machine.clock.monotonicMs();
    return Math.max(this.#lag.behindMs(durable, nowMs), nowMs - (lacksSinceMs ?? nowMs));
  }

  #noteLag(): void {
    this.#lag.note(this.#journal.end.mark, this.#machine.clock.monotonicMs());
    const links = this.#members.map(({ session }) => session.link);
    this.#lag.dropUpTo(Math.min(this.#durableMark, ...links.map(({ durable, applied }) => Math.min(durable, applied))));
  }

  /** Once a turn, however much happens in it. */
  #soon(): void {
    if (this.#isDue) return;
    this.#isDue = true;
    this.#machine.timers.soon(() => this.progress());
  }

  #lookAtJournal(): void {
    const { durable } = this.#journal;
    const undurable = this.#undurable;
    let count = 0;
    for (let next = undurable[0]; next && next.end <= durable; next = undurable[++count]) this.#durableMark = next.mark;
    if (count > 0) undurable.splice(0, count);
  }

  #lookAt(member: Member): void {
    const { session } = member;
    const { link, begun } = session;
    if (begun !== member.number) {
      member.number = begun;
      member.committed = 0;
      // Sealed at once: what it lacks comes as one cycle, also when nobody writes any more.
      // What its journal could not hold as one comes cycle by cycle.
      const isTooMuch = session.behindBytes > session.roomBytes / 2;
      // No cycle comes any more: the last one has its seal.
      const last = this.#isFrozen ? this.#cycles.open - 1 : this.#cycles.open;
      member.joinCycle = isTooMuch ? 0 : last;
      this.#askToShow(session);
      this.#seal();
    }
    const nowMs = this.#machine.clock.monotonicMs();
    if (link.state === 'replicating') member.followsSinceMs ??= nowMs;
    else member.followsSinceMs = null;
    const isLate = nowMs - (member.followsSinceMs ?? nowMs) > JOIN_MS;
    link.joinIfClose(session.behindBytes, this.#answeredMark, isLate);
    if (link.state === 'in-sync' && member.toldInSync !== begun) {
      member.toldInSync = begun;
      session.tellInSync();
    }
    this.#coverOf(member);
  }

  #lookForUnmet(): void {
    const done = this.#whenMet;
    if (!done || this.unmet.length > 0) return;
    this.#whenMet = null;
    done();
  }

  /**
   * What it committed in an earlier session and does not show yet can fill its ring: nothing would come in any more, so no cycle
   * would be sealed, and with none committed nobody would ask for it. It brings no more than it has committed.
   */
  #askToShow(session: TargetSession): void {
    const { link } = session;
    if (link.state !== 'replicating' || !session.isShortOfRoom) return;
    if (this.#checkpoints) this.#checkpoints.catchUp(session, link.durable);
    else session.roll(link.durable);
  }

  /** Nobody is answered without a target before it is said elsewhere that it is outdated. */
  #coverOf({ session: { link }, cover }: Member): void {
    const marks = this.#outdatedMarks;
    if (!cover || !marks) return;
    const action = cover.look(
      link.state === 'in-sync',
      link.isOutdated || (this.#isAnswerShared && this.#replies.waiting > 0),
      link.durable,
      this.#machine.clock.monotonicMs(),
    );
    if (action?.do === 'mark') {
      void marks.setOutdated(link.name, action.cut).then(() => {
        cover.marked();
        this.progress();
      });
    } else if (action?.do === 'clear') {
      void marks.setInSync(link.name).then(() => cover.cleared());
    }
  }

  /** Ends the open cycle with a seal when it is time. */
  #closeCycle(): void {
    const isAwaited = this.#replies.policy === 'cycle' && this.#replies.waiting > 0;
    // Somebody who joins waits for the end of the cycle too.
    const isJoining = this.#members.some((member) => member.joinCycle === this.#cycles.open);
    if (!this.#cycles.isDue(this.#machine.clock.monotonicMs(), isAwaited || isJoining, this.#durableMark)) return;
    this.#seal();
  }

  /** Ends the open cycle, and with checkpoints shows what is behind it; null where there is no room for its seal. */
  #cut(): { readonly mark: number; readonly cycle: number } | null {
    const cycle = this.#cycles.open;
    const mark = this.#seal();
    if (mark === null) return null;
    this.#checkpoints?.cut(mark, cycle, this.#machine.clock.monotonicMs());
    return { mark, cycle };
  }

  /** A cycle that a target's journal cannot hold would never be sealed there. */
  #cycleRoom(): number {
    return Math.min(...this.#members.map(({ session }) => session.cycleBytesMax));
  }

  /** The mark of the seal that ends the open cycle; null where there is no room for it. */
  #seal(): number | null {
    if (this.#isFrozen) return null;
    const put = this.#journal.append(ENTRY_KIND.seal, 0, 0, 0);
    if (put === null) return null;
    this.#ends.set(this.#cycles.open, { mark: put.mark, chain: this.#journal.end.chain });
    this.#undurable.push(put);
    this.#cycles.admit(put.mark, 0, this.#machine.clock.monotonicMs());
    this.#cycles.close();
    this.#journal.cycle = this.#cycles.open;
    this.#checkpoints?.cycleClosed();
    for (const { session } of this.#members) session.appended();
    this.#soon();
    return put.mark;
  }

  #commit(): void {
    const waitedFor = this.#members.filter(({ session }) => session.link.isWaitedFor);
    const sealed = Math.min(...waitedFor.map(({ session }) => session.link.sealed));
    // Those of an earlier run are in no list here, and all that is left of them is durable.
    this.#committed = Math.max(this.#committed, Math.min(sealed, this.#formerCycle));
    const newest = this.#cycles.commit(sealed, this.#durableMark);
    if (newest) this.#committedUpTo(newest.number);
    for (const member of this.#members) {
      this.#tell(member, sealed);
      const { session, committed } = member;
      this.#checkpoints?.bring(session, { cycle: committed, mark: this.#ends.get(committed)?.mark ?? 0 });
    }
  }

  #committedUpTo(newest: number): void {
    this.#committed = newest;
    for (const number of this.#ends.keys()) if (number < newest - CYCLES_KEPT) this.#ends.delete(number);
  }

  /** A target that is behind commits what it has sealed, and never more. */
  #tell(member: Member, sealedByAll: number): void {
    const { session, joinCycle, committed } = member;
    // Who is waited for since the cycle was committed may lack it yet.
    const cycle = Math.min(session.link.sealed, this.#committed, sealedByAll);
    // What is more than its ring takes cannot come as one: then cycle by cycle.
    const asOne = session.isShortOfRoom ? 0 : joinCycle;
    if (cycle <= committed || cycle < Math.max(asOne, session.heldUntil)) return;
    member.committed = cycle;
    const end = this.#ends.get(cycle) ?? null;
    session.commit(cycle, end);
    // Of a cycle of an earlier run the last mark is not known: as far as it is committed.
    const mark = end?.mark ?? session.link.durable;
    if (!this.#checkpoints) session.roll(mark);
    else if (session.isShortOfRoom) this.#checkpoints.catchUp(session, mark);
  }

  /** With `strict` nothing is answered without any target. */
  get #isHeld(): boolean {
    if (this.#whenMet) return true;
    return this.#options.overflow.policy === 'strict' && this.#members.some(({ session }) => !session.link.isWaitedFor);
  }

  #answer(): void {
    if (this.#isHeld) return;
    const links = this.#members
      .filter(({ session, cover }) => session.link.isWaitedFor || cover?.isWaitedFor === true)
      .map(({ session }) => session.link);
    const progress: Progress = {
      // Reads look at the journal first: what is there is there for every client.
      placed: this.#journal.end.mark,
      durable: this.#durableMark,
      received: Math.min(...links.map(({ received }) => received)),
      remote: Math.min(...links.map(({ durable }) => durable)),
      closed: this.#cycles.closedMark,
    };
    this.#replies.advance(progress, (done) => done(0));
    this.#answeredMark = Math.max(this.#answeredMark, answerable(this.#replies.policy, progress, false));
  }
}

/** [MI10] What a target lets go of: with its bitmap in force everything, once it is known elsewhere that it is outdated. */
const freedBy = ({ session, cover }: Member): number =>
  session.link.isOutdated && cover?.isWaitedFor === true ? session.kept : session.freed;
