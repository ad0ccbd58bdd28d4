/** Regions of a group's volumes that are still to be compared, and where that is kept, which blocks of them. */
import { ChunkMap } from './chunk-map.ts';
import { COMPARE_LEVEL } from '../wire/compare.ts';
import { BLOCK_BYTES, CHUNK_BYTES, REGION_BYTES } from '../wire/layout.ts';
import type { RegionRun, VolumeShape } from './meeting.ts';
import { BLOCKS_A_CHUNK, WrittenMap } from './written-map.ts';

type Sizes = readonly Pick<VolumeShape, 'bytes'>[];

/** Where a comparison begins: with the digests of whole regions, or of the blocks that were written to. */
export interface RegionPart {
  readonly volume: number;
  readonly level: typeof COMPARE_LEVEL.regions | typeof COMPARE_LEVEL.blocks;
  /** Consecutive ones of the level, from number `first` on. */
  readonly first: number;
  readonly count: number;
}

const CHUNKS_A_REGION = REGION_BYTES / CHUNK_BYTES;
const BLOCKS_A_REGION = REGION_BYTES / BLOCK_BYTES;

export class RegionSet {
  readonly #sizes: Sizes;
  readonly #maps: readonly ChunkMap[];
  /** Of the regions that are set, what was marked of them; null: nobody asks. */
  readonly #chunks: readonly WrittenMap[] | null;
  /** Of each volume: nothing before this region is set. */
  readonly #from: number[];

  /** `isFine`: for `takeParts`. */
  constructor(sizes: Sizes, isFine = false) {
    this.#sizes = sizes;
    this.#chunks = isFine ? sizes.map(({ bytes }) => new WrittenMap(bytes)) : null;
    this.#maps = sizes.map(({ bytes }) => new ChunkMap(bytes, undefined, REGION_BYTES));
    this.#from = sizes.map(() => 0);
  }

  /** All that there are. */
  static all(sizes: Sizes, isFine = false): RegionSet {
    const all = new RegionSet(sizes, isFine);
    sizes.forEach(({ bytes }, volume) => all.mark(volume, 0, bytes));
    return all;
  }

  get count(): number {
    return this.#maps.reduce((sum, { count }) => sum + count, 0);
  }

  has(volume: number, region: number): boolean {
    return this.#maps[volume]?.has(region) ?? false;
  }

  /** Bytes. */
  mark(volume: number, offset: number, length: number): void {
    this.#maps[volume]?.mark(offset, length);
    this.#chunks?.[volume]?.mark(offset, length);
    this.#from[volume] = Math.min(this.#from[volume] ?? 0, Math.floor(offset / REGION_BYTES));
  }

  /** Takes the other's regions too; of the same volumes. */
  add(other: RegionSet): void {
    other.#maps.forEach((map, volume) => this.#maps[volume]?.add(map));
    this.#chunks?.forEach((chunks, volume) => {
      const [others, regions] = [other.#chunks?.[volume], other.#maps[volume]];
      if (others) chunks.add(others);
      // Of which nothing finer is known: all of it is meant.
      else for (let at = regions?.next(0) ?? -1; at !== -1; at = regions?.next(at + 1) ?? -1) markRegion(chunks, at);
    });
    this.#from.fill(0);
  }

  /** Takes what was written to of a volume of the same size too. */
  addWritten(volume: number, written: WrittenMap): void {
    for (let chunk = written.next(0); chunk !== -1; chunk = written.next(chunk + 1)) {
      this.#maps[volume]?.mark(chunk * CHUNK_BYTES, 1);
    }
    this.#chunks?.[volume]?.add(written);
    this.#from[volume] = 0;
  }

  /** Takes regions that follow one another too. */
  addRun({ volume, first, count }: RegionRun): void {
    this.mark(volume, first * REGION_BYTES, count * REGION_BYTES);
  }

  /** Takes out the first ones, up to `most` that follow one another; null when there is none. */
  take(most: number): RegionRun | null {
    for (let volume = 0; volume < this.#sizes.length; volume++) {
      const map = this.#maps[volume];
      const first = map && !map.isEmpty ? map.next(this.#from[volume] ?? 0) : -1;
      if (!map || first === -1) continue;
      let count = 0;
      while (count < most && map.has(first + count)) map.clear(first + count++);
      this.#from[volume] = first + count;
      return { volume, first, count };
    }
    return null;
  }

  /** Takes out regions, wherever they lie, until they are `most` or what is set of them has so many blocks; their parts. */
  takeParts(most: number, blocksMost: number): { readonly regions: number; readonly parts: readonly RegionPart[] } {
    const parts: RegionPart[] = [];
    let regions = 0;
    for (let blocks = 0; regions < most && blocks < blocksMost; regions++) {
      const run = this.take(1);
      if (!run) break;
      blocks += this.#takeRegion(run.volume, run.first, parts);
    }
    return { regions, parts };
  }

  clear(): void {
    for (const map of this.#maps) map.clearAll();
    for (const chunks of this.#chunks ?? []) chunks.clearAll();
  }

  /** What was not marked by its blocks, or by all of them, is compared as a whole. Answers how many blocks are. */
  #takeRegion(volume: number, region: number, parts: RegionPart[]): number {
    const chunks = this.#chunks?.[volume];
    const first = region * CHUNKS_A_REGION;
    const end = Math.ceil((this.#sizes[volume]?.bytes ?? 0) / BLOCK_BYTES);
    const own: RegionPart[] = [];
    for (let chunk = first; chunk < first + CHUNKS_A_REGION; chunk++) {
      if (chunks?.has(chunk) !== true) continue;
      putBlocks(own, volume, chunk * BLOCKS_A_CHUNK, chunks.blocks(chunk), end);
      chunks.clear(chunk);
    }
    const all = Math.min(BLOCKS_A_REGION, end - region * BLOCKS_A_REGION);
    const blocks = own.reduce((sum, { count }) => sum + count, 0);
    if (blocks > 0 && blocks < all) parts.push(...own);
    else put(parts, { volume, level: COMPARE_LEVEL.regions, first: region, count: 1 });
    return blocks || all;
  }
}

const markRegion = (chunks: ChunkMap, region: number): void => chunks.mark(region * REGION_BYTES, REGION_BYTES);

/** Those of a chunk from block `from` on whose bits are set, and that lie within the volume. */
function putBlocks(parts: RegionPart[], volume: number, from: number, bits: number, end: number): void {
  for (let i = 0; i < BLOCKS_A_CHUNK && from + i < end; i++) {
    if (((bits >>> i) & 1) === 0) continue;
    let count = 1;
    while (((bits >>> (i + count)) & 1) === 1 && from + i + count < end) count++;
    put(parts, { volume, level: COMPARE_LEVEL.blocks, first: from + i, count });
    i += count;
  }
}

/** What follows the last one goes with it. */
function put(parts: RegionPart[], part: RegionPart): void {
  const last = parts.at(-1);
  const isBeside = last?.level === part.level && last.volume === part.volume;
  if (last && isBeside && last.first + last.count === part.first)
    parts[parts.length - 1] = { ...last, count: last.count + part.count };
  else parts.push(part);
}
