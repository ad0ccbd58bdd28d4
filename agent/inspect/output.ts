/** The forms of output, each given the same places: lines, a JSON document, JSON lines, packets. */
import { EXIT } from '../base/errors.ts';
import { PACKET_TYPES } from '../base/packet-type.ts';
import { placeView, wantedRecords, type PlaceView, type Wanted } from './batch-view.ts';
import { isInTime } from './filter.ts';
import type { InspectedVolume } from './inspected-volume.ts';
import { JsonBytes } from './json-bytes.ts';
import { timeText, type NodeView, type SlotHead } from './node-view.ts';
import { BETWEEN } from './part.ts';
import type { ShownPlace } from './parts.ts';
import { finishedPacket, pcapngHeader, pcapngPacket } from './pcapng.ts';
import { PlaceJson } from './place-json.ts';
import { isProgramFrame } from '../wire/program-message.ts';
import type { FoundBatch, Place } from './ring-walk.ts';
import type { Sink } from './sink.ts';
import { nodeText, placeText, totalsText, volumeText, type Totals } from './text.ts';

/** What all forms are made from. */
export interface Report {
  readonly volume: InspectedVolume;
  readonly nodes: readonly NodeView[];
  readonly heads: readonly SlotHead[];
  readonly sealed: boolean;
  readonly hasKey: boolean;
  readonly wanted: Wanted;
}

export interface Output {
  begin(): void;
  place(place: Place): void;
  /** The same of a place that another thread has shown, in the forms that can be made so. */
  readonly shown?: (place: ShownPlace) => void;
  /** Answers the command's exit status. */
  end(): number;
}

function count(totals: Totals, view: PlaceView): void {
  if (view.kind === 'damaged') totals.damagedPlaces++;
  if (view.kind !== 'batch') return;
  totals.batches++;
  totals.records += view.records?.length ?? view.recordCount;
}

export const NO_KEY = 'sealed, and no key is given: structure only; give --key-file FILE or --config FILE';

export function textOutput(report: Report, sink: Sink): Output {
  const totals: Totals = { batches: 0, records: 0, damagedPlaces: 0 };
  const lines = (texts: readonly string[]): void => texts.forEach((text) => sink.write(`${text}\n`));
  return {
    begin() {
      lines(volumeText(report.volume));
      if (report.sealed && !report.hasKey) lines([`  ! ${NO_KEY}`]);
      report.nodes.forEach((node) => lines(nodeText(node)));
      lines(['']);
    },
    place(place) {
      const view = placeView(report.volume, place, report.wanted);
      if (!view) return;
      count(totals, view);
      lines(placeText(view));
    },
    end() {
      lines([totalsText(totals)]);
      return EXIT.ok;
    },
  };
}

export function documentHead({ volume, nodes, sealed, hasKey }: Report): Record<string, unknown> {
  const { device, superblock, copies } = volume;
  const { version, createdWallMs, slotBytes, slotCount, sectorBytes, volumeBytes, revision } = superblock;
  return {
    volume: device.path,
    bytes: device.bytes,
    direct: device.isDirect,
    cluster: volume.clusterName,
    uuid: volume.uuid,
    sealed,
    key: sealed ? (hasKey ? 'given' : 'missing') : 'none needed',
    superblock: {
      version: `${version >>> 16}.${version & 0xffff}`,
      created: new Date(createdWallMs).toISOString(),
      volumeBytes,
      slotBytes,
      slotCount,
      sectorBytes,
      revision,
      copies,
    },
    nodes,
  };
}

/** To begin with. */
const PLACE_BYTES = 64 * 1024;

/** One document, written piece by piece: a volume may hold more than memory does. */
export function jsonOutput(report: Report, sink: Sink): Output {
  const totals: Totals = { batches: 0, records: 0, damagedPlaces: 0 };
  const damaged: string[] = [];
  const places = new PlaceJson(report.volume, report.wanted);
  const bytes = new JsonBytes(PLACE_BYTES);
  return {
    begin: () => sink.write(`${JSON.stringify(documentHead(report)).slice(0, -1)},"batches":[`),
    place(place) {
      const shown = places.put(place, totals.batches > 0 ? BETWEEN : '\n', bytes);
      const json = bytes.copied();
      if (shown?.kind === 'damaged') {
        damaged.push(json.toString());
        totals.damagedPlaces++;
      }
      if (shown?.kind !== 'batch') return;
      sink.write(json);
      totals.batches++;
      totals.records += shown.records;
    },
    shown({ kind, json, records }) {
      if (kind === 'damaged') {
        damaged.push(json.toString());
        totals.damagedPlaces++;
        return;
      }
      sink.write(totals.batches > 0 ? json : json.subarray(BETWEEN.indexOf('\n')));
      totals.batches++;
      totals.records += records;
    },
    end() {
      sink.write(`],"damaged":[${damaged.join()}],"totals":${JSON.stringify(totals)}}\n`);
      return EXIT.ok;
    },
  };
}

/** With --follow: a document for each place, one in a line. */
export function jsonLinesOutput(report: Report, sink: Sink): Output {
  const places = new PlaceJson(report.volume, report.wanted);
  const bytes = new JsonBytes(PLACE_BYTES);
  return {
    begin: () => {},
    place(place) {
      if (places.put(place, '', bytes) === null) return;
      bytes.text('\n');
      sink.write(bytes.copied());
    },
    end: () => EXIT.ok,
  };
}

/** `told` gets one line at the end. */
export function pcapOutput(report: Report, sink: Sink, told: (line: string) => void): Output {
  const { volume } = report;
  const { filter } = report.wanted;
  let packets = 0;
  return {
    begin: () => sink.write(pcapngHeader(volume.slots.map((slot) => volume.nodeName(slot)))),
    place(place) {
      if (place.kind !== 'batch' || !place.isOpen || !isInTime(filter, place.header)) return;
      wantedRecords(place, filter, (record, frame) => {
        if (isProgramFrame(frame)) return;
        const packet = finishedPacket(frame);
        const version = (packet[0] ?? 0) >> 4;
        if (version !== 4 && version !== 6) return; // the agents' own words are no packets
        const entered = Math.max(0, place.header.wallUs - record.ageMs * 1000);
        const comment = stampText(volume, place, PACKET_TYPES[record.type] ?? `type ${record.type}`, record);
        sink.write(pcapngPacket(volume.slots.indexOf(place.slot), entered, packet, comment));
        packets++;
      });
    },
    end() {
      told(`${packets} packet${packets === 1 ? '' : 's'}`);
      return EXIT.ok;
    },
  };
}

function stampText(
  volume: InspectedVolume,
  { slot, header }: FoundBatch,
  type: string,
  record: { readonly peer: number; readonly sequence: number },
): string {
  return (
    `order mark ${header.orderMark}, time mark ${timeText(header.wallUs)}, ${volume.nodeName(slot)} to ` +
    `${volume.tenantName(record.peer)}, ${type} ${record.sequence}, position ${header.position}`
  );
}
