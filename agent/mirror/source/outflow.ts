/**
 * What leaves for a target in a session: entries from its place in the ring on, and parts of checkpoint lists, for as long as link
 * and target take them.
 */
import type { LinkConnection } from '../link/connection.ts';
import type { RingPlace } from '../store/ring.ts';
import { FRAME_KIND } from '../wire/frame.ts';
import type { Resync } from './resync.ts';
import { RingCursor } from './ring-cursor.ts';
import { Sent } from './sent.ts';
import type { SessionCuts } from './session-cuts.ts';
import type { SessionHost } from './session-host.ts';

const BATCH_BYTES = 256 * 1024;

/** A session as long as it lasts. */
interface Running {
  readonly connection: LinkConnection;
  readonly session: number;
  cursor: RingCursor;
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

  begin(connection: LinkConnection, session: number, cursor: RingCursor): void {
    this.#running = { connection, session, cursor };
    this.#transfer = 0;
    this.#sent.begin(cursor.place.position);
  }

  end(): void {
    this.#running = null;
  }

  /** Entries are sent from `place` on. */
  rebase(place: RingPlace): void {
    if (this.#running) this.#running.cursor = new RingCursor(this.#host.ring, place, this.#host.readFile);
    this.#sent.begin(place.position);
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

  /** Sends what is there, as long as the link takes it. */
  pump(): void {
    const running = this.#running;
    if (!running || this.#isLoading) return;
    const { connection, cursor } = running;
    const resync = this.#resync();
    resync?.pump();
    if (this.#resync()?.isFlowing === false) return;
    while (connection.isOpen && !connection.isFull) {
      const batch = this.#hasRoom ? cursor.take(BATCH_BYTES) : null;
      if (batch) this.#send(running, batch);
      if (!this.#sendCheckpoint(running) && !batch) break;
    }
    if (!connection.isFull && this.#hasRoom && !cursor.isAtEnd) void this.#load(running);
  }

  /** What the target cannot take would stand before the COMMIT that gives it room. One transfer may be too much. */
  get #hasRoom(): boolean {
    // Nothing that a comparison has staged gives room before all of it is there: the target is to say that it does not fit.
    if (this.#resync()?.isInPlace === false) return true;
    return this.#sent.underWay < this.#roomBytes;
  }

  #send(
    { connection, session, cursor: { place } }: Running,
    { bytes, count }: { bytes: Uint8Array; count: number },
  ): void {
    connection.send(FRAME_KIND.entries, session, ++this.#transfer, count, bytes);
    this.#cuts.sent(this.#transfer, place.mark, count);
    this.#sent.sent(place.mark, place.position);
  }

  /** The next part of a list; false when there is none. */
  #sendCheckpoint({ connection, session }: Running): boolean {
    const next = this.#cuts.next();
    if (next) connection.send(FRAME_KIND.checkpoint, session, next.cut, next.count, ...next.pieces);
    return next !== null;
  }

  /** What the window has lost comes from the file. */
  async #load(running: Running): Promise<void> {
    const { connection, cursor } = running;
    this.#isLoading = true;
    try {
      const batch = await cursor.load(BATCH_BYTES);
      // Meanwhile the base may have moved on.
      if (batch && running === this.#running && cursor === running.cursor) this.#send(running, batch);
    } catch (error) {
      connection.end(error instanceof Error ? error.message : String(error));
      return;
    } finally {
      this.#isLoading = false;
    }
    if (running === this.#running) this.pump();
  }
}
