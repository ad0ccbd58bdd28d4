/**
 * The versions of blocks at one mark (OS4): for each byte the newest record up to it, by blocks of `VERSION_BYTES`. A record that
 * covers a block only partly leads to the one before it.
 */
import { RECORD_KIND } from '../wire/record.ts';
import { VERSION_BYTES } from '../wire/layout.ts';
import type { RecordTable } from './table.ts';

/** Consecutive bytes of a volume, all of one record; `record` -1: as the base has them. */
export interface Piece {
  readonly record: number;
  readonly from: number;
  readonly to: number;
}

const PAGE_BLOCKS = 1024;

export class Versions {
  readonly #table: RecordTable;
  readonly #bytes: readonly number[];
  /** By volume: pages of nodes. */
  readonly #pages: Map<number, Int32Array>[];
  #records = new Int32Array(1024);
  #former = new Int32Array(1024);
  #nodes = 0;

  /** `bytes`: of the volumes. All records behind `over` up to `mark` count: those before it are in the base. */
  constructor(table: RecordTable, bytes: readonly number[], over: number, mark: number) {
    this.#table = table;
    this.#bytes = bytes;
    this.#pages = bytes.map(() => new Map<number, Int32Array>());
    const end = table.placeOf(mark);
    for (let place = table.placeOf(over) + 1; place <= end; place++) this.#add(table.order[place] ?? 0);
  }

  /** Blocks of the volume that any record touches, ascending. */
  blocks(volume: number): number[] {
    const blocks: number[] = [];
    for (const [page, nodes] of this.#pages[volume] ?? []) {
      nodes.forEach((node, i) => {
        if (node >= 0) blocks.push(page * PAGE_BLOCKS + i);
      });
    }
    return blocks.sort((a, b) => a - b);
  }

  /** The range from `from` to `to` in pieces, ascending, neighbours of one record joined. */
  pieces(volume: number, from: number, to: number): Piece[] {
    const pieces: { record: number; from: number; to: number }[] = [];
    let last = { record: NaN, from: 0, to: 0 };
    const put = (record: number, start: number, end: number): void => {
      if (last.record === record && last.to === start) last.to = end;
      else pieces.push((last = { record, from: start, to: end }));
    };
    for (let block = Math.floor(from / VERSION_BYTES); block * VERSION_BYTES < to; block++) {
      const start = Math.max(from, block * VERSION_BYTES);
      const end = Math.min(to, (block + 1) * VERSION_BYTES);
      const node = this.#newest(volume, block);
      const newest = node < 0 ? -1 : (this.#records[node] ?? -1);
      // Mostly all of a block is of one record.
      if (newest < 0 || this.#covers(newest, start, end)) put(newest, start, end);
      else this.#cover(node, start, end, put);
    }
    return pieces;
  }

  isTouched(volume: number, block: number): boolean {
    return this.#newest(volume, block) >= 0;
  }

  #covers(record: number, start: number, end: number): boolean {
    const first = this.#table.offset(record);
    return first <= start && first + this.#table.length(record) >= end;
  }

  /** The range by its newest record, what that leaves by those before: a chain may be long, so not by recursion. */
  #cover(newest: number, start: number, end: number, put: (record: number, from: number, to: number) => void): void {
    const found: Piece[] = [];
    let open = [{ from: start, to: end }];
    for (let node = newest; node >= 0 && open.length > 0; node = this.#former[node] ?? -1) {
      const record = this.#records[node] ?? 0;
      const first = this.#table.offset(record);
      const last = first + this.#table.length(record);
      const left: { from: number; to: number }[] = [];
      for (const { from, to } of open) {
        if (from < Math.min(to, first)) left.push({ from, to: Math.min(to, first) });
        if (Math.max(from, first) < Math.min(to, last))
          found.push({ record, from: Math.max(from, first), to: Math.min(to, last) });
        if (Math.max(from, last) < to) left.push({ from: Math.max(from, last), to });
      }
      open = left;
    }
    for (const { from, to } of open) found.push({ record: -1, from, to });
    found.sort((a, b) => a.from - b.from);
    for (const { record, from, to } of found) put(record, from, to);
  }

  #add(record: number): void {
    const table = this.#table;
    const kind = table.kind(record);
    if (kind === RECORD_KIND.seal) return;
    const volume = table.volume(record);
    const first = table.offset(record);
    const end = first + table.length(record);
    const size = this.#bytes[volume] ?? 0;
    for (let block = Math.floor(first / VERSION_BYTES); block * VERSION_BYTES < end; block++) {
      const page = this.#page(volume, Math.floor(block / PAGE_BLOCKS));
      const slot = block % PAGE_BLOCKS;
      const isAll = first <= block * VERSION_BYTES && end >= Math.min(size, (block + 1) * VERSION_BYTES);
      page[slot] = this.#node(record, isAll ? -1 : this.#before(page[slot] ?? -1, first, end));
    }
  }

  /** The first of these that a record from `first` to `end` leaves anything of: a part that is rewritten makes no chain. */
  #before(node: number, first: number, end: number): number {
    let former = node;
    while (former >= 0) {
      const record = this.#records[former] ?? 0;
      const offset = this.#table.offset(record);
      if (offset < first || offset + this.#table.length(record) > end) break;
      former = this.#former[former] ?? -1;
    }
    return former;
  }

  #newest(volume: number, block: number): number {
    return this.#pages[volume]?.get(Math.floor(block / PAGE_BLOCKS))?.[block % PAGE_BLOCKS] ?? -1;
  }

  #page(volume: number, number: number): Int32Array {
    const pages = this.#pages[volume];
    const known = pages?.get(number);
    if (known) return known;
    const page = new Int32Array(PAGE_BLOCKS).fill(-1);
    pages?.set(number, page);
    return page;
  }

  #node(record: number, former: number): number {
    const node = this.#nodes++;
    if (node === this.#records.length) {
      this.#records = doubled(this.#records);
      this.#former = doubled(this.#former);
    }
    this.#records[node] = record;
    this.#former[node] = former;
    return node;
  }
}

function doubled(from: Int32Array<ArrayBuffer>): Int32Array<ArrayBuffer> {
  const to = new Int32Array(2 * from.length);
  to.set(from);
  return to;
}
