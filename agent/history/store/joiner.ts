/**
 * Control and data of each mark, put together in whatever order they came ([HI2]); and how far both are there without a hole. Knows
 * no disk: what it is given is about to be durable, and `done` says that it is.
 */
import { MarkPrefix } from '../../mirror/core/prefix.ts';
import type { RecordTable } from '../core/table.ts';
import type { DataHeader } from '../wire/data.ts';
import { EMPTY_RECORD, isEntry, RECORD_KIND, type ControlRecord } from '../wire/record.ts';

/** Where a payload lies. */
export interface Place {
  readonly segment: number;
  readonly position: number;
  readonly header: DataHeader;
}

export interface Joined {
  /** For the control file. */
  readonly records: ControlRecord[];
  /** They are durable. */
  readonly done: () => void;
}

export class Joiner {
  #complete: MarkPrefix = new MarkPrefix(0);
  /** The chain at the end of what is complete, and of marks beyond it. */
  #chain = 0n;
  readonly #chains = new Map<number, bigint>();
  readonly #awaitingData = new Map<number, ControlRecord>();
  /** Of one mark more than one, where somebody else's came too: the control says which is right. */
  readonly #awaitingControl = new Map<number, readonly Place[]>();

  /** All up to here is whole, from the mark on that it was started at. */
  get prefix(): { readonly mark: number; readonly chain: bigint } {
    return { mark: this.#complete.upTo, chain: this.#chain };
  }

  /** Marks of which control, or data, waits for the other. */
  get waiting(): { readonly control: number; readonly data: number } {
    return { control: this.#awaitingData.size, data: this.#awaitingControl.size };
  }

  startAt(mark: number, chain: bigint): void {
    this.#complete = new MarkPrefix(mark);
    this.#chain = chain;
    this.#awaitingControl.clear();
    this.#awaitingData.clear();
    this.#chains.clear();
  }

  /** What a recording holds, of which all is whole up to this mark. */
  takeOver(table: RecordTable, upTo: number): void {
    // Of what was begun at this mark, and has no entry of it, the word at its begin says the chain.
    this.startAt(upTo, table.clocks.findLast(({ mark }) => mark === upTo)?.chain ?? 0n);
    for (const number of table.order) {
      const record = table.record(number);
      if (!isEntry(record.kind)) continue;
      if (record.mark === upTo) this.#chain = record.chain;
      if (record.mark <= upTo) continue;
      if (table.isComplete(number)) this.#isWhole(record.mark, record.chain);
      else this.#awaitingData.set(record.mark, record);
    }
  }

  /** Marks beyond it are void. */
  cut(until: number, chain: bigint): void {
    for (const map of [this.#awaitingControl, this.#awaitingData, this.#chains]) {
      for (const mark of map.keys()) if (mark > until) map.delete(mark);
    }
    if (this.#complete.upTo >= until) this.#chain = chain;
    this.#complete.cut(until);
  }

  lacksControl(mark: number): boolean {
    return !this.#complete.has(mark) && !this.#awaitingData.has(mark);
  }

  lacksData({ mark, ...sum }: DataHeader): boolean {
    if (this.#complete.has(mark)) return false;
    return this.#awaitingControl.get(mark)?.some(({ header }) => isOf(header, sum)) !== true;
  }

  /** `fresh`: control that came. `places`: data that came. What does not match the control of its mark is dropped: the right one may come. */
  put(fresh: readonly ControlRecord[], places: readonly Place[]): Joined {
    const records: ControlRecord[] = [];
    const whole: ControlRecord[] = [];
    const alone: ControlRecord[] = [];
    const came = new Map<number, Place[]>();
    for (const place of places) {
      const others = came.get(place.header.mark);
      if (others) others.push(place);
      else came.set(place.header.mark, [place]);
    }
    const join = (record: ControlRecord, { segment, position }: Place): void => {
      const joined = { ...record, segment, position };
      records.push(joined);
      whole.push(joined);
    };
    for (const record of fresh) {
      const { mark, payloadBytes } = record;
      const place = placeOf(record, this.#awaitingControl.get(mark)) ?? placeOf(record, came.get(mark));
      came.delete(mark);
      if (payloadBytes > 0 && place) join(record, place);
      else {
        const unplaced = { ...record, segment: 0, position: 0 };
        records.push(unplaced);
        (payloadBytes === 0 ? whole : alone).push(unplaced);
      }
    }
    for (const [mark, waiting] of came) {
      const record = this.#awaitingData.get(mark);
      const place = record && placeOf(record, waiting);
      if (record && place) join(record, place);
      if (record || this.#complete.has(mark)) came.delete(mark);
      else records.push(...waiting.map((one) => placeRecord(one, RECORD_KIND.place)));
    }
    const done = (): void => {
      for (const record of alone) {
        this.#awaitingData.set(record.mark, record);
        this.#awaitingControl.delete(record.mark);
      }
      for (const [mark, waiting] of came) {
        this.#awaitingControl.set(mark, [...(this.#awaitingControl.get(mark) ?? []), ...waiting]);
      }
      for (const { mark, chain } of whole) {
        this.#awaitingControl.delete(mark);
        this.#awaitingData.delete(mark);
        this.#isWhole(mark, chain);
      }
    };
    return { records, done };
  }

  #isWhole(mark: number, chain: bigint): void {
    const before = this.#complete.upTo;
    if (!this.#complete.add(mark, mark)) return;
    const { upTo } = this.#complete;
    // Mostly they come in their order.
    if (upTo === mark && mark === before + 1) {
      this.#chain = chain;
      return;
    }
    this.#chains.set(mark, chain);
    if (upTo === before) return;
    this.#chain = this.#chains.get(upTo) ?? chain;
    for (let known = before + 1; known <= upTo; known++) this.#chains.delete(known);
  }
}

/** Data of another write with the same mark has another checksum. */
const isOf = (data: Sum, { payloadCrc, payloadBytes }: Sum): boolean =>
  data.payloadCrc === payloadCrc && data.payloadBytes === payloadBytes;

type Sum = Pick<DataHeader, 'payloadCrc' | 'payloadBytes'>;

const placeOf = (record: Sum, places: readonly Place[] | undefined): Place | undefined =>
  places?.find(({ header }) => isOf(header, record));

export const placeRecord = ({ segment, position, header }: Place, kind: number): ControlRecord => ({
  ...EMPTY_RECORD,
  ...header,
  kind,
  segment,
  position,
});
