/**
 * One target of a source: dials it, meets it, sends it what it lacks, and asks it directly whether it is there (CY7). What a
 * session decides is `TargetLink`'s; this drives it. A link that fails is dialled again for as long as the source runs.
 */
import { dataView, getU64 } from '../../base/bytes.ts';
import { AgentError } from '../../base/errors.ts';
import type { Meeting, Point } from '../core/meeting.ts';
import type { OutOfSync } from '../core/out-of-sync.ts';
import { Pace } from '../core/pace.ts';
import { RegionSet } from '../core/region-set.ts';
import type { TargetLink } from '../core/target-link.ts';
import type { LinkConnection } from '../link/connection.ts';
import { decodeStop, encodeBegin, encodeHello, encodeKnown, encodeStop, GreetingError } from '../link/greeting.ts';
import type { RingPlace } from '../store/ring.ts';
import type { TargetOrder } from '../store/orders.ts';
import { decodeAnswer } from '../target/reports.ts';
import { FRAME_KIND, type Frame } from '../wire/frame.ts';
import { boundBy, dialled, dialSocket } from './dial.ts';
import { ExtraLinks } from './extra-links.ts';
import { pointOf, shakeHands } from './handshake.ts';
import { Inquiry, type TargetHealth } from './inquiry.ts';
import { Outflow } from './outflow.ts';
import { resyncOn, type Resync, type ResyncProgress } from './resync.ts';
import { verifyOf, type Verify, type VerifyReport } from './verify.ts';
import { Expected } from './expected.ts';
import { RingCursor } from './ring-cursor.ts';
import { SessionCuts } from './session-cuts.ts';
import { RefusedError } from './session-faults.ts';
import type { SessionHost, SessionOptions } from './session-host.ts';

const AGAIN_MS_MIN = 200;
/** A dial costs next to nothing, and who is back is not to wait for it. */
const AGAIN_MS_MAX = 1000;
/** Who was refused for what only an operator can mend is asked again seldom. */
const REFUSED_AGAIN_MS = 3000;
/** Much more seldom one that broke off what it had begun for such a reason: to begin it again may mean to read whole volumes. */
const BROKEN_AGAIN_MS = 600_000;
/** How often one that keeps a history is told how far everything was written. */
const KNOWN_MS = 1000;

export class TargetSession {
  readonly link: TargetLink;
  /** What the target may lack, by chunks. */
  readonly lacks: OutOfSync;
  readonly cuts: SessionCuts;
  readonly #options: SessionOptions;
  readonly #host: SessionHost;
  #connection: LinkConnection | null = null;
  /** The same, from its dialling on: until the greeting is over there is no session yet. */
  #dialled: LinkConnection | null = null;
  /** Why no session is to come of the attempt that runs. */
  #ending: string | null = null;
  readonly #outflow: Outflow;
  readonly #greeting: Expected;
  #freed: number;
  /** While they meet: the ring keeps entries for an outdated target again. */
  #isKeeping = false;
  #unanswered = 0;
  #begun = 0;
  #resync: Resync | null = null;
  /** The last one, or the one that runs. */
  #verify: Verify | null = null;
  /** While they meet: written to behind what was durable when they began to. */
  #writtenMeanwhile: RegionSet | null = null;
  /** What an operator asked for, until it is done. */
  #order: TargetOrder;
  /** It has answered in a session of this process: its marks are ours. */
  #isMet = false;
  #isStopped = false;
  /** In words: why the last session ended. */
  #problem: string | null = null;
  /** Of the session: the target has begun it too. */
  #isTaken = false;
  /** Of the session: the target ended what it had begun, and only an operator can mend why. */
  #isBroken = false;
  #wake: (() => void) | null = null;
  #told = '';
  #linkedMs = 0;
  /** On a connection of its own, from the first report on. */
  #inquiry: Inquiry | null = null;
  /** From then on too. */
  #extras: ExtraLinks | null = null;
  readonly #pace: Pace;
  #view: Parameters<typeof encodeHello>[0] | null = null;
  #health: TargetHealth = { journalErrno: 0, volumesErrno: 0 };
  #ringBytes = Infinity;
  /** Of the session: the target keeps a history. */
  #isFollowed = false;
  /** The target has said that it will not have us. */
  #isRefused = false;

  constructor(options: SessionOptions, link: TargetLink, lacks: OutOfSync, host: SessionHost) {
    this.#options = options;
    this.link = link;
    this.lacks = lacks;
    this.cuts = new SessionCuts(host.keepsTransfers);
    this.#host = host;
    this.#pace = new Pace(options.bytesPerSecond);
    this.#outflow = new Outflow(host, this.cuts, () => this.#resync);
    this.#greeting = new Expected(host.machine);
    this.#freed = host.oldest.position;
    this.#order = options.order;
    if (this.#order.isPaused) link.stop();
  }

  /** What an operator has said, and is not over, and when it was scanned: for a superblock to keep. */
  get order(): TargetOrder {
    return this.#order;
  }

  /** It has answered in a session of this process, and goes by what it heard in it. */
  get isMet(): boolean {
    return this.#isMet;
  }

  /** Dials for as long as nobody stops it. */
  start(): void {
    void this.#run();
  }

  stop(reason: string): void {
    this.#isStopped = true;
    this.#connection?.send(FRAME_KIND.stop, this.link.session, 0, 0, encodeStop({ reason, again: true }));
    this.#end(reason);
    this.#wake?.();
  }

  /** Ends the connection: the next one says anew who we are. */
  redial(reason: string): void {
    this.#end(reason);
  }

  /** Nothing of the ring before this position is needed for the target. */
  get freed(): number {
    return this.link.isOutdated && !this.#isKeeping ? Infinity : this.#freed;
  }

  /** The same, had it no bitmap. */
  get kept(): number {
    return this.#freed;
  }

  /** Bytes that were appended and are not known to be durable there. */
  get behindBytes(): number {
    return this.#host.ring.head - this.#freed;
  }

  /** Room for arrivals, as it last said. */
  get roomBytes(): number {
    return this.#outflow.roomBytes;
  }

  /** That carry transfers. */
  get connections(): number {
    return this.#outflow.connections;
  }

  /** The session that was begun last. */
  get begun(): number {
    return this.#begun;
  }

  /** Once in a session: who read of its loss waits for this. */
  tellInSync(): void {
    const ms = Math.round(this.#host.machine.clock.monotonicMs() - this.#linkedMs);
    this.#host.tell({ kind: 'target-in-sync', target: this.#options.name, ms });
  }

  /** It could not take any entry for sure: what it holds has to be committed before more of it comes. */
  get isShortOfRoom(): boolean {
    return this.roomBytes < this.#host.ring.windowBytes;
  }

  /** How the storage of the target is, as it last said. */
  get health(): TargetHealth {
    return this.#health;
  }

  /** The largest cycle that surely fits into its journal, beside the one that is being applied; `Infinity` before we know. */
  get cycleBytesMax(): number {
    return this.#ringBytes / 4;
  }

  /** Nothing may be committed there before this cycle: what it lacks comes as one. */
  get heldUntil(): number {
    return this.#resync?.heldUntil ?? 0;
  }

  /** Of a comparison; null when none runs. */
  get resync(): ResyncProgress | null {
    return this.#resync?.progress ?? null;
  }

  /** Nothing that is noted says what differs: all may. */
  get isScanning(): boolean {
    return this.link.state === 'scanning' || this.link.state === 'initialising';
  }

  /** Why there is no session, or the last one ended; null while all is well. */
  get problem(): string | null {
    return this.#connection && !this.#resync ? null : this.#problem;
  }

  /** A write was admitted. Bytes. */
  note(volume: number, offset: number, length: number): void {
    this.lacks.note(volume, offset, length);
    this.#writtenMeanwhile?.mark(volume, offset, length);
    this.#resync?.note(volume, offset, length);
    this.#verify?.note(volume, offset, length);
  }

  /** The ring has no room for what it lacks (MI10): from now on its bitmap stands for that. */
  overflowed(): void {
    if (this.#resync?.moveBase() === true) return;
    this.link.overflowed();
    this.#connection?.end('the journal is full of what the target lacks: it is compared when it can take more');
  }

  /** Bytes that may gather behind a resync's base before hosts stand still; `Infinity`: as many as the ring takes. */
  get paceBytes(): number {
    if (this.#resync?.isSlowing !== true) return Infinity;
    return Math.min(this.#host.ring.ringBytes / 2, this.roomBytes / 4);
  }

  /** Half of the ring is kept for it. */
  ringIsFilling(): void {
    this.#resync?.ringIsFilling();
  }

  /** An operator's pause: no link, and nothing is waited for. */
  pause(): void {
    this.#order = { ...this.#order, isPaused: true };
    this.link.stop();
    this.#connection?.send(FRAME_KIND.stop, this.link.session, 0, 0, encodeStop({ reason: 'paused', again: true }));
    this.#end('paused by an operator');
    this.#host.changed();
  }

  resume(): void {
    this.#order = { ...this.#order, isPaused: false };
    this.link.resume();
    this.#wake?.();
  }

  /** Compares everything, whatever is known of the copy. */
  compareAll(isInPlace: boolean): void {
    this.#order = { ...this.#order, compare: isInPlace ? 'in place' : 'staged' };
    this.#end('all is to be compared: an operator says so');
    this.#wake?.();
  }

  /** Of the last scrub, or of the one that runs; null when there was none. */
  get verified(): VerifyReport | null {
    return this.#verify?.report ?? null;
  }

  /** Compares the copy with what is here, and mends nothing. Throws an AgentError when it is not in sync. */
  verify(): void {
    const connection = this.#connection;
    const { link } = this;
    if (this.#verify?.report.state === 'running') return;
    if (!connection || this.#resync || (link.state !== 'in-sync' && link.state !== 'replicating')) {
      throw new AgentError('failed', `target ${link.name} is ${link.state}: what is in sync can be verified`);
    }
    const { session } = link;
    this.#verify = verifyOf(
      this.#host,
      link,
      (report) => this.#verified(report),
      (kind, id, count, ...pieces) => connection.send(kind, session, id, count, ...pieces),
    );
  }

  /** All of it has just been compared, or the count to that begins. */
  scannedNow(): void {
    this.#order = { ...this.#order, scanned: Math.floor(this.#host.machine.clock.wallMs() / 1000) };
    this.#host.ordered();
  }

  /** What was found is told once: nobody may have asked. */
  #verified({ differences: [first], differingBytes }: VerifyReport): void {
    this.scannedNow();
    if (!first) return;
    const where = `the first ${first.length} from ${first.offset} on of volume ${first.volume}`;
    const reason = `${differingBytes} bytes of the copy differ, ${where}: stillbeat mirror resync mends it`;
    this.#host.tell({ kind: 'target-differs', target: this.link.name, reason });
  }

  /** Something was appended. */
  appended(): void {
    this.#outflow.appended();
  }

  /** Commits up to this cycle, whose last mark is at `point`; null where that is not known any more. */
  commit(cycle: number, point: Point | null): void {
    const { session } = this.link;
    // First: it may show that cut before it says so.
    if (point) this.lacks.mayShow(point);
    this.#resync?.committed(cycle);
    this.#connection?.send(FRAME_KIND.commit, session, cycle);
  }

  /** Redoes entries up to this mark, or as far as is committed. */
  roll(mark: number): void {
    this.#connection?.send(FRAME_KIND.roll, this.link.session, mark);
  }

  async #run(): Promise<void> {
    let pauseMs = AGAIN_MS_MIN;
    while (!this.#isStopped) {
      if (this.#order.isPaused) {
        await this.#pause(REFUSED_AGAIN_MS);
        continue;
      }
      [this.#isTaken, this.#isBroken] = [false, false];
      const beganMs = this.#host.machine.clock.monotonicMs();
      const reason = await this.#session().catch((error: unknown) => error);
      const isRefused = this.#isRefused || reason instanceof RefusedError;
      this.#isRefused = false;
      this.#lost(reason instanceof Error ? reason.message : String(reason), isRefused);
      // A link that held for a while is dialled at once.
      const heldMs = this.#host.machine.clock.monotonicMs() - beganMs;
      pauseMs = heldMs > AGAIN_MS_MAX ? AGAIN_MS_MIN : Math.min(pauseMs * 2, AGAIN_MS_MAX);
      const longMs = this.#isBroken ? BROKEN_AGAIN_MS : isRefused ? REFUSED_AGAIN_MS : pauseMs;
      if (!this.#isStopped) await this.#pause(longMs);
    }
  }

  /** Whatever was agreed on in a greeting is void: it does not become a session any more. */
  #end(reason: string): void {
    this.#ending ??= reason;
    this.#dialled?.end(reason);
  }

  /** Throws when it was ended while something was waited for. */
  #checkWanted(): void {
    if (this.#ending !== null) throw new Error(this.#ending);
  }

  /** Waits, unless somebody wakes it. */
  async #pause(ms: number): Promise<void> {
    await new Promise<void>((resolve) => {
      const cancel = this.#host.machine.timers.after(ms, resolve);
      this.#wake = () => {
        cancel();
        resolve();
      };
    });
    this.#wake = null;
  }

  #lost(reason: string, isRefused: boolean): void {
    const { name } = this.#options;
    this.#connection = null;
    this.#dialled = null;
    this.#outflow.end();
    this.#isKeeping = false;
    this.#verify?.end(`the session ended: ${reason}`);
    this.#inquiry?.end();
    this.#extras?.end();
    [this.#inquiry, this.#extras] = [null, null];
    this.#health = { journalErrno: 0, volumesErrno: 0 };
    this.#resync?.end();
    this.#resync = null;
    this.#problem = reason;
    this.link.lost();
    this.#host.changed();
    // The same again is no news: it is tried every few seconds.
    if (this.#isStopped || reason === this.#told) return;
    this.#told = reason;
    this.#host.tell({ kind: isRefused ? 'target-refused' : 'target-lost', target: name, reason });
  }

  /** One connection, from its dialling to its end; answers why it ended. */
  async #session(): Promise<string> {
    this.#ending = null;
    let end: (reason: string) => void = () => {};
    const closed = new Promise<string>((resolve) => (end = resolve));
    const events = {
      frame: (frame: Frame, body: Uint8Array) => this.#frame(frame, body),
      drain: () => this.#outflow.pump(),
      closed: (reason: string) => {
        this.#greeting.fail(reason);
        end(reason);
      },
    };
    const connection = await dialled(this.#options, this.#host, events, this.#pace);
    this.#dialled = connection;
    const { timers } = this.#host.machine;
    const stopInquiries = timers.every(this.#options.inquiry.intervalMs, () => this.#inquire());
    let stopTelling = (): void => {};
    try {
      this.#checkWanted();
      await this.#greet(connection);
      if (this.#isFollowed) stopTelling = timers.every(KNOWN_MS, () => this.#tellKnown());
      return await closed;
    } finally {
      stopInquiries();
      stopTelling();
      connection.end('the session is over');
    }
  }

  /** What is stamped from now on is stamped later. */
  #tellKnown(): void {
    const { newest, machine } = this.#host;
    const now = Math.floor(machine.clock.wallMs());
    this.#connection?.send(
      FRAME_KIND.known,
      this.link.session,
      newest,
      0,
      encodeKnown(now, now - machine.clock.monotonicMs()),
    );
  }

  /** Hello, welcome, begin: afterwards entries flow. Throws when they cannot. */
  async #greet(connection: LinkConnection): Promise<void> {
    const host = this.#host;
    this.#writtenMeanwhile = new RegionSet(host.compared.volumes, true);
    if (this.link.isOutdated) {
      // Nothing of the ring was kept for it: from here on it is, or a comparison would begin with a hole.
      this.#freed = host.ring.head;
      this.#isKeeping = true;
    }
    const isMet = this.#isMet;
    const parts = { connection, host, greeting: this.#greeting, lacks: this.lacks, order: this.#order, isMet };
    const { view, welcome, meeting, cursor: held, present } = await shakeHands(parts);
    this.#view = view;
    this.#ringBytes = welcome.ringBytes || Infinity;
    this.#outflow.roomBytes = welcome.roomBytes;
    this.#isFollowed = welcome.isFollowed;
    if (meeting.how === 'refuse') {
      connection.send(FRAME_KIND.stop, 0, 0, 0, encodeStop({ reason: meeting.reason, again: false }));
      this.link.met(meeting);
      if (meeting.rival) host.rival(meeting.rival, meeting.reason);
      throw new RefusedError(meeting.reason);
    }
    const cursor = meeting.how === 'replay' ? held : new RingCursor(host.ring, present, host.readFile);
    if (meeting.how === 'replay') await cursor.seek(meeting.from);
    this.#checkWanted();
    // Its bitmap was in force, and while it was looked for nothing kept it.
    if (!host.keepFrom(cursor.place.position)) throw new Error('what it lacks has been let go of');
    // A new one in any case: of the number that an attempt before bore, frames may still be under way.
    do this.link.nextSession();
    while (this.link.session <= welcome.session);
    const session = this.link.session;
    // A comparison needs no common point: what is not in an entry behind the present one is compared.
    const begins = meeting.how === 'replay' ? meeting : { ...meeting, from: present.mark };
    this.link.met(begins);
    this.#isKeeping = false;
    const { checksum } = host.compared;
    const isFirst = meeting.how !== 'replay' && meeting.isFirst;
    const isInPlace = isFirst && this.#order.compare === 'in place';
    const begin = { how: meeting.how, from: pointOf(cursor.place), isFirst, isInPlace, checksum };
    // What it shows now: every write behind that was, or is, noted.
    if (meeting.how === 'replay') this.lacks.mayShow(welcome.cut);
    connection.send(FRAME_KIND.begin, session, 0, 0, encodeBegin(begin));
    this.#connection = connection;
    const isOneOfSeveral = this.#options.connections > 1;
    this.#outflow.begin({ connection, session, cursor, windowBytes: welcome.windowBytes, isOneOfSeveral });
    this.cuts.begin(begins.from, welcome.roomBytes);
    // What it did while nobody heard it.
    if (meeting.how === 'replay') this.link.appliedUpTo(welcome.cut.mark);
    this.#freed = cursor.place.position;
    this.#begun = session;
    this.#unanswered = 0;
    this.#told = '';
    // Before a word of it can be written over: what lies before is compared.
    if (meeting.how !== 'replay') this.#compare(connection, this.#todo(meeting), cursor.place, isFirst);
    this.#writtenMeanwhile = null;
    this.#linkedMs = host.machine.clock.monotonicMs();
    host.tell({ kind: 'target-linked', target: this.#options.name, how: meeting.how, from: begins.from });
    host.changed();
    this.#outflow.pump();
  }

  /** What may differ. */
  #todo(meeting: Exclude<Meeting, { how: 'replay' | 'refuse' }>): RegionSet {
    if (meeting.how === 'scan') return RegionSet.all(this.#host.compared.volumes, true);
    const todo = this.lacks.regions();
    for (const run of meeting.also ?? []) todo.addRun(run);
    return todo;
  }

  /** Answers the target's questions until it is whole. `base`: what lies before it is in no entry that is sent. */
  #compare(connection: LinkConnection, todo: RegionSet, base: RingPlace, isInPlace: boolean): void {
    const host = this.#host;
    const { session } = this.link;
    const dirty = this.#writtenMeanwhile ?? new RegionSet(host.compared.volumes, true);
    const own = { rebase: (place: RingPlace) => this.#rebase(place), flow: () => this.#outflow.pump() };
    this.#resync = resyncOn(connection, session, host, own, { todo, dirty, base, isInPlace });
  }

  /** Entries are sent from `place` on. */
  #rebase(place: RingPlace): void {
    this.#outflow.rebase(place);
    this.#freed = place.position;
    this.#host.changed();
  }

  #frame(frame: Frame, body: Uint8Array): void {
    if (frame.kind === FRAME_KIND.welcome) return this.#greeting.come(body);
    if (frame.kind === FRAME_KIND.stop) return this.#stopped(body);
    // A late word of an earlier session says nothing of this one.
    if (frame.session !== this.link.session) return;
    this.#outflow.heard();
    switch (frame.kind) {
      case FRAME_KIND.stored:
        return this.#stored(frame.id, body);
      case FRAME_KIND.sealed:
        this.link.sealedUpTo(frame.id);
        break;
      case FRAME_KIND.applied:
        this.#applied(frame.id);
        break;
      case FRAME_KIND.want:
        if (!this.cuts.wanted(frame.id, body)) return this.#connection?.end('a wish that cannot be read');
        break;
      case FRAME_KIND.ask:
        return (this.#resync ?? this.#verify)?.asked(frame.id, body);
      case FRAME_KIND.answer:
        this.#outflow.answered(frame.id);
        return this.#answered(decodeAnswer(body));
      default:
        return this.#connection?.end(`a frame of kind ${frame.kind}, which a target does not send`);
    }
    this.#host.changed();
  }

  #applied(cut: number): void {
    this.link.appliedUpTo(cut);
    this.cuts.onApplied(cut);
    this.lacks.shows(cut, this.#host.newest);
    if (this.#resync?.isWholeWith(cut) !== true) return;
    this.#resync.end();
    this.#resync = null;
    const isAll = this.isScanning || this.#order.compare !== null;
    this.link.resynced();
    if (!isAll) return;
    this.#order = { ...this.#order, compare: null };
    this.scannedNow();
  }

  #stopped(body: Uint8Array): void {
    let stop = { reason: 'the target stopped the session', again: true };
    try {
      stop = decodeStop(body);
      this.#isRefused = !stop.again;
    } catch (error) {
      if (!(error instanceof GreetingError)) throw error;
    }
    // Who refuses to begin, for one that another source is there, may let us in soon: that source may be gone.
    this.#isBroken = this.#isTaken && !stop.again;
    this.#greeting.fail(stop.reason);
    this.#connection?.end(stop.reason);
  }

  #stored(received: number, body: Uint8Array): void {
    if (body.length < 16) return this.#connection?.end('a report that is too short');
    const view = dataView(body);
    const durable = getU64(view, 0);
    this.#outflow.roomBytes = getU64(view, 8);
    this.cuts.room(this.roomBytes);
    [this.#isMet, this.#isTaken] = [true, true];
    this.#join();
    this.link.stored(received, durable);
    this.#freed = this.#outflow.stored(received, durable);
    this.#host.changed();
    this.#outflow.pump();
  }

  /** The session's other connections. */
  #join(): void {
    const [view, { session }] = [this.#view, this.link];
    if (!view || this.#inquiry) return;
    const host = this.#host;
    const { name, connections } = this.#options;
    const parts = {
      machine: host.machine,
      dial: () => dialSocket(this.#options, host),
      hello: () => encodeHello(view, host.policy, session),
      answered: (health: TargetHealth) => this.#answered(health),
    };
    this.#inquiry = new Inquiry(session, parts, parts.answered);
    this.#extras = new ExtraLinks({
      ...parts,
      count: connections - 1,
      bound: boundBy(this.#pace, host),
      outflow: this.#outflow,
      lost: (reason) => host.tell({ kind: 'target-connection-lost', target: name, reason }),
    });
  }

  #answered(health: TargetHealth | null): void {
    this.#unanswered = 0;
    if (health) this.#health = health;
  }

  #inquire(): void {
    const connection = this.#connection;
    if (!connection) return;
    const { misses } = this.#options.inquiry;
    if (this.#unanswered >= misses) return connection.end(`no answer to ${misses} inquiries`);
    this.#unanswered++;
    this.#outflow.ask(this.#options.inquiry.intervalMs, this.#health.journalErrno !== 0);
    this.#inquiry?.ask();
  }
}
