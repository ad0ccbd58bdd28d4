/**
 * The comparison of a scan, a resync and a scrub (CR1 to CR3), as the target drives it: digests of regions come, and of what
 * differs from its own it asks for the digests of the next level's parts, level by level, down to the blocks themselves. What
 * follows one another is asked for as one run. Pure: digests of its own volume are brought to it.
 */
import { COMPARE_LEVEL, levelBytes, type CompareLevel, type CompareRun } from '../wire/compare.ts';
import { BLOCK_BYTES, REGION_BYTES } from '../wire/layout.ts';

/** A digest as it travels: equal strings, equal content. */
export type Digest = string;

export interface BlockAt {
  readonly volume: number;
  readonly block: number;
}

interface Open {
  readonly run: CompareRun;
  theirs?: readonly Digest[];
  ours?: readonly Digest[];
}

const keyOf = ({ volume, level, first, count }: CompareRun): string => `${level}/${volume}/${first}+${count}`;
const regionKey = (volume: number, offset: number): string => `${volume}/${Math.floor(offset / REGION_BYTES)}`;

export class Comparison {
  readonly #volumes: readonly { readonly bytes: number }[];
  readonly #how: 'in place' | 'staged' | 'report';
  /** Digests of one side, or of both, are on their way. */
  readonly #open = new Map<string, Open>();
  /** How many of these reach into a region. */
  readonly #regions = new Map<string, number>();
  /** Asked for and not here. */
  readonly #wanted = new Set<string>();
  /** Staged: blocks that were asked for, by region. The own volume shows nothing of what came. */
  readonly #staged = new Map<string, Set<number>>();
  #isLast = false;
  #differing = 0;
  #compared = 0;

  /**
   * `in place`: what comes is on the own volume. `staged`: it is not, so a block that was asked for is asked for again when its
   * region is compared again. `report`: what differs is told, and nothing comes.
   */
  constructor(volumes: readonly { readonly bytes: number }[], how: 'in place' | 'staged' | 'report' = 'in place') {
    this.#volumes = volumes;
    this.#how = how;
  }

  /** Blocks that were asked for. */
  get differing(): number {
    return this.#differing;
  }

  /** Regions that are dealt with: progress. */
  get compared(): number {
    return this.#compared;
  }

  /** All digests have come, all that differed was asked for, and all of that is here. */
  get isDone(): boolean {
    return this.#isLast && this.#open.size + this.#wanted.size === 0;
  }

  /** Regions are to be compared. `isLast`: there are no more in this pass; the next one begins when all of it is done. */
  begin(run: CompareRun): void {
    this.#isLast = run.isLast;
    if (run.count > 0) this.#begin(run);
  }

  /** Digests of the source; what is to be asked for now. Of all that are not images the own digests are to be told too. */
  theirs(run: CompareRun, digests: readonly Digest[]): CompareRun[] {
    const open = this.#open.get(keyOf(run));
    if (!open) return [];
    open.theirs = digests;
    return this.#decide(open);
  }

  /** The own digests; as above. */
  ours(run: CompareRun, digests: readonly Digest[]): CompareRun[] {
    const open = this.#open.get(keyOf(run));
    if (!open) return [];
    open.ours = digests;
    return this.#decide(open);
  }

  /** It is here, as an image or because a write covered it. */
  arrived({ volume, block }: BlockAt): void {
    this.#wanted.delete(`${volume}/${block}`);
  }

  #begin(run: CompareRun): void {
    this.#open.set(keyOf(run), { run });
    for (const region of regionsOf(run)) this.#regions.set(region, (this.#regions.get(region) ?? 0) + 1);
  }

  #decide({ run, theirs, ours }: Open): CompareRun[] {
    if (!theirs || !ours) return [];
    const parts: CompareRun[] = [];
    for (let i = 0; i < run.count; i++) {
      const unit = run.first + i;
      if (theirs[i] !== ours[i] || this.#isStaged(run, unit)) parts.push(this.#partsOf(run, unit));
    }
    const asked = joined(parts);
    for (const part of asked) {
      if (part.level === COMPARE_LEVEL.images) this.#want(part);
      else this.#begin(part);
    }
    this.#end(run);
    return asked;
  }

  /** Behind the begin of its parts: a region is dealt with when nothing in it is open. */
  #end(run: CompareRun): void {
    this.#open.delete(keyOf(run));
    for (const region of regionsOf(run)) {
      const left = (this.#regions.get(region) ?? 0) - 1;
      if (left > 0) this.#regions.set(region, left);
      else {
        this.#regions.delete(region);
        this.#compared++;
      }
    }
  }

  /** What one of a run is made of, in the next level. */
  #partsOf({ volume, level }: CompareRun, unit: number): CompareRun {
    const next = (level + 1) as CompareLevel;
    const offset = unit * levelBytes(level);
    const bytes = Math.min(levelBytes(level), (this.#volumes[volume]?.bytes ?? 0) - offset);
    const size = levelBytes(next);
    return { volume, level: next, isLast: false, first: offset / size, count: Math.ceil(bytes / size) };
  }

  #want({ volume, first, count }: CompareRun): void {
    this.#differing += count;
    const key = regionKey(volume, first * BLOCK_BYTES);
    const staged = this.#staged.get(key) ?? new Set<number>();
    if (this.#how === 'staged') this.#staged.set(key, staged);
    for (let block = first; block < first + count; block++) {
      staged.add(block);
      if (this.#how !== 'report') this.#wanted.add(`${volume}/${block}`);
    }
  }

  #isStaged({ volume, level }: CompareRun, unit: number): boolean {
    const size = levelBytes(level);
    for (const block of this.#staged.get(regionKey(volume, unit * size)) ?? []) {
      if (Math.floor((block * BLOCK_BYTES) / size) === unit) return true;
    }
    return false;
  }
}

/** Those that it reaches into. */
function* regionsOf({ volume, level, first, count }: CompareRun): Generator<string> {
  const size = levelBytes(level);
  const begin = Math.floor((first * size) / REGION_BYTES) * REGION_BYTES;
  for (let offset = begin; offset < (first + count) * size; offset += REGION_BYTES) yield regionKey(volume, offset);
}

/** Those that follow one another as one; images within a region, for a difference is judged by its region. */
function joined(runs: readonly CompareRun[]): CompareRun[] {
  const all: CompareRun[] = [];
  for (const run of runs) {
    const last = all.at(-1);
    const isApart = run.level === COMPARE_LEVEL.images && (run.first * BLOCK_BYTES) % REGION_BYTES === 0;
    if (!last || isApart || last.first + last.count !== run.first) all.push(run);
    else all[all.length - 1] = { ...last, count: last.count + run.count };
  }
  return all;
}
