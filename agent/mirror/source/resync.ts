/**
 * A comparison with one target, from `begin` to the mark R at which the copy is whole (MI11, MI12).
 *
 * Staged, the set of regions is frozen at the session's base B: what is written behind B comes as entries, and these are held
 * back until all that differed is at the target, so that its ring holds each block once. When the ring here cannot keep them so
 * long, B moves on: the entries before it are let go, and the regions that they touched, and no others, are compared once more.
 * After some such passes the hosts are paced in place of another one (MI10): the set is finite, so the pass ends.
 *
 * In place, entries flow beside the comparison from the begin.
 */
import { RegionSet } from '../core/region-set.ts';
import type { Machine } from '../machine.ts';
import type { LinkConnection } from '../link/connection.ts';
import type { RingPlace } from '../store/ring.ts';
import { FRAME_KIND, type FrameKind } from '../wire/frame.ts';
import { Compared, type ComparedParts } from './compared.ts';
import type { SessionHost } from './session-host.ts';

/** Parts of a comparison that are the same for all targets. */
export type ComparedHost = Pick<ComparedParts, 'checksum' | 'volumes' | 'generation' | 'digests' | 'image'>;

export interface ResyncParts {
  readonly machine: Machine;
  readonly compared: ComparedHost;
  send(kind: FrameKind, id: number, count: number, ...pieces: readonly Uint8Array[]): void;
  readonly isFull: boolean;
  /** What was appended so far, when it is durable. */
  durable(): Promise<RingPlace>;
  /** Resolves when all before this position is on the flushed send volumes, or `isOver`. */
  flushed(position: number, isOver: () => boolean): Promise<void>;
  /** Ends the open cycle; its last mark and its number. Resolves when there was room for that. */
  cut(): Promise<{ readonly mark: number; readonly cycle: number }>;
  /** Entries are sent from this place on, and none before it. */
  rebase(place: RingPlace): void;
  /** Entries may be sent. */
  flow(): void;
  failed(error: Error): void;
}

export interface ResyncBegin {
  /** What may differ. */
  readonly todo: RegionSet;
  /** What was written to behind `base` already. */
  readonly dirty: RegionSet;
  /** What lies before it is in no entry that is sent. */
  readonly base: RingPlace;
  readonly isInPlace: boolean;
}

export interface ResyncProgress {
  /** In regions. */
  readonly done: number;
  readonly total: number;
  readonly secondsLeft: number | null;
}

/** Times that the base moves on before hosts are made to wait. */
const FREE_PASSES = 2;

export class Resync {
  readonly #parts: ResyncParts;
  readonly #isInPlace: boolean;
  readonly #compared: Compared;
  readonly #beganMs: number;
  /** Written to behind the base. */
  #dirty: RegionSet;
  #passes = 0;
  #isMoving = true;
  #isFlowing: boolean;
  /** Committed with R: the target may be bringing it in. */
  #isCommitted = false;
  /** The cycle with whose commit the copy is whole, and its last mark. */
  #whole: { readonly mark: number; readonly cycle: number } | null = null;
  #isEnded = false;

  constructor(parts: ResyncParts, { todo, dirty, base, isInPlace }: ResyncBegin) {
    this.#parts = parts;
    this.#beganMs = parts.machine.clock.monotonicMs();
    this.#isInPlace = isInPlace;
    this.#isFlowing = isInPlace;
    this.#dirty = dirty;
    this.#compared = new Compared(
      {
        ...parts.compared,
        send: (kind, count, ...pieces) => parts.send(kind, 0, count, ...pieces),
        get isFull() {
          return parts.isFull;
        },
        done: () => void this.#whenCompared().catch((error: Error) => this.#fail(error)),
        failed: (error) => this.#fail(error),
      },
      todo,
    );
    this.#compared.pause();
    void this.#goOn(base, new RegionSet(parts.compared.volumes, true));
  }

  get isInPlace(): boolean {
    return this.#isInPlace;
  }

  /** Entries are sent. */
  get isFlowing(): boolean {
    return this.#isFlowing;
  }

  /** Nothing may be committed there before this cycle. What is written in place is brought on bit by bit. */
  get heldUntil(): number {
    if (this.#isInPlace) return 0;
    return this.#whole?.cycle ?? Infinity;
  }

  get progress(): ResyncProgress {
    const { done, total } = this.#compared.progress;
    const elapsed = (this.#parts.machine.clock.monotonicMs() - this.#beganMs) / 1000;
    return { done, total, secondsLeft: done > 0 ? Math.round((elapsed * (total - done)) / done) : null };
  }

  /** A write was admitted. */
  note(volume: number, offset: number, length: number): void {
    if (!this.#isInPlace) this.#dirty.mark(volume, offset, length);
  }

  asked(regions: number, body: Uint8Array): void {
    this.#compared.asked(regions, body);
  }

  pump(): void {
    this.#compared.pump();
  }

  /** The target was told to commit up to this cycle. */
  committed(cycle: number): void {
    if (this.#whole && cycle >= this.#whole.cycle) this.#isCommitted = true;
  }

  /** Whether the copy is whole with this cut. */
  isWholeWith(cut: number): boolean {
    return this.#whole !== null && cut >= this.#whole.mark;
  }

  /** Hosts are to be slowed down: what they write while this pass ends has to fit at the target too. */
  get isSlowing(): boolean {
    return !this.#isFlowing && this.#passes >= FREE_PASSES;
  }

  /** The ring is half full of what this target lacks: its room is given back before anybody has to wait. */
  ringIsFilling(): void {
    if (!this.#isFlowing && this.#passes < FREE_PASSES) this.moveBase();
  }

  /** Lets go of the entries that the target lacks; their regions are compared once more. False when that cannot be. */
  moveBase(): boolean {
    if (this.#isInPlace || this.#isEnded || this.#isCommitted) return false;
    if (this.#isMoving) return true;
    this.#isMoving = true;
    this.#isFlowing = false;
    this.#whole = null;
    this.#passes++;
    this.#compared.pause();
    const dirty = this.#dirty;
    this.#dirty = new RegionSet(this.#parts.compared.volumes, true);
    // The base is what is appended now: what comes later is in the new set.
    const base = this.#parts.durable();
    void base.then((place) => this.#moved(place, dirty)).catch((error: Error) => this.#fail(error));
    return true;
  }

  /** The connection is gone. */
  end(): void {
    this.#isEnded = true;
    this.#compared.end();
  }

  #moved(place: RingPlace, dirty: RegionSet): void {
    if (this.#isEnded) return;
    this.#parts.send(FRAME_KIND.rebase, place.mark, 0, encodeRebase(place.chain));
    this.#parts.rebase(place);
    void this.#goOn(place, dirty);
  }

  /**
   * A digest of what is not there yet could be equal to the copy's, and what was written since would be missing. Not there is also
   * what a failed flush takes back.
   */
  async #goOn({ position }: RingPlace, regions: RegionSet): Promise<void> {
    try {
      await this.#parts.flushed(position, () => this.#isEnded);
    } catch (error) {
      return this.#fail(error as Error);
    }
    this.#isMoving = false;
    if (!this.#isEnded) this.#compared.again(regions);
  }

  async #whenCompared(): Promise<void> {
    if (this.#isMoving) return;
    const pass = this.#passes;
    this.#isFlowing = true;
    this.#parts.flow();
    const whole = await this.#parts.cut();
    if (this.#isEnded || pass !== this.#passes) return;
    this.#whole = whole;
    this.#parts.send(FRAME_KIND.resynced, whole.mark, 0);
  }

  #fail(error: Error): void {
    if (!this.#isEnded) this.#parts.failed(error);
  }
}

function encodeRebase(chain: bigint): Uint8Array {
  const body = new Uint8Array(8);
  new DataView(body.buffer).setBigUint64(0, chain, true);
  return body;
}

/** With a target's session, over its connection. */
export const resyncOn = (
  connection: Pick<LinkConnection, 'send' | 'isFull' | 'end'>,
  session: number,
  host: SessionHost,
  own: Pick<ResyncParts, 'rebase' | 'flow'>,
  begin: ResyncBegin,
): Resync =>
  new Resync(
    {
      ...own,
      machine: host.machine,
      compared: host.compared,
      send: (kind, id, count, ...pieces) => connection.send(kind, session, id, count, ...pieces),
      get isFull() {
        return connection.isFull;
      },
      durable: async () => host.durable(),
      flushed: async (position, isOver) => host.flushed(position, isOver),
      cut: async () => host.cut(),
      failed: (error) => connection.end(error.message),
    },
    begin,
  );
