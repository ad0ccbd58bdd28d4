/**
 * A target's order: what has arrived, how far it is whole, what is sealed, what is committed (CY2 to CY4, MI4, MI5). Knows
 * no disk and no link: it is told what came and what became durable, and says what is to be done.
 */
import { MarkPrefix } from './prefix.ts';
import type { Point } from './meeting.ts';
import { redoOrder } from './redo.ts';

/** An entry as it lies in the arrival journal. */
export interface Arrival {
  readonly isImage: false;
  readonly mark: number;
  readonly cycle: number;
  readonly isSeal: boolean;
  /** Digest over all entries up to this one, as the entry says. */
  readonly chain: bigint;
  /** Where it begins in the arrival journal, ever growing. */
  readonly position: number;
  /** Where the next one begins. */
  readonly end: number;
}

export interface Image {
  readonly isImage: true;
  /** The mark that it was read behind. */
  readonly mark: number;
  readonly position: number;
  readonly end: number;
}

export type ReceiverAction =
  /** Told to the source: all marks up to these are in memory, and durable. */
  | { readonly do: 'stored'; readonly received: number; readonly durable: number }
  /** Told to the source: this cycle and all before it are durable here, and their chain agrees. */
  | { readonly do: 'sealed'; readonly cycle: number }
  /** Nothing more is taken in this session: for the operator and the source. */
  | { readonly do: 'trip'; readonly reason: string };

/** What a superblock keeps. */
export interface ReceiverState {
  readonly session: number;
  readonly cut: Point;
  readonly committed: number;
}

export class Receiver {
  #session: number;
  /** The session that is open: entries of another change nothing. */
  #open: number | null = null;
  #received: MarkPrefix;
  #durable: MarkPrefix;
  #cut: Point;
  #committed: number;
  /** By mark: beyond the cut, those that are here. */
  readonly #arrivals = new Map<number, Arrival>();
  /** In the order of their positions: not durable yet. */
  readonly #unflushed: (Arrival | Image)[] = [];
  #images: Image[];
  #imagesDurable: number;
  /** Chain verified up to here. */
  #verified: Point;
  /** Seals within the verified durable prefix, not committed yet: cycle and mark. */
  readonly #seals: { cycle: number; mark: number }[] = [];
  #sealedSaid = 0;
  readonly #chainOf: (arrival: Arrival, previous: bigint) => bigint;

  /**
   * `chainOf`: the digest over the arrival's header and the chain before it. `arrivals`, `images`: what a restart found in
   * the journal, in any order.
   */
  constructor(
    state: ReceiverState,
    chainOf: (arrival: Arrival, previous: bigint) => bigint,
    arrivals: readonly Arrival[] = [],
    images: readonly Image[] = [],
  ) {
    this.#images = [...images];
    this.#imagesDurable = images.length;
    this.#session = state.session;
    this.#cut = state.cut;
    this.#committed = Math.max(state.committed, state.cut.mark);
    this.#chainOf = chainOf;
    this.#received = new MarkPrefix(state.cut.mark);
    this.#durable = new MarkPrefix(state.cut.mark);
    this.#verified = state.cut;
    for (const arrival of arrivals) {
      if (!this.#received.add(arrival.mark, arrival.mark)) continue;
      this.#durable.add(arrival.mark, arrival.mark);
      this.#arrivals.set(arrival.mark, arrival);
    }
    this.#verify();
  }

  get session(): number {
    return this.#session;
  }

  get cut(): Point {
    return this.#cut;
  }

  /** May be applied up to here. */
  get committed(): number {
    return this.#committed;
  }

  /** The end of what is durable and whole. */
  get prefix(): Point {
    return this.#verified;
  }

  /** All marks up to this one are in memory. */
  get received(): number {
    return this.#received.upTo;
  }

  /** The chain at a mark from the cut to the prefix; null elsewhere. */
  chainAt(mark: number): bigint | null {
    if (mark === this.#cut.mark) return this.#cut.chain;
    if (mark > this.#verified.mark) return null;
    return this.#arrivals.get(mark)?.chain ?? null;
  }

  /** The entry of a mark beyond the cut; null when it is not here. */
  arrivalAt(mark: number): Arrival | null {
    return this.#arrivals.get(mark) ?? null;
  }

  /** A takeover: all that is durable and whole may be applied, and nothing else counts (I3). Answers its end. */
  takeOver(): Point {
    this.#open = null;
    this.#dropBeyond(this.#verified.mark);
    this.#seals.length = 0;
    this.#committed = Math.max(this.#committed, this.#verified.mark);
    return this.#verified;
  }

  /** Room in the journal is needed from here on; `end`: when nothing is. */
  tail(end: number): number {
    let tail = end;
    for (const { position } of this.#arrivals.values()) tail = Math.min(tail, position);
    for (const { position } of this.#images) tail = Math.min(tail, position);
    return tail;
  }

  /** RESYNC-BEGIN of a session (MI5): what lies beyond `from` is dropped. False for a session that is not newer. */
  begin(session: number, from: number): boolean {
    if (session <= this.#session) return false;
    this.#session = session;
    this.#open = session;
    this.#images = [];
    this.#imagesDurable = 0;
    this.#unflushed.length = 0;
    this.#sealedSaid = 0;
    this.#dropBeyond(from);
    return true;
  }

  /**
   * In a comparison: what is sent from now on stands behind `base`, and what came before it is dropped, but for the images. Those
   * bring what lies between the cut and it.
   */
  rebase(base: Point): void {
    this.#arrivals.clear();
    this.#seals.length = 0;
    this.#received = new MarkPrefix(base.mark);
    this.#durable = new MarkPrefix(base.mark);
    this.#verified = base;
    this.#cut = base;
    this.#committed = base.mark;
    const images = this.#unflushed.filter(({ isImage }) => isImage);
    this.#unflushed.splice(0, this.#unflushed.length, ...images);
  }

  /** The link is gone: nothing is dropped (MI5), and nothing more of this session is taken. */
  lost(): void {
    this.#open = null;
  }

  /** Whether this entry is wanted; asked before it is put into the journal. */
  wants(session: number, mark: number): boolean {
    return session === this.#open && !this.#received.has(mark);
  }

  /** It has its place in the journal's memory. In the order of the places. */
  placed(arrival: Arrival): void {
    this.#received.add(arrival.mark, arrival.mark);
    this.#arrivals.set(arrival.mark, arrival);
    this.#unflushed.push(arrival);
  }

  placedImage(image: Image): void {
    this.#images.push(image);
    this.#unflushed.push(image);
  }

  /** The journal is durable up to `position`. */
  flushed(position: number): ReceiverAction[] {
    let taken = 0;
    for (let next = this.#unflushed[0]; next && next.end <= position; next = this.#unflushed[taken]) {
      taken++;
      if (next.isImage) this.#imagesDurable++;
      else this.#durable.add(next.mark, next.mark);
    }
    this.#unflushed.splice(0, taken);
    const actions = this.#verify();
    if (this.#open === null) return actions;
    actions.push({ do: 'stored', received: this.#received.upTo, durable: this.#verified.mark });
    const sealed = this.#seals.at(-1)?.cycle ?? 0;
    if (sealed > this.#sealedSaid) actions.push({ do: 'sealed', cycle: sealed });
    this.#sealedSaid = Math.max(this.#sealedSaid, sealed);
    return actions;
  }

  /** What of a comparison is here and durable. */
  get images(): { readonly here: number; readonly durable: number } {
    return { here: this.#images.length, durable: this.#imagesDurable };
  }

  /** COMMIT up to a cycle. Gives the mark that may be applied now, null for a cycle that this target has not sealed. */
  commit(session: number, cycle: number): number | null {
    if (session !== this.#open) return null;
    const seals = this.#seals;
    let count = 0;
    while (count < seals.length && (seals[count]?.cycle ?? Infinity) <= cycle) count++;
    const last = seals[count - 1];
    if (!last) return null;
    seals.splice(0, count);
    this.#committed = Math.max(this.#committed, last.mark);
    return last.mark;
  }

  /** What may be applied of all up to `mark`: where that lies within a cycle, up to the one before ([MI7]). */
  endUpTo(mark: number): number {
    if (mark >= this.#committed) return this.#committed;
    let end = mark;
    while (end > this.#cut.mark && this.#arrivals.get(end)?.isSeal !== true) end--;
    return Math.max(end, this.#cut.mark);
  }

  /** What redo brings onto the receive volumes for this cut, by mark; images are behind the entry of their mark. */
  toApply(cut: number): (Arrival | Image)[] {
    const entries = [...this.#arrivals.values()].filter(({ mark }) => mark > this.#cut.mark);
    return redoOrder<Arrival | Image>([...entries, ...this.#images], cut);
  }

  /** The receive volumes are at this cut, flushed, and the superblock says so. */
  applied(cut: number): void {
    const chain = this.chainAt(cut);
    if (chain === null || cut > this.#committed) throw new Error(`cut ${cut} was not committed`);
    this.#cut = { mark: cut, chain };
    this.#images = [];
    this.#imagesDurable = 0;
    for (const mark of this.#arrivals.keys()) if (mark <= cut) this.#arrivals.delete(mark);
  }

  #dropBeyond(mark: number): void {
    for (const known of this.#arrivals.keys()) if (known > mark) this.#arrivals.delete(known);
    const end = Math.min(mark, this.#verified.mark);
    this.#received = new MarkPrefix(end);
    this.#durable = new MarkPrefix(end);
    this.#verified = { mark: end, chain: this.chainAt(end) ?? this.#cut.chain };
    while ((this.#seals.at(-1)?.mark ?? 0) > mark) this.#seals.pop();
  }

  /** Follows the durable prefix entry by entry: each must have the chain that it says. */
  #verify(): ReceiverAction[] {
    let { mark, chain } = this.#verified;
    while (mark < this.#durable.upTo) {
      const next = this.#arrivals.get(mark + 1);
      if (!next) throw new Error(`mark ${mark + 1} is counted and not here`);
      if (this.#chainOf(next, chain) !== next.chain) {
        this.#open = null;
        return [{ do: 'trip', reason: `the entry of mark ${next.mark} does not follow the one before it` }];
      }
      mark = next.mark;
      chain = next.chain;
      if (next.isSeal) this.#seals.push({ cycle: next.cycle, mark });
      this.#verified = { mark, chain };
    }
    return [];
  }
}
