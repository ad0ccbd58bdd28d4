/** A place of a ring as the document that `inspect --json` prints: stable names, nothing for the eye. */
import { toHex } from '../base/bytes.ts';
import { PACKET_TYPES } from '../base/packet-type.ts';
import { acknowledgements, recordSpan } from '../volume/batch.ts';
import { BATCH_FLAG } from '../volume/layout.ts';
import { walkRecords, type RecordHeader } from '../wire/record.ts';
import { isInTime, isOfRecords, wantsRecord, type Filter } from './filter.ts';
import { viewText } from './frame-text.ts';
import { frameView, type MessageView, type PacketView } from './frame-view.ts';
import type { InspectedVolume } from './inspected-volume.ts';
import { timeText } from './node-view.ts';
import { REASONS, type BadPlace, type FoundBatch, type LostPlace, type Place } from './ring-walk.ts';

export interface RecordView {
  readonly type: string;
  readonly target: string;
  readonly sequence: number;
  readonly ageMs: number;
  readonly frameBytes: number;
  readonly text: string;
  /** One of the two, unless the frame is neither. */
  readonly packet?: PacketView;
  readonly message?: MessageView;
}

export interface BatchView {
  readonly kind: 'batch';
  readonly node: string;
  readonly orderMark: number;
  readonly time: string;
  readonly monotonicUs: number;
  readonly position: number;
  readonly bytes: number;
  readonly incarnation: string;
  readonly wrap: boolean;
  readonly sealed: boolean;
  readonly recordCount: number;
  /** Null: sealed, and there is no key. */
  readonly records: readonly RecordView[] | null;
  readonly acknowledgements:
    | readonly {
        readonly peer: string;
        readonly readPosition: number;
        readonly nextData: number;
        readonly nextBulk: number;
      }[]
    | null;
}

export interface BadView {
  readonly kind: 'damaged';
  readonly node: string;
  readonly position: number;
  readonly bytes: number;
  readonly fault: string;
  readonly reason: string;
}

export interface LostView {
  readonly kind: 'overwritten';
  readonly node: string;
  readonly position: number;
  readonly bytes: number;
  readonly afterMark: number;
  readonly beforeMark: number;
}

export type PlaceView = BatchView | BadView | LostView;

/** What of the places is shown, and how much of them. */
export interface Wanted {
  readonly filter: Filter;
  /** The beginning of what packets and messages carry, too. */
  readonly content: boolean;
}

/** A frame of an opened batch; header and frame are valid during the call only. */
type Visit = (record: RecordHeader, frame: Uint8Array) => void;

/** The records of a batch that the filter wants. */
export function wantedRecords(batch: FoundBatch, filter: Filter, visit: Visit): void {
  const { bytes, header } = batch;
  const [start, end] = recordSpan(header);
  walkRecords(bytes, start, end, (record, offset) => {
    const frame = bytes.subarray(offset, offset + record.frameBytes);
    if (wantsRecord(filter, record.type, frame)) visit(record, frame);
  });
}

/** The document for a place; null when the filter does not want it. */
export function placeView(volume: InspectedVolume, place: Place, wanted: Wanted): PlaceView | null {
  if (place.kind === 'damaged') return badView(volume, place);
  if (place.kind === 'overwritten') return lostView(volume, place);
  const { filter } = wanted;
  if (!isInTime(filter, place.header)) return null;
  const view = batchView(volume, place, wanted);
  return isOfRecords(filter) && view.records?.length === 0 ? null : view;
}

function badView(volume: InspectedVolume, place: BadPlace): BadView {
  const { position, bytes, fault, detail } = place;
  const reason = detail === undefined ? REASONS[fault] : `${REASONS[fault]}: ${detail}`;
  return { kind: 'damaged', node: volume.nodeName(place.slot), position, bytes, fault, reason };
}

function lostView(volume: InspectedVolume, { slot, ...place }: LostPlace): LostView {
  return { ...place, node: volume.nodeName(slot) };
}

function batchView(volume: InspectedVolume, batch: FoundBatch, wanted: Wanted): BatchView {
  return {
    ...batchHead(volume, batch),
    records: batch.isOpen ? recordViews(volume, batch, wanted) : null,
    acknowledgements: batch.isOpen ? acknowledgementViews(volume, batch) : null,
  };
}

/** What stands before its records. */
export function batchHead(
  volume: InspectedVolume,
  { slot, header }: FoundBatch,
): Omit<BatchView, 'records' | 'acknowledgements'> {
  return {
    kind: 'batch',
    node: volume.nodeName(slot),
    orderMark: header.orderMark,
    time: timeText(header.wallUs),
    monotonicUs: header.monotonicUs,
    position: header.position,
    bytes: header.batchBytes,
    incarnation: toHex(header.incarnation),
    wrap: (header.flags & BATCH_FLAG.wrap) !== 0,
    sealed: (header.flags & BATCH_FLAG.sealed) !== 0,
    recordCount: header.recordCount,
  };
}

function recordViews(volume: InspectedVolume, batch: FoundBatch, { filter, content }: Wanted): RecordView[] {
  const views: RecordView[] = [];
  wantedRecords(batch, filter, ({ type, peer, sequence, ageMs, frameBytes }, frame) => {
    const view = frameView(frame, content);
    const target = volume.tenantName(peer);
    views.push({ type: typeName(type), target, sequence, ageMs, frameBytes, text: viewText(view), ...view });
  });
  return views;
}

export const typeName = (type: number): string => PACKET_TYPES[type] ?? `type ${type}`;

export function acknowledgementViews(
  volume: InspectedVolume,
  batch: FoundBatch,
): NonNullable<BatchView['acknowledgements']> {
  return [...acknowledgements(batch.bytes, batch.header)].map((ack) => ({
    peer: volume.tenantName(ack.peerIndex),
    readPosition: ack.readPosition,
    nextData: ack.nextData,
    nextBulk: ack.nextBulk,
  }));
}
