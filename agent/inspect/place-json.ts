/**
 * The document of a place as JSON: what `JSON.stringify` makes of its `placeView`, to the byte. That of a batch is put together
 * record by record, for most of its records say what one before them said.
 */
import type { RecordHeader } from '../wire/record.ts';
import { acknowledgementViews, batchHead, placeView, typeName, wantedRecords, type Wanted } from './batch-view.ts';
import { isInTime, isOfRecords } from './filter.ts';
import { FlowTexts } from './flow-texts.ts';
import { viewText } from './frame-text.ts';
import { flowOf, frameView } from './frame-view.ts';
import type { InspectedVolume } from './inspected-volume.ts';
import type { JsonBytes } from './json-bytes.ts';
import type { FoundBatch, Place } from './ring-walk.ts';

const COMMA = 0x2c;

export interface PutPlace {
  readonly kind: Place['kind'];
  /** Of a batch. */
  readonly records: number;
}

export class PlaceJson {
  readonly #volume: InspectedVolume;
  readonly #wanted: Wanted;
  readonly #flows = new FlowTexts();
  /** Beginnings of records, by type and peer. */
  readonly #begins = new Map<number, Uint8Array>();

  constructor(volume: InspectedVolume, wanted: Wanted) {
    this.#volume = volume;
    this.#wanted = wanted;
  }

  /** Of a batch with `before` before it. Null, and nothing is put, when the filter does not want it. */
  put(place: Place, before: string, into: JsonBytes): PutPlace | null {
    if (place.kind === 'batch' && place.isOpen) return this.#putBatch(place, before, into);
    const view = placeView(this.#volume, place, this.#wanted);
    if (view === null) return null;
    if (view.kind === 'batch') into.text(before);
    into.text(JSON.stringify(view));
    return { kind: view.kind, records: view.kind === 'batch' ? view.recordCount : 0 };
  }

  #putBatch(batch: FoundBatch, before: string, into: JsonBytes): PutPlace | null {
    const { filter } = this.#wanted;
    if (!isInTime(filter, batch.header)) return null;
    const { length } = into;
    into.text(`${before}${JSON.stringify(batchHead(this.#volume, batch)).slice(0, -1)},"records":[`);
    let records = 0;
    wantedRecords(batch, filter, (record, frame) => {
      if (records > 0) into.byte(COMMA);
      into.bytes(this.#begin(record));
      into.count(record.sequence);
      into.bytes(this.#rest(record, frame));
      records++;
    });
    if (isOfRecords(filter) && records === 0) {
      into.cut(length);
      return null;
    }
    into.text(`],"acknowledgements":${JSON.stringify(acknowledgementViews(this.#volume, batch))}}`);
    return { kind: 'batch', records };
  }

  /** Up to its sequence number. */
  #begin({ type, peer }: RecordHeader): Uint8Array {
    const key = (type << 16) | peer;
    const known = this.#begins.get(key);
    if (known !== undefined) return known;
    const target = this.#volume.tenantName(peer);
    const begin = Buffer.from(`${JSON.stringify({ type: typeName(type), target }).slice(0, -1)},"sequence":`);
    this.#begins.set(key, begin);
    return begin;
  }

  /** What stands behind the number, with its end. */
  #rest(record: RecordHeader, frame: Uint8Array): Uint8Array {
    const flow = this.#wanted.content ? null : flowOf(frame);
    if (flow === null) return this.#made(record, frame);
    return this.#flows.find(record, flow) ?? this.#flows.keep(record, flow, this.#made(record, frame));
  }

  #made({ ageMs, frameBytes }: RecordHeader, frame: Uint8Array): Uint8Array {
    const view = frameView(frame, this.#wanted.content);
    return Buffer.from(`,${JSON.stringify({ ageMs, frameBytes, text: viewText(view), ...view }).slice(1)}`);
  }
}
