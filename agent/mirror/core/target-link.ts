/**
 * One target as its source sees it: the state that an operator reads, whom answers wait for, and whether
 * entries are kept for it (MI2, MI6, MI10). DESIGN.md draws the states.
 */
import type { Meeting } from './meeting.ts';

export type TargetState =
  /** Paused by an operator. */
  | 'stopped'
  /** No link; the ring keeps what it lacks. */
  | 'journaling'
  /** The ring could not: chunks are noted, the target is outdated. */
  | 'bitmap'
  /** Its volumes have never been a copy. */
  | 'initialising'
  /** All is compared, or the chunks of a bitmap. */
  | 'scanning'
  | 'resyncing'
  /** Entries flow, and it is not all there yet. */
  | 'replicating'
  | 'in-sync';

/** A target this close is waited for: from then on it can catch up whatever the clients do. */
const CLOSE_BYTES = 1_048_576;

export class TargetLink {
  readonly name: string;
  #state: TargetState = 'journaling';
  #isLinked = false;
  #isStopped = false;
  #isOutdated = false;
  #isFirst = false;
  #isComparing = false;
  #session: number;
  #received = 0;
  #durable = 0;
  #sealed = 0;
  #applied = 0;
  /** In a staged comparison: what of the session is there. Nothing of it is the copy's before all of it is. */
  #staged = { received: 0, durable: 0 };
  /** While it is joining: answered before it was waited for. In sync once it has that. */
  #joinMark: number | null = null;
  #lacksSinceMs: number | null;

  /**
   * `durable`: what the journal's superblock says that it has; `isOutdated`: its bitmap was in use at the last stop;
   * `lacksSinceMs`: it lacks what the journal has let go of, for so long or longer.
   */
  constructor(name: string, durable: number, session: number, isOutdated = false, lacksSinceMs: number | null = null) {
    this.name = name;
    this.#lacksSinceMs = lacksSinceMs;
    this.#durable = durable;
    this.#received = durable;
    this.#session = session;
    this.#isOutdated = isOutdated;
    this.#settle();
  }

  get state(): TargetState {
    return this.#state;
  }

  get session(): number {
    return this.#session;
  }

  /** A session with it runs: it is a target, of this source. */
  get isLinked(): boolean {
    return this.#isLinked;
  }

  get received(): number {
    return this.#received;
  }

  get durable(): number {
    return this.#durable;
  }

  get sealed(): number {
    return this.#sealed;
  }

  get applied(): number {
    return this.#applied;
  }

  /** Its bitmap stands instead of entries. */
  get isOutdated(): boolean {
    return this.#isOutdated;
  }

  /** What was written before this process began may be missing there since then, whatever is in the ring; null: it is not. */
  get lacksSinceMs(): number | null {
    return this.#lacksSinceMs;
  }

  /** Answers wait for it (`sync`, `receipt`), and so does COMMIT. */
  get isWaitedFor(): boolean {
    return this.#state === 'in-sync' || this.#joinMark !== null;
  }

  /** The number of the session that a handshake begins. */
  nextSession(): number {
    return ++this.#session;
  }

  /** A handshake ended so. Refused is as good as no link. */
  met(meeting: Meeting): void {
    this.#joinMark = null;
    if (meeting.how === 'refuse') return this.lost();
    this.#isLinked = true;
    this.#sealed = 0;
    this.#isOutdated = false;
    this.#isComparing = meeting.how !== 'replay';
    this.#isFirst = meeting.how !== 'replay' && meeting.isFirst;
    if (!this.#isComparing || this.#isFirst) this.#lacksSinceMs = null;
    if (this.#isComparing && !this.#isFirst) this.#staged = { received: meeting.from, durable: meeting.from };
    else [this.#received, this.#durable] = [meeting.from, meeting.from];
    this.#state = meeting.how === 'replay' ? 'replicating' : meeting.how === 'scan' ? 'scanning' : 'resyncing';
    if (this.#isFirst) this.#state = 'initialising';
  }

  /** The comparison is over, and committed at the target. */
  resynced(): void {
    if (this.#isComparing && !this.#isFirst) ({ received: this.#received, durable: this.#durable } = this.#staged);
    this.#isFirst = false;
    this.#isComparing = false;
    this.#lacksSinceMs = null;
    if (this.#isLinked) this.#state = 'replicating';
  }

  stored(received: number, durable: number): void {
    if (this.#isComparing && !this.#isFirst) {
      this.#staged = { received, durable };
      return;
    }
    this.#received = Math.max(this.#received, received);
    this.#durable = Math.max(this.#durable, durable);
    if (this.#joinMark === null || this.#durable < this.#joinMark) return;
    this.#joinMark = null;
    this.#state = 'in-sync';
  }

  sealedUpTo(cycle: number): void {
    this.#sealed = Math.max(this.#sealed, cycle);
  }

  appliedUpTo(cut: number): void {
    this.#applied = Math.max(this.#applied, cut);
  }

  /**
   * Begins to be waited for when it is close, or when it has been let follow long enough: steady writes could keep it at the same
   * distance for ever. `behindBytes`: what was admitted and is not durable there; `answered`: the last mark that any client was
   * told of.
   */
  joinIfClose(behindBytes: number, answered: number, isLate = false): void {
    if (this.#state !== 'replicating' || this.#joinMark !== null || (behindBytes > CLOSE_BYTES && !isLate)) return;
    this.#joinMark = answered;
    this.stored(this.#received, this.#durable);
  }

  /** The link is gone: no answer to the direct question, or a reset (CY7). */
  lost(): void {
    this.#isLinked = false;
    this.#joinMark = null;
    if (this.#isComparing) this.#isOutdated = true;
    this.#isComparing = false;
    this.#settle();
  }

  /**
   * The ring cannot keep what it lacks (MI10): its bitmap stands instead. Its link is to be closed, for a session without a
   * hole cannot go on.
   */
  overflowed(): void {
    if (this.#isOutdated) return;
    this.#isOutdated = true;
    this.lost();
  }

  stop(): void {
    this.#isStopped = true;
    this.lost();
  }

  resume(): void {
    // Said of one that runs it changes nothing: that one would never be waited for again.
    if (!this.#isStopped) return;
    this.#isStopped = false;
    this.#settle();
  }

  #settle(): void {
    this.#state = this.#isOutdated ? 'bitmap' : 'journaling';
    if (this.#isFirst) this.#state = 'initialising';
    if (this.#isStopped) this.#state = 'stopped';
  }
}
