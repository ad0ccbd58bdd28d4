/**
 * What a target may lack beyond a cut that it shows (CR4, MI10, MI11), by chunks. Every write is noted, always: when the ring
 * cannot keep what the target lacks, nothing has to be gathered, and no order of events can leave a write out.
 *
 * Two maps stand behind one another: `newer` holds what was written behind `newerFrom`, `older` what lies between `base` and
 * that. When the target shows a cut at or behind `newerFrom`, `older` is forgotten as a whole and `newer` becomes it. So no bit
 * is ever cleared by itself, and none that a later write set.
 */
import { CHUNK_BYTES, ChunkMap } from './chunk-map.ts';
import type { Point, VolumeShape } from './meeting.ts';
import { RegionSet } from './region-set.ts';
import { WrittenMap } from './written-map.ts';

/** As it is kept over a stop in order. */
export interface SavedOutOfSync {
  readonly base: number;
  readonly cuts: readonly Point[];
  /** Of each volume. */
  readonly words: readonly Uint32Array[];
}

type Sizes = readonly Pick<VolumeShape, 'bytes'>[];

export class OutOfSync {
  readonly #sizes: Sizes;
  #older: WrittenMap[];
  #newer: WrittenMap[];
  #base: number;
  #newerFrom: number;
  /** Cuts that the target may show, ascending: it was told to, or said so. None lies before `base`. */
  #cuts: Point[];

  /** `newest`: the last mark that was given. What was written before is in no map. */
  constructor(sizes: Sizes, newest: number, saved?: SavedOutOfSync) {
    this.#sizes = sizes;
    this.#older = sizes.map(({ bytes }, volume) => new WrittenMap(bytes, saved?.words[volume]));
    this.#newer = sizes.map(({ bytes }) => new WrittenMap(bytes));
    this.#base = saved?.base ?? newest;
    this.#cuts = [...(saved?.cuts ?? [])];
    this.#newerFrom = newest;
  }

  /** Bytes. Before the write's entry may leave the ring. */
  note(volume: number, offset: number, length: number): void {
    this.#newer[volume]?.mark(offset, length);
  }

  /** A cut that the target has, or may bring itself to by itself from now on. */
  mayShow(cut: Point): void {
    if (cut.mark < this.#base || this.#cuts.some(({ mark }) => mark === cut.mark)) return;
    this.#cuts.push(cut);
    this.#cuts.sort((a, b) => a.mark - b.mark);
  }

  /** The target shows the cut of this mark durably. `newest`: the last mark that was given. */
  shows(mark: number, newest: number): void {
    this.#cuts = this.#cuts.filter((cut) => cut.mark >= mark);
    if (mark < this.#newerFrom) return;
    [this.#older, this.#newer] = [this.#newer, this.#older];
    for (const map of this.#newer) map.clearAll();
    this.#base = this.#newerFrom;
    this.#newerFrom = newest;
  }

  /** Whether a target that shows this cut lacks nothing but what is noted. */
  covers(cut: Point): boolean {
    return this.#cuts.some(({ mark, chain }) => mark === cut.mark && chain === cut.chain);
  }

  /** Regions with anything that is noted. */
  regions(): RegionSet {
    const regions = new RegionSet(this.#sizes, true);
    for (const maps of [this.#older, this.#newer]) maps.forEach((map, volume) => regions.addWritten(volume, map));
    return regions;
  }

  /** No more than this many bytes differ from a cut that is covered. */
  get bytes(): number {
    const sum = (maps: readonly ChunkMap[]) => maps.reduce((count, map) => count + map.count, 0);
    if (sum(this.#older) === 0) return sum(this.#newer) * CHUNK_BYTES;
    if (sum(this.#newer) === 0) return sum(this.#older) * CHUNK_BYTES;
    return sum(this.#union()) * CHUNK_BYTES;
  }

  save(): SavedOutOfSync {
    return { base: this.#base, cuts: this.#cuts, words: this.#union().map((map) => map.save()) };
  }

  #union(): ChunkMap[] {
    return this.#older.map((map, volume) => {
      const both = new ChunkMap(this.#sizes[volume]?.bytes ?? 0, map.save());
      const newer = this.#newer[volume];
      if (newer) both.add(newer);
      return both;
    });
  }
}
