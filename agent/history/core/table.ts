/**
 * All records of a recording in the order of their marks (OS3), whatever order they came in: control put together with the place
 * of its data, of records of one mark the one that says more, and without those that a later generation voided.
 */
import { dataView } from '../../base/bytes.ts';
import type { ClockNote } from './clock.ts';
import { decodeRecord, isEntry, RECORD, RECORD_KIND, type ControlRecord } from '../wire/record.ts';

/** A session began there. */
export interface SessionNote extends ClockNote {
  /** At that mark; 0 where an earlier program made the note. */
  readonly chain: bigint;
}

const { at, bytes: STEP } = RECORD;
const TWO_32 = 4_294_967_296;
/** More marks than that between the first and the last for each record: they are looked up by hash. */
const SPARSE = 16;

/** A mark at which all of the volumes is known, and when that was so: microseconds since 1970, by the recorder's clock. */
export interface WholePoint {
  readonly mark: number;
  readonly timeUs: number;
  /** Another generation goes on from it, which may have written before that time. */
  readonly isLeft?: true;
}

/** By mark, the number of a record; -1 for none. */
interface Slots {
  get(mark: number): number;
  set(mark: number, record: number): void;
  /** None beyond this mark any more. */
  cut(mark: number): void;
  /** The records, by mark. */
  list(): Uint32Array;
}

export class RecordTable {
  /** The records, each `RECORD.bytes`. */
  readonly bytes: Uint8Array;
  /** Entries and images by mark, an image behind the entry of its mark: numbers of records. */
  readonly order: Uint32Array;
  /** Ascending. */
  readonly wholes: readonly WholePoint[];
  readonly clocks: readonly SessionNote[];
  /** Marks of which there is data and no control, ascending. */
  readonly orphans: readonly number[];
  readonly #view: DataView;

  constructor(bytes: Uint8Array, order: Uint32Array, rest: Pick<RecordTable, 'wholes' | 'clocks' | 'orphans'>) {
    this.bytes = bytes;
    this.#view = dataView(bytes);
    this.order = order;
    this.wholes = rest.wholes;
    this.clocks = rest.clocks;
    this.orphans = rest.orphans;
  }

  get count(): number {
    return this.order.length;
  }

  kind(record: number): number {
    return this.bytes[record * STEP + at.kind] ?? 0;
  }

  mark(record: number): number {
    return this.#u64(record * STEP + at.mark);
  }

  volume(record: number): number {
    return this.#view.getUint16(record * STEP + at.volume, true);
  }

  offset(record: number): number {
    return this.#u64(record * STEP + at.offset);
  }

  length(record: number): number {
    return this.#u64(record * STEP + at.length);
  }

  /** Microseconds since 1970, rounded up, by the monitor's clock. Without a loss: nanoseconds need more bits than a number has. */
  timeUs(record: number): number {
    const low = this.#view.getUint32(record * STEP + at.time, true);
    const high = this.#view.getUint32(record * STEP + at.time + 4, true);
    return high * 4_294_967 + Math.ceil((high * 296 + low) / 1000);
  }

  /** Whether all of it is here: its control, and its data if it has any. */
  isComplete(record: number): boolean {
    const start = record * STEP;
    return (
      this.#view.getUint32(start + at.payloadBytes, true) === 0 || this.#view.getUint32(start + at.segment, true) !== 0
    );
  }

  record(record: number): ControlRecord {
    return decodeRecord(this.bytes, record * STEP);
  }

  /** The last record of `order` up to this mark, as a place in it; -1 when there is none. */
  placeOf(mark: number): number {
    let [low, high] = [0, this.order.length];
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.mark(this.order[middle] ?? 0) <= mark) low = middle + 1;
      else high = middle;
    }
    return low - 1;
  }

  #u64(offset: number): number {
    return this.#view.getUint32(offset + 4, true) * TWO_32 + this.#view.getUint32(offset, true);
  }
}

/**
 * `bytes`: records in the order in which they were written, which become the table's. `hasSegment`: whether a segment's data is
 * still there.
 */
export function buildTable(bytes: Uint8Array, hasSegment: (segment: number) => boolean): RecordTable {
  const table = new RecordTable(bytes, new Uint32Array(0), { wholes: [], clocks: [], orphans: [] });
  const view = dataView(bytes);
  const count = Math.floor(bytes.length / STEP);
  const [entries, places] = [slotsFor(table, count), new Map<number, number>()];
  const images: number[] = [];
  let wholes: WholePoint[] = [];
  let clocks: SessionNote[] = [];
  for (let record = 0; record < count; record++) {
    const kind = table.kind(record);
    const mark = table.mark(record);
    const segment = view.getUint32(record * STEP + at.segment, true);
    if (segment !== 0 && !hasSegment(segment)) view.setUint32(record * STEP + at.segment, 0, true);
    if (isEntry(kind)) {
      const former = entries.get(mark);
      if (former < 0 || table.isComplete(record) || !table.isComplete(former)) entries.set(mark, record);
    } else if (kind === RECORD_KIND.image) {
      if (table.isComplete(record)) images.push(record);
    } else if (kind === RECORD_KIND.place) {
      if (hasSegment(segment)) places.set(mark, record);
    } else if (kind === RECORD_KIND.whole) wholes.push({ mark, timeUs: table.timeUs(record) });
    else if (kind === RECORD_KIND.clock) {
      const aheadUs = Number(view.getBigInt64(record * STEP + at.time, true)) / 1000;
      clocks.push({ mark, aheadUs, chain: view.getBigUint64(record * STEP + at.chain, true) });
    } else if (kind === RECORD_KIND.branch) {
      entries.cut(mark);
      for (const known of places.keys()) if (known > mark) places.delete(known);
      wholes = wholes.filter((whole) => whole.mark <= mark);
      wholes = wholes.map((whole) => (whole.mark === mark ? { ...whole, isLeft: true } : whole));
      clocks = clocks.filter((clock) => clock.mark <= mark);
      const kept = images.filter((image) => table.mark(image) <= mark);
      images.splice(0, images.length, ...kept);
    }
  }
  const orphans = joinPlaces(table, view, entries, places);
  const order = withImages(table, entries.list(), images);
  return new RecordTable(bytes, order, { wholes: wholes.sort((a, b) => a.mark - b.mark), clocks, orphans });
}

const ascending = (a: number, b: number): number => a - b;

/** Gives entries whose data came apart its place; answers the marks of data whose control is not there. */
function joinPlaces(table: RecordTable, view: DataView, entries: Slots, places: ReadonlyMap<number, number>): number[] {
  const orphans: number[] = [];
  for (const [mark, place] of places) {
    const entry = entries.get(mark);
    if (entry < 0) orphans.push(mark);
    else if (!table.isComplete(entry)) {
      const [from, to] = [place * STEP, entry * STEP];
      // Of another write with this mark it would be data of another generation.
      if (view.getUint32(from + at.payloadCrc, true) !== view.getUint32(to + at.payloadCrc, true)) continue;
      view.setUint32(to + at.segment, view.getUint32(from + at.segment, true), true);
      view.setBigUint64(to + at.position, view.getBigUint64(from + at.position, true), true);
    }
  }
  return orphans.sort(ascending);
}

function withImages(table: RecordTable, entries: Uint32Array, images: number[]): Uint32Array {
  if (images.length === 0) return entries;
  images.sort((a, b) => table.mark(a) - table.mark(b) || a - b);
  const order = new Uint32Array(entries.length + images.length);
  let [entry, image] = [0, 0];
  for (let i = 0; i < order.length; i++) {
    const [next, other] = [entries[entry], images[image]];
    const isEntryNext = other === undefined || (next !== undefined && table.mark(next) <= table.mark(other));
    order[i] = (isEntryNext ? next : other) ?? 0;
    if (isEntryNext) entry++;
    else image++;
  }
  return order;
}

function slotsFor(table: RecordTable, count: number): Slots {
  let [first, last, entries] = [Infinity, -1, 0];
  for (let record = 0; record < count; record++) {
    if (!isEntry(table.kind(record))) continue;
    const mark = table.mark(record);
    first = Math.min(first, mark);
    last = Math.max(last, mark);
    entries++;
  }
  const range = entries === 0 ? 0 : last - first + 1;
  return range <= SPARSE * entries + 1024 ? denseSlots(first, range) : sparseSlots();
}

function denseSlots(first: number, range: number): Slots {
  const slots = new Int32Array(range).fill(-1);
  return {
    get: (mark) => slots[mark - first] ?? -1,
    set: (mark, record) => void (slots[mark - first] = record),
    cut: (mark) => void slots.fill(-1, Math.max(0, mark + 1 - first)),
    list: () => Uint32Array.from(slots.filter((record) => record >= 0)),
  };
}

function sparseSlots(): Slots {
  const slots = new Map<number, number>();
  return {
    get: (mark) => slots.get(mark) ?? -1,
    set: (mark, record) => void slots.set(mark, record),
    cut: (mark) => {
      for (const known of slots.keys()) if (known > mark) slots.delete(known);
    },
    list: () => Uint32Array.from([...slots].sort(([a], [b]) => a - b).map(([, record]) => record)),
  };
}
