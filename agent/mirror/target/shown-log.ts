/**
 * What a target shows, as a log: the entries up to the cut, by mark, as long as the ring holds them for who records them ([HI11]).
 * An entry is in it once a cut that covers it is durable, and no such cut is ever taken back in its generation. Where the volumes
 * came to a cut by anything but entries the log is broken: it goes on from there, and nothing before it is held.
 *
 * Positions are of the log: bytes of entries, one behind the other in the order of their marks, since this process began.
 */
import { AgentError } from '../../base/errors.ts';
import { crc32 } from '../../base/crc32.ts';
import type { Point } from '../core/meeting.ts';
import type { Batch, ReadFile } from '../source/ring-cursor.ts';
import { fileOffset, type RingPlace, type RingSize } from '../store/ring.ts';
import { chainAt, decodeEntry, ENTRY } from '../wire/entry.ts';
import type { HeldArrival } from './recover.ts';

interface Held {
  readonly mark: number;
  readonly chain: bigint;
  /** In the ring. */
  readonly position: number;
  readonly end: number;
  /** Of the log, behind it. */
  readonly logEnd: number;
}

export interface ShownEvents {
  /** This is about to be shown. Bytes. */
  note(volume: number, offset: number, length: number): void;
  /** There is more of it. */
  shown(): void;
  /** `isJump`: the volumes came to where it goes on by what is no entry. */
  broken(reason: string, isJump: boolean): void;
}

/** Of the cut: what its last entry was stamped with. */
export interface ShownCut extends Point {
  readonly time: bigint;
}

const START: ShownCut = { mark: 0, chain: 0n, time: 0n };
const NOTHING = { mark: 0, ms: 0 };

export class ShownLog {
  readonly ring: RingSize;
  readonly readFile: ReadFile;
  /** Ascending marks without a hole; those before `#first` are gone. */
  #held: Held[] = [];
  #first = 0;
  /** Of what is held, those behind which nothing lies before them in the ring: ascending. The first is the lowest. */
  #lows: Held[] = [];
  /** What the first that is held stands on; its chain is not known of what a start found. */
  #before: { readonly mark: number; readonly chain: bigint | null; readonly position: number };
  /** The header of the first that a start found. */
  #firstHeader: Uint8Array | null = null;
  #end: RingPlace;
  /** Added and not shown yet. */
  #coming: HeldArrival[] = [];
  #isWhole: boolean;
  /** Nothing beyond this mark was written by then, ms by the clock of the stamps: heard, and not shown yet. */
  #word: { readonly mark: number; readonly ms: number } | null = null;
  #known: { readonly mark: number; readonly ms: number } = NOTHING;
  #listener: (ms: number, aheadMs: number | null) => void = () => {};
  #events: ShownEvents = { note: () => {}, shown: () => {}, broken: () => {} };

  /** `passed`: what a start found in the ring up to the cut, with headers, in the order of their positions. */
  constructor(ring: RingSize, readFile: ReadFile, cut: ShownCut | null, passed: readonly HeldArrival[] = []) {
    this.ring = ring;
    this.readFile = readFile;
    this.#isWhole = cut !== null;
    const { mark, chain, time } = cut ?? START;
    const chained = chainedTo({ mark, chain }, passed);
    const [first] = chained;
    let logEnd = 0;
    for (const one of chained) {
      logEnd += one.end - one.position;
      this.#hold({ ...one, logEnd });
    }
    this.#firstHeader = first?.header ?? null;
    this.#before = first ? { mark: first.mark - 1, chain: null, position: 0 } : { mark, chain, position: 0 };
    this.#end = { position: logEnd, mark, chain, time, cycle: 0 };
  }

  /** Who is told each word of the source's clock: one. */
  listen(listener: (ms: number, aheadMs: number | null) => void): void {
    this.#listener = listener;
  }

  /** Who follows it: one. */
  follow(events: ShownEvents): void {
    this.#events = events;
  }

  /** The volumes are a copy, at `end`. */
  get isWhole(): boolean {
    return this.#isWhole;
  }

  get end(): RingPlace {
    return this.#end;
  }

  /**
   * [HI9] What comes behind this mark is stamped later, as far as it is known here: what comes behind the end later than the end, at least.
   * Mark and time are of one word: with the end and a word of before, what was written in between would seem as old as the word.
   */
  get known(): { readonly mark: number; readonly ms: number } {
    const { mark, time } = this.#end;
    const ms = Number(time / 1_000_000n);
    return this.#known.ms > ms ? this.#known : { mark, ms };
  }

  /** The source of what is shown says what it had written by then. One that waits is kept: a later one may wait for ever. */
  heard(mark: number, ms: number, aheadMs: number | null = null): void {
    this.#listener(ms, aheadMs);
    this.#word ??= { mark, ms };
    this.#reach();
  }

  /** Another session: what the one before has said and not brought may never come. */
  session(): void {
    this.#word = null;
  }

  get oldest(): RingPlace {
    const { mark, chain, position } = this.#before;
    return { ...this.#end, mark, position, chain: chain ?? 0n };
  }

  /** The ring is needed from here on for what is held; `end`: when nothing is. */
  tail(end: number): number {
    const coming = this.#coming.reduce((least, { position }) => Math.min(least, position), end);
    return Math.min(coming, this.#lows[0]?.position ?? end);
  }

  /** The volumes are being brought to a cut by all that their log lacks up to there, by mark. */
  add(arrivals: readonly HeldArrival[]): void {
    if (this.#isWhole) this.#coming = [...arrivals];
  }

  /** They show it, durably. Nothing else is added before. */
  shown(cut: ShownCut): void {
    const coming = this.#coming;
    // What is not there to the last is no log.
    if (!this.#isWhole || coming[0]?.mark !== this.#end.mark + 1 || coming.at(-1)?.mark !== cut.mark)
      return this.begin(cut);
    this.#coming = [];
    for (const { volume, offset, length } of coming) if (length > 0) this.#events.note(volume, offset, length);
    let { position } = this.#end;
    for (const { mark, chain, position: from, end } of coming) {
      position += end - from;
      this.#hold({ mark, chain, position: from, end, logEnd: position });
    }
    this.#end = { position, ...cut, cycle: 0 };
    this.#reach();
    return this.#events.shown();
  }

  /** The volumes are about to change by what is no entry, or to be no copy. */
  breaks(reason: string): void {
    this.#drop();
    this.#coming = [];
    this.#isWhole = false;
    [this.#word, this.#known] = [null, NOTHING];
    this.#events.broken(reason, true);
  }

  /** The volumes are a copy, or one again. */
  begin(cut: ShownCut): void {
    this.#drop();
    this.#coming = [];
    this.#isWhole = true;
    this.#end = { ...this.#end, ...cut };
    this.#before = { mark: cut.mark, chain: cut.chain, position: this.#end.position };
    this.#events.broken(`the volumes are a copy again, at mark ${cut.mark}`, true);
  }

  /**
   * Nothing up to the end is held any more: of another generation comes what may be dropped again, and the ring may hold no entries
   * of a generation that its superblock does not know.
   */
  forget(): void {
    this.#drop();
  }

  /** What comes now is of another generation, which goes on from this cut. */
  turn(): void {
    this.#known = NOTHING;
    if (!this.#isWhole) return;
    this.forget();
    this.#events.broken('the source is of another generation now', false);
  }

  /** Nothing before this position of the log is needed any more. */
  free(position: number): void {
    for (let first = this.#held[this.#first]; first && first.logEnd <= position; first = this.#held[this.#first]) {
      this.#before = { mark: first.mark, chain: first.chain, position: first.logEnd };
      this.#firstHeader = null;
      if (this.#lows[0] === first) this.#lows.shift();
      this.#first++;
    }
    if (this.#first < 1024 || this.#first < this.#held.length / 2) return;
    this.#held = this.#held.slice(this.#first);
    this.#first = 0;
  }

  from(place: RingPlace): ShownCursor {
    return new ShownCursor(this, place);
  }

  /** From that point on; null when it is none of the log, or is held no more. */
  find({ mark, chain }: Point): ShownCursor | null {
    const known = mark === this.#before.mark ? this.#before : this.#at(mark);
    if (!known) return null;
    const isSame = known.chain === null ? this.#precedesFirst(chain) : known.chain === chain;
    if (!isSame) return null;
    const position = known === this.#before ? known.position : (this.#at(mark)?.logEnd ?? 0);
    return new ShownCursor(this, { ...this.#end, position, mark, chain });
  }

  /** Those behind a mark, as many as lie in about so many bytes, at least one; none at the end. */
  behind(mark: number, bytesMax: number): Held[] {
    const found: Held[] = [];
    let bytes = 0;
    for (let next = this.#at(mark + 1); next; next = this.#at(next.mark + 1)) {
      bytes += next.end - next.position;
      if (found.length > 0 && (bytes > bytesMax || found.length >= ENTRIES_MAX)) break;
      found.push(next);
    }
    return found;
  }

  #at(mark: number): Held | null {
    const first = this.#held[this.#first];
    return first && mark >= first.mark ? (this.#held[this.#first + mark - first.mark] ?? null) : null;
  }

  #precedesFirst(chain: bigint): boolean {
    const first = this.#held[this.#first];
    return first !== undefined && this.#firstHeader !== null && chainAt(this.#firstHeader, 0, chain) === first.chain;
  }

  #hold(one: Held): void {
    const held = { mark: one.mark, chain: one.chain, position: one.position, end: one.end, logEnd: one.logEnd };
    this.#held.push(held);
    while ((this.#lows.at(-1)?.position ?? -1) >= held.position) this.#lows.pop();
    this.#lows.push(held);
  }

  #reach(): void {
    if (!this.#isWhole || !this.#word || this.#word.mark > this.#end.mark) return;
    if (this.#word.ms > this.#known.ms) this.#known = this.#word;
    this.#word = null;
  }

  #drop(): void {
    const { mark, chain, position } = this.#end;
    [this.#held, this.#first, this.#lows, this.#firstHeader] = [[], 0, [], null];
    this.#before = { mark, chain, position };
  }
}

/** The frames' `count` has 16 bits. */
const ENTRIES_MAX = 4096;

/** Of these the run that ends at a point: each is the one that the chain of the next says. */
function chainedTo(end: Point, passed: readonly HeldArrival[]): HeldArrival[] {
  const byMark = new Map<number, HeldArrival[]>();
  for (const one of passed) byMark.set(one.mark, [...(byMark.get(one.mark) ?? []), one]);
  const run: HeldArrival[] = [];
  let next = byMark.get(end.mark)?.findLast(({ chain }) => chain === end.chain);
  while (next) {
    const { mark, chain, header }: HeldArrival = next;
    run.push(next);
    next = byMark.get(mark - 1)?.findLast((one) => header !== null && chainAt(header, 0, one.chain) === chain);
  }
  return run.toReversed();
}

/** Goes through it. What it gives is read from the ring's file, and is what the log says or nothing. */
export class ShownCursor {
  readonly #log: ShownLog;
  #place: RingPlace;

  constructor(log: ShownLog, place: RingPlace) {
    this.#log = log;
    this.#place = place;
  }

  get place(): RingPlace {
    return this.#place;
  }

  get isAtEnd(): boolean {
    return this.#place.mark >= this.#log.end.mark;
  }

  /** Nothing is at hand: what is shown has left the window, or is about to. */
  take(): null {
    return null;
  }

  /** The next entries, up to about `bytesMax`; null at the end. Rejects when they cannot be read, or are held no more. */
  async load(bytesMax: number): Promise<Batch | null> {
    if (this.isAtEnd) return null;
    const wanted = this.#log.behind(this.#place.mark, bytesMax);
    if (wanted.length === 0) throw new AgentError('volume', 'what it lacks is held no more');
    const bytes = new Uint8Array(wanted.reduce((sum, { position, end }) => sum + end - position, 0));
    let done = 0;
    for (let first = 0; first < wanted.length;) {
      let last = first;
      while (this.#isNeighbour(wanted[last], wanted[last + 1])) last++;
      const [from, to] = [wanted[first]?.position ?? 0, wanted[last]?.end ?? 0];
      await this.#log.readFile(fileOffset(from, this.#log.ring), bytes.subarray(done, done + to - from));
      done += to - from;
      first = last + 1;
    }
    this.#check(wanted, bytes);
    const last = wanted.at(-1);
    if (last) this.#place = { ...this.#place, mark: last.mark, chain: last.chain, position: last.logEnd };
    const longest = wanted.reduce((most, { position, end }) => Math.max(most, end - position), 0);
    return { bytes, count: wanted.length, longest, mark: this.#place.mark };
  }

  /** One read takes both: what follows on the ring's last byte lies at its begin. */
  #isNeighbour(one: Held | undefined, next: Held | undefined): boolean {
    return one !== undefined && next?.position === one.end && one.end % this.#log.ring.ringBytes !== 0;
  }

  /** They may have been written over meanwhile, or be damaged. */
  #check(wanted: readonly Held[], bytes: Uint8Array): void {
    let at = 0;
    let { chain } = this.#place;
    for (const { mark, position, end, chain: said } of wanted) {
      const decoded = decodeEntry(bytes, at);
      const fault = (): AgentError =>
        new AgentError('volume', `the journal does not hold mark ${mark} at position ${position} any more`);
      if (!decoded.ok || decoded.entry.mark !== mark || decoded.entry.position !== position) throw fault();
      const { payloadBytes, payloadCrc } = decoded.entry;
      const from = at + ENTRY.bytes;
      if (from + payloadBytes > at + end - position) throw fault();
      if (payloadBytes > 0 && crc32(bytes.subarray(from, from + payloadBytes)) !== payloadCrc) throw fault();
      chain = chainAt(bytes, at, chain);
      if (chain !== said || decoded.entry.chain !== said) throw fault();
      at += end - position;
    }
  }
}
