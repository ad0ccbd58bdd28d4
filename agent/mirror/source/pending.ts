/**
 * What the journal holds and the flushed send volumes may lack: by entry in order, and by 64 KiB chunk of a volume for
 * whoever reads. An entry stays until the volumes are flushed beyond it, for a failed flush takes the volumes back. So
 * whatever a volume shows of these entries, with all of them laid over it the newest state is read.
 */
import { CHUNK_BYTES } from '../wire/layout.ts';

/** A change that is pending: a write with its payload in the ring, or zeros. */
export interface Pending {
  readonly volume: number;
  readonly offset: number;
  readonly length: number;
  /** Of its entry in the ring, and the end of it. */
  readonly position: number;
  readonly end: number;
  readonly isZero: boolean;
}

/** Longer ones are looked at by everybody: to note a trim of a terabyte by chunks would take millions of them. */
const CHUNKS_MAX = 1024;
const CHUNKS_A_VOLUME = 2 ** 44;
/** A chunk with more changes than that is tidied. */
const CROWD = 24;

export class PendingIndex {
  /** In the order of their positions; the first ones are gone. */
  #queue: Pending[] = [];
  #first = 0;
  readonly #chunks = new Map<number, Pending[]>();
  #wide: Pending[] = [];

  get length(): number {
    return this.#queue.length - this.#first;
  }

  /** In the order of their positions. */
  add(pending: Pending): void {
    this.#queue.push(pending);
    if (isWide(pending)) this.#wide.push(pending);
    else for (const key of keysOf(pending)) this.#addTo(key, pending);
  }

  /** Everything before `position` is on flushed volumes. */
  dropBefore(position: number): void {
    for (let next = this.#queue[this.#first]; next && next.end <= position; next = this.#queue[++this.#first]) {
      this.#remove(next);
    }
    if (this.#first < 4096 && this.#first < this.#queue.length) return;
    this.#queue = this.#queue.slice(this.#first);
    this.#first = 0;
  }

  /** Changes of the range, oldest first: what they leave counts. */
  overlaps(volume: number, offset: number, length: number): Pending[] {
    const found: Pending[] = [];
    const take = (pending: Pending) => {
      const isIn = pending.offset < offset + length && pending.offset + pending.length > offset;
      if (isIn && pending.volume === volume) found.push(pending);
    };
    this.#wide.forEach(take);
    const first = Math.floor(offset / CHUNK_BYTES);
    const last = Math.floor((offset + length - 1) / CHUNK_BYTES);
    for (let chunk = first; chunk <= last; chunk++) this.#chunks.get(keyOf(volume, chunk))?.forEach(take);
    if (found.length < 2) return found;
    // One that lies in several chunks was found in each.
    found.sort((a, b) => a.position - b.position);
    return found.filter((pending, i) => pending !== found[i - 1]);
  }

  #addTo(key: number, pending: Pending): void {
    const here = this.#chunks.get(key);
    if (!here) this.#chunks.set(key, [pending]);
    else if (here.length < CROWD) here.push(pending);
    else this.#chunks.set(key, [...here.filter((older) => !covers(pending, older, key)), pending]);
  }

  #remove(pending: Pending): void {
    if (isWide(pending)) {
      this.#wide = this.#wide.filter((other) => other !== pending);
      return;
    }
    for (const key of keysOf(pending)) {
      const here = this.#chunks.get(key);
      if (!here) continue;
      const at = here.indexOf(pending);
      if (at >= 0) here.splice(at, 1);
      if (here.length === 0) this.#chunks.delete(key);
    }
  }
}

const keyOf = (volume: number, chunk: number): number => volume * CHUNKS_A_VOLUME + chunk;

const chunksOf = ({ offset, length }: Pending): readonly [number, number] => [
  Math.floor(offset / CHUNK_BYTES),
  Math.floor((offset + length - 1) / CHUNK_BYTES),
];

function isWide(pending: Pending): boolean {
  const [first, last] = chunksOf(pending);
  return last - first >= CHUNKS_MAX;
}

function keysOf(pending: Pending): number[] {
  const [first, last] = chunksOf(pending);
  if (first === last) return [keyOf(pending.volume, first)];
  return Array.from({ length: last - first + 1 }, (_, i) => keyOf(pending.volume, first + i));
}

/** Whether nothing of `older` is left to be seen in the chunk. */
function covers(newer: Pending, older: Pending, key: number): boolean {
  const begin = (key % CHUNKS_A_VOLUME) * CHUNK_BYTES;
  const from = Math.max(older.offset, begin);
  const to = Math.min(older.offset + older.length, begin + CHUNK_BYTES);
  return newer.offset <= from && newer.offset + newer.length >= to;
}
