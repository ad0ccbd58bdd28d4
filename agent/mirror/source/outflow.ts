/**
 * What leaves for a target in a session: entries from its place in the ring on, over one connection or several, and parts of checkpoint
 * lists, for as long as connections and target take them.
 *
 * In any order goes only what surely fits into the target's ring in any order; what may not fit goes on the first connection alone,
 * when all that left on the others has arrived.
 */
import type { LinkConnection } from '../link/connection.ts';
import { bytesInAnyOrder, type RingPlace } from '../store/ring.ts';
import { FRAME_KIND } from '../wire/frame.ts';
import { DataLink } from './data-link.ts';
import type { Resync } from './resync.ts';
import { RingCursor, type Batch } from './ring-cursor.ts';
import { Sent } from './sent.ts';
import type { SessionCuts } from './session-cuts.ts';
import type { SessionHost } from './session-host.ts';

const BATCH_BYTES = 256 * 1024;
/** What the first connection may hold before a question: lists and images, in its socket and in the kernels. */
const UNASKED_BYTES = 8 * 1024 * 1024;

export interface SessionBegin {
  readonly connection: LinkConnection;
  readonly session: number;
  readonly cursor: RingCursor;
  /** Of the target's journal. */
  readonly windowBytes: number;
  /** More connections are to join. */
  readonly isOneOfSeveral: boolean;
}

/** A session as long as it lasts. */
interface Running extends Pick<SessionBegin, 'session' | 'windowBytes'> {
  readonly first: DataLink;
  readonly extras: Set<DataLink>;
  cursor: RingCursor;
  /** Taken out of the ring, and not sent yet: it ends there. */
  next: { readonly batch: Batch; readonly place: RingPlace } | null;
  /** Of all entries that were sent. */
  longest: number;
  /** Behind what was last sent on another connection than the first. */
  spreadEnd: number;
}

type OutflowHost = Pick<SessionHost, 'machine' | 'ring' | 'readFile'>;

export class Outflow {
  readonly #host: OutflowHost;
  readonly #cuts: SessionCuts;
  readonly #resync: () => Resync | null;
  readonly #sent: Sent = new Sent();
  #running: Running | null = null;
  #transfer = 0;
  #roomBytes = 0;
  #isLoading = false;
  #isPumping = false;

  /** `resync`: the comparison that runs, which may hold entries back. */
  constructor(host: OutflowHost, cuts: SessionCuts, resync: () => Resync | null) {
    this.#host = host;
    this.#cuts = cuts;
    this.#resync = resync;
  }

  /** Room for arrivals, as the target last said. */
  get roomBytes(): number {
    return this.#roomBytes;
  }

  set roomBytes(bytes: number) {
    this.#roomBytes = bytes;
  }

  /** Connections that carry transfers. */
  get connections(): number {
    return this.#running ? 1 + this.#running.extras.size : 0;
  }

  begin({ connection, session, cursor, windowBytes, isOneOfSeveral }: SessionBegin): void {
    const first = new DataLink(connection, isOneOfSeveral, UNASKED_BYTES);
    const nothing = { next: null, longest: 0, spreadEnd: 0 };
    this.#running = { session, first, extras: new Set(), cursor, windowBytes, ...nothing };
    this.#transfer = 0;
    this.#sent.begin(cursor.place);
  }

  end(): void {
    this.#running = null;
  }

  /** A connection that the target has let into the session. */
  join(link: DataLink): void {
    this.#running?.extras.add(link);
    this.pump();
  }

  /** It is lost: what it held, and all behind that, goes once more on the others. */
  leave(link: DataLink): void {
    const running = this.#running;
    if (running?.extras.delete(link) !== true || link.end <= this.#sent.taken) return;
    const place = this.#sent.goBack();
    if (!place) return;
    this.#restart(running, place);
    running.spreadEnd = Math.min(running.spreadEnd, place.position);
    this.#cuts.sentAgain(place.mark);
    this.pump();
  }

  /** Entries are sent from `place` on. */
  rebase(place: RingPlace): void {
    if (this.#running) this.#restart(this.#running, place);
    this.#sent.begin(place);
  }

  #restart(running: Running, place: RingPlace): void {
    running.cursor = new RingCursor(this.#host.ring, place, this.#host.readFile);
    running.next = null;
  }

  /** The direct question, `afterMs` behind the one before, on each connection. `isBusy`: the target is known to take nothing. */
  ask(afterMs: number, isBusy: boolean): void {
    if (!this.#running) return;
    const { first, extras, session } = this.#running;
    for (const link of [first, ...extras]) {
      if (link.ask(session, afterMs, isBusy)) link.connection.end('it has brought no answer for too long');
    }
  }

  /** The first connection has brought something: it is not only the inquiry's that lives. */
  heard(): void {
    this.#running?.first.heard();
  }

  /** On the first connection, to a question behind this transfer. */
  answered(transfer: number): void {
    this.#running?.first.answered(transfer);
  }

  /** The target has these marks. Gives the position behind what is durable there. */
  stored(received: number, durable: number): number {
    return this.#sent.stored(received, durable);
  }

  /** Something was appended. */
  appended(): void {
    if (this.#isPumping || !this.#running) return;
    this.#isPumping = true;
    this.#host.machine.timers.soon(() => {
      this.#isPumping = false;
      this.pump();
    });
  }

  /** Sends what is there, as long as the connections take it. */
  pump(): void {
    const running = this.#running;
    if (!running || this.#isLoading) return;
    const { first } = running;
    this.#resync()?.pump();
    if (this.#resync()?.isFlowing === false) return;
    let isMore = true;
    while (isMore && first.connection.isOpen) {
      const isSent = this.#sendNext(running);
      isMore = (first.takesMore && this.#sendCheckpoint(running)) || isSent;
    }
    if (!running.next && this.#takesMore(running) && !running.cursor.isAtEnd) void this.#load(running);
  }

  #takesMore({ first, extras }: Running): boolean {
    return first.takesMore || [...extras].some(({ takesMore }) => takesMore);
  }

  /** Sends the next transfer, if the window has it; false when there is none, or it has to wait. */
  #sendNext(running: Running): boolean {
    const { cursor, session } = running;
    if (!running.next) {
      const batch = this.#takesMore(running) ? cursor.take(BATCH_BYTES) : null;
      if (!batch) return false;
      running.next = { batch, place: cursor.place };
    }
    const { batch, place } = running.next;
    const link = this.#linkFor(running, batch);
    if (!link) return false;
    running.next = null;
    running.longest = Math.max(running.longest, batch.longest);
    if (link !== running.first) running.spreadEnd = place.position;
    link.end = place.position;
    link.send(session, ++this.#transfer, batch);
    this.#cuts.sent(this.#transfer, place.mark, batch.count);
    this.#sent.sent(place);
    return true;
  }

  /** The connection that a transfer goes on now; null: it has to wait. */
  #linkFor(running: Running, batch: Batch): DataLink | null {
    const { first, extras, spreadEnd } = running;
    if (extras.size > 0 && this.#fitsInAnyOrder(running, batch)) {
      const free = [first, ...extras].filter(({ takesMore }) => takesMore);
      return free.reduce<DataLink | null>((a, b) => (a && a.waitingBytes <= b.waitingBytes ? a : b), null);
    }
    return first.takesMore && this.#hasRoom && spreadEnd <= this.#sent.taken ? first : null;
  }

  /** Whatever of it and of what is under way arrives first, the rest has room too. What a comparison stages gives none back. */
  #fitsInAnyOrder({ longest, windowBytes }: Running, batch: Batch): boolean {
    if (this.#resync()) return false;
    const bytes = this.#sent.underWay + batch.bytes.length;
    return bytesInAnyOrder(bytes, Math.max(longest, batch.longest), { windowBytes }) <= this.#roomBytes;
  }

  /** What the target cannot take would stand before the COMMIT that gives it room. One transfer may be too much. */
  get #hasRoom(): boolean {
    // Nothing that a comparison has staged gives room before all of it is there: the target is to say that it does not fit.
    if (this.#resync()?.isInPlace === false) return true;
    return this.#sent.underWay < this.#roomBytes;
  }

  /** The next part of a list; false when there is none. */
  #sendCheckpoint({ first: { connection }, session }: Running): boolean {
    const next = this.#cuts.next();
    if (next) connection.send(FRAME_KIND.checkpoint, session, next.cut, next.count, ...next.pieces);
    return next !== null;
  }

  /** What the window has lost comes from the file. */
  async #load(running: Running): Promise<void> {
    const { cursor } = running;
    this.#isLoading = true;
    try {
      const batch = await cursor.load(BATCH_BYTES);
      // Meanwhile the base may have moved on.
      if (batch && cursor === running.cursor) running.next = { batch, place: cursor.place };
    } catch (error) {
      running.first.connection.end(error instanceof Error ? error.message : String(error));
      return;
    } finally {
      this.#isLoading = false;
    }
    if (running === this.#running) this.pump();
  }
}
