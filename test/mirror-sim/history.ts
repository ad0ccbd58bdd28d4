/**
 * The writes of one generation, in their order: each that was admitted, what was answered, and what that promised. A generation
 * that a takeover began has those of its parent up to where it branched off.
 */
import { ENTRY_KIND, type EntryKind } from '../../agent/mirror/wire/entry.ts';
import type { Oracle } from './oracle.ts';

export interface Admitted {
  readonly mark: number;
  readonly kind: EntryKind;
  readonly cycle: number;
  readonly volume: number;
  readonly offset: number;
  readonly length: number;
  readonly time: bigint;
  /** Over all entries up to it. */
  readonly chain: bigint;
  /** Of a write. */
  readonly bytes: Uint8Array | null;
}

/** What volumes hold behind a mark. */
export class Shadow {
  readonly content: Uint8Array[];
  mark: number;

  constructor(content: readonly Uint8Array[], mark = 0) {
    this.content = content.map((bytes) => bytes.slice());
    this.mark = mark;
  }

  apply({ kind, volume, offset, length, bytes, mark }: Admitted): void {
    const content = this.content[volume];
    if (bytes) content?.set(bytes, offset);
    else if (kind !== ENTRY_KIND.seal) content?.fill(0, offset, offset + length);
    this.mark = mark;
  }
}

export class History {
  readonly #oracle: Oracle;
  /** Mark n at n - 1. */
  readonly #entries: Admitted[] = [];
  /** The same as they were before a crash took the end of them: a target may hold that yet. */
  readonly #former: (readonly Admitted[])[] = [];
  /** All of `#entries`. */
  #newest: Shadow;
  /** Last marks of cycles. */
  readonly #sealed = new Map<number, number>();
  /** Marks that no crash of the source may take. */
  promised = 0;
  /** The last mark of which any client was told. */
  answered = 0;
  /** The last mark that was answered as durable at every target in sync. */
  synced = 0;
  /** Marks that no crash of a target may take from it, by its name. */
  readonly promisedAt = new Map<string, number>();
  /** Where another generation branched off in order: nothing beyond may ever be answered as safe (I21). */
  cleanBranch = Infinity;
  isOvertaken = false;
  /** What it branched off, and behind which mark; null of the first. */
  readonly parent: { readonly history: History; readonly mark: number } | null;

  constructor(oracle: Oracle, from: History['parent'] = null, entries: readonly Admitted[] = []) {
    this.#oracle = oracle;
    this.parent = from;
    this.#newest = new Shadow(oracle.initial);
    if (!from) return;
    const { history, mark } = from;
    this.#entries = [...entries];
    for (const entry of entries) if (entry.kind === ENTRY_KIND.seal) this.#sealed.set(entry.cycle, entry.mark);
    this.#newest = this.at(mark);
    this.promised = mark;
    this.answered = Math.min(history.answered, mark);
  }

  /** It is `other`, or goes on from what was. */
  comesFrom(other: History): boolean {
    return this === other || this.parent?.history.comesFrom(other) === true;
  }

  get mark(): number {
    return this.#entries.length;
  }

  get newest(): Shadow {
    return this.#newest;
  }

  admitted(entry: Admitted): void {
    const oracle = this.#oracle;
    if (entry.mark !== this.mark + 1) oracle.violate('I1', `mark ${entry.mark} was given behind ${this.mark}`);
    const before = this.#entries.at(-1);
    if (before && entry.time <= before.time) oracle.violate('OS1', `the time of mark ${entry.mark} is not later`);
    if (before && entry.cycle < before.cycle)
      oracle.violate('I10', `cycle ${entry.cycle} comes behind ${before.cycle}`);
    if (before?.kind === ENTRY_KIND.seal && entry.cycle === before.cycle) {
      oracle.violate('I10', `mark ${entry.mark} is in cycle ${entry.cycle}, which was sealed`);
    }
    this.#entries.push(entry);
    this.#newest.apply(entry);
    if (entry.kind === ENTRY_KIND.seal) this.#sealed.set(entry.cycle, entry.mark);
    oracle.count('entries');
  }

  /** [I3] [I21] An answer said that these targets have it durable, and that nobody else lacks it unknown. */
  durableAt(targets: readonly string[], mark: number): void {
    this.synced = Math.max(this.synced, mark);
    if (mark > this.cleanBranch) {
      this.#oracle.violate(
        'I21',
        `mark ${mark} was answered, and a takeover in order had begun behind ${this.cleanBranch}`,
      );
    }
    for (const name of targets) this.promisedAt.set(name, Math.max(mark, this.promisedAt.get(name) ?? 0));
  }

  /**
   * A generation begins behind `mark`, with this chain; `isClean`: nobody forced it, so nothing that was answered as safe may be
   * lost.
   */
  branch(mark: number, chain: bigint, isClean: boolean): History {
    const line = [this.#entries, ...this.#former].find((entries) => mark === 0 || entries[mark - 1]?.chain === chain);
    if (!line) this.#oracle.violate('I15', `a generation begins behind mark ${mark}, which its parent never had so`);
    this.isOvertaken = true;
    if (isClean) {
      this.cleanBranch = Math.min(mark, this.cleanBranch);
      if (this.synced > mark) {
        this.#oracle.violate('I21', `a takeover in order began behind mark ${mark}, and ${this.synced} was answered`);
      }
    }
    return new History(this.#oracle, { history: this, mark }, line?.slice(0, mark));
  }

  /** A start of the source found its journal to end at `mark`. */
  restarted(mark: number): void {
    const oracle = this.#oracle;
    if (mark < this.promised) oracle.violate('I16', `the journal ends at ${mark}, and ${this.promised} was promised`);
    if (mark > this.mark) oracle.violate('I16', `the journal ends at ${mark}, and ${this.mark} was the last one`);
    if (mark >= this.mark) return;
    oracle.count('lost marks', this.mark - mark);
    this.#former.push([...this.#entries]);
    this.#entries.length = mark;
    for (const [cycle, last] of this.#sealed) if (last > mark) this.#sealed.delete(cycle);
    this.answered = Math.min(this.answered, mark);
    this.#newest = this.at(mark);
  }

  entry(mark: number): Admitted | undefined {
    return this.#entries[mark - 1];
  }

  /** The last mark of a cycle, undefined for one that was never sealed. */
  lastMark(cycle: number): number | undefined {
    return this.#sealed.get(cycle);
  }

  /**
   * The last mark of all that COMMIT up to this cycle commits: it names a bound, and where a stop or a crash left that cycle open
   * its entries are sealed with the next one, under whose number the source goes on. Undefined while the cycle is open.
   */
  committedBy(cycle: number): number | undefined {
    const isOpen = (this.#entries.at(-1)?.cycle ?? 0) <= cycle;
    if (isOpen) return this.lastMark(cycle);
    return Math.max(0, ...[...this.#sealed].map(([sealed, last]) => (sealed <= cycle ? last : 0)));
  }

  at(mark: number): Shadow {
    return this.roll(new Shadow(this.#oracle.initial), mark);
  }

  roll(shadow: Shadow, mark: number): Shadow {
    for (let next = shadow.mark; next < mark; next++) {
      const entry = this.#entries[next];
      if (entry) shadow.apply(entry);
    }
    shadow.mark = mark;
    return shadow;
  }

  /** Whether volumes are what they must be behind a mark; says where they are not. */
  compare(rule: string, what: string, found: readonly Uint8Array[], wanted: Shadow): void {
    wanted.content.forEach((content, volume) => {
      const there = found[volume] ?? new Uint8Array(0);
      if (Buffer.compare(content, there) === 0) return;
      const at = content.findIndex((byte, i) => byte !== there[i]);
      const last = this.#entries
        .slice(0, wanted.mark)
        .findLast((entry) => entry.volume === volume && entry.offset <= at && entry.offset + entry.length > at);
      const by = last ? `last written by mark ${last.mark}` : 'never written';
      this.#oracle.violate(rule, `${what}: volume ${volume} is not A(${wanted.mark}) at byte ${at}, ${by}`);
    });
  }
}
