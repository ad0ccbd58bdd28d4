/**
 * Which blocks changed since a cut, and by what (RF4, at the source): the newest entry that covered all of one, by its mark; that
 * it is zeroes; or that it was only partly written. An open-addressed table in typed arrays, with a bound: past it, it is
 * emptied and says so, and the next cut is brought by its entries instead ([MI16]).
 */
import { BLOCK_BYTES } from '../wire/layout.ts';

export const BLOCK = { reference: 1, zero: 2, partial: 3 } as const;
export type BlockKind = (typeof BLOCK)[keyof typeof BLOCK];

export interface ChangedBlock {
  readonly volume: number;
  readonly block: number;
  readonly kind: BlockKind;
  /** Of a reference: the entry, and which block of it. */
  readonly mark: number;
  readonly within: number;
}

export interface BlockLimits {
  /** Blocks in all. */
  readonly blocks: number;
  /** Those of them that go as data. */
  readonly partial: number;
}

/** A block's key has its volume above this. */
const VOLUME_STEP = 2 ** 42;
const EMPTY = -1;
const START = 1024;

export class BlockMap {
  readonly #limits: BlockLimits;
  #mask = START - 1;
  #keys = new Float64Array(START).fill(EMPTY);
  #kinds = new Uint8Array(START);
  #marks = new Float64Array(START);
  #withins = new Uint32Array(START);
  #count = 0;
  #partial = 0;
  #isOver = false;

  constructor(limits: BlockLimits = { blocks: Infinity, partial: Infinity }) {
    this.#limits = limits;
  }

  /** Blocks that changed. */
  get count(): number {
    return this.#count;
  }

  /** Those that a checkpoint must send as data. */
  get partialCount(): number {
    return this.#partial;
  }

  /** More changed than it may hold: it does not know all of it. */
  get isOver(): boolean {
    return this.#isOver;
  }

  /** A write of these bytes: the entry of that mark. */
  write(volume: number, offset: number, length: number, mark: number): void {
    this.#cover(volume, offset, length, BLOCK.reference, mark);
  }

  /** A range that reads as zeroes from now on. */
  zero(volume: number, offset: number, length: number): void {
    this.#cover(volume, offset, length, BLOCK.zero, 0);
  }

  /** A block that has to go as data, changed or not. */
  data(volume: number, block: number): void {
    this.#cover(volume, block * BLOCK_BYTES, 1, BLOCK.reference, 0);
  }

  /** By volume and block, ascending. */
  list(): ChangedBlock[] {
    const keys = this.#keys.filter((key) => key !== EMPTY).sort();
    return Array.from(keys, (key) => {
      const slot = this.#find(key);
      return {
        volume: Math.floor(key / VOLUME_STEP),
        block: key % VOLUME_STEP,
        kind: this.#kinds[slot] as BlockKind,
        mark: this.#marks[slot] ?? 0,
        within: this.#withins[slot] ?? 0,
      };
    });
  }

  #cover(volume: number, offset: number, length: number, kind: BlockKind, mark: number): void {
    if (length === 0 || this.#isOver) return;
    const end = offset + length;
    const first = Math.floor(offset / BLOCK_BYTES);
    const last = Math.floor((end - 1) / BLOCK_BYTES);
    if (last - first >= this.#limits.blocks) return this.#over();
    for (let block = first; block <= last; block++) {
      const slot = this.#slotOf(volume * VOLUME_STEP + block);
      const isWhole = block * BLOCK_BYTES >= offset && (block + 1) * BLOCK_BYTES <= end;
      // A reference names a block of the entry: it must begin where a block of the volume does.
      const within = (block * BLOCK_BYTES - offset) / BLOCK_BYTES;
      const isPlaced = kind === BLOCK.zero || Number.isInteger(within);
      if (isWhole && isPlaced) this.#set(slot, kind, mark, kind === BLOCK.zero ? 0 : within);
      else this.#set(slot, BLOCK.partial, 0, 0);
    }
    if (this.#count > this.#limits.blocks || this.#partial > this.#limits.partial) this.#over();
  }

  #over(): void {
    this.#isOver = true;
    this.#count = 0;
    this.#partial = 0;
    this.#resize(START);
  }

  #set(slot: number, kind: BlockKind, mark: number, within: number): void {
    if (this.#kinds[slot] === BLOCK.partial) this.#partial--;
    if (kind === BLOCK.partial) this.#partial++;
    this.#kinds[slot] = kind;
    this.#marks[slot] = mark;
    this.#withins[slot] = within;
  }

  /** The key's slot, which it takes if it has none yet. */
  #slotOf(key: number): number {
    if (this.#count * 2 > this.#mask) this.#grow();
    const slot = this.#find(key);
    if (this.#keys[slot] === EMPTY) {
      this.#keys[slot] = key;
      this.#count++;
    }
    return slot;
  }

  #find(key: number): number {
    // The upper bits of the product: the lower ones would be alike for all blocks of a volume.
    let slot = Math.imul(key ^ Math.floor(key / 2 ** 32), 0x9e3779b1) >>> (Math.clz32(this.#mask) & 31);
    while (this.#keys[slot] !== EMPTY && this.#keys[slot] !== key) slot = (slot + 1) & this.#mask;
    return slot;
  }

  #resize(size: number): void {
    this.#mask = size - 1;
    this.#keys = new Float64Array(size).fill(EMPTY);
    this.#kinds = new Uint8Array(size);
    this.#marks = new Float64Array(size);
    this.#withins = new Uint32Array(size);
  }

  #grow(): void {
    const [keys, kinds, marks, withins] = [this.#keys, this.#kinds, this.#marks, this.#withins];
    this.#resize(keys.length * 2);
    keys.forEach((key, old) => {
      if (key === EMPTY) return;
      const slot = this.#find(key);
      this.#keys[slot] = key;
      this.#kinds[slot] = kinds[old] ?? 0;
      this.#marks[slot] = marks[old] ?? 0;
      this.#withins[slot] = withins[old] ?? 0;
    });
  }
}
