/** The forms of output, each given the same places: lines, a JSON document, JSON lines, packets. */
import { closeSync, openSync, statSync, writeSync } from 'node:fs';
import { AgentError } from '../base/errors.ts';
import { PACKET_TYPES } from '../base/packet-type.ts';
import { placeView, wantedRecords, type BadView, type PlaceView } from './batch-view.ts';
import { isInTime, type Filter } from './filter.ts';
import type { InspectedVolume } from './inspected-volume.ts';
import { timeText, type NodeView } from './node-view.ts';
import { finishedPacket, pcapngHeader, pcapngPacket } from './pcapng.ts';
import { isProgramFrame } from '../wire/program-message.ts';
import type { FoundBatch, Place } from './ring-walk.ts';
import { nodeText, placeText, totalsText, volumeText, type Totals } from './text.ts';

/**
 * Collects what is written, for fewer and larger writes. `flush` waits until the reader of a pipe has taken it: whoever
 * ends the process before loses the rest.
 */
export class Sink {
  readonly #write: (bytes: Buffer) => Promise<void> | void;
  readonly close: () => void;
  #parts: Buffer[] = [];
  #bytes = 0;

  private constructor(write: (bytes: Buffer) => Promise<void> | void, close: () => void) {
    this.#write = write;
    this.close = close;
  }

  static stdout(): Sink {
    return new Sink(
      async (bytes) => new Promise((resolve) => void process.stdout.write(bytes, () => resolve())),
      () => {},
    );
  }

  /** Refuses to write over anything but a file, and over the volume itself. */
  static file(path: string, volume: InspectedVolume): Sink {
    const [there, own] = [statSync(path, { throwIfNoEntry: false }), statSync(volume.device.path)];
    if (there && !there.isFile() && !there.isFIFO()) {
      throw new AgentError('usage', `--pcap ${path} is neither a file nor a pipe: name another one`);
    }
    if (there && there.ino === own.ino && there.dev === own.dev) {
      throw new AgentError('usage', `--pcap ${path} is the volume itself: name another file`);
    }
    try {
      const fd = openSync(path, 'w', 0o600);
      return new Sink(
        (bytes) => writeAll(fd, bytes, path),
        () => closeSync(fd),
      );
    } catch (caught) {
      throw fileError(path, caught);
    }
  }

  write(part: Buffer | string): void {
    const bytes = typeof part === 'string' ? Buffer.from(part) : part;
    this.#parts.push(bytes);
    this.#bytes += bytes.length;
  }

  /** Time to flush. */
  get isFull(): boolean {
    return this.#bytes >= 65_536;
  }

  async flush(): Promise<void> {
    if (this.#bytes === 0) return;
    const bytes = Buffer.concat(this.#parts);
    this.#parts = [];
    this.#bytes = 0;
    await this.#write(bytes);
  }
}

function writeAll(fd: number, bytes: Buffer, path: string): void {
  try {
    for (let done = 0; done < bytes.length;) done += writeSync(fd, bytes, done);
  } catch (caught) {
    throw fileError(path, caught);
  }
}

const fileError = (path: string, caught: unknown): AgentError => {
  const { code } = caught as NodeJS.ErrnoException;
  return new AgentError('failed', `${path} cannot be written (${code}): check the path, your rights and free space`, {
    cause: caught,
  });
};

/** What all forms are made from. */
export interface Report {
  readonly volume: InspectedVolume;
  readonly uuid: string;
  readonly nodes: readonly NodeView[];
  readonly sealed: boolean;
  readonly hasKey: boolean;
  readonly filter: Filter;
}

export interface Output {
  begin(): void;
  place(place: Place): void;
  end(): void;
}

function count(totals: Totals, view: PlaceView): void {
  if (view.kind === 'damaged') totals.damagedPlaces++;
  else totals.batches++;
  if (view.kind === 'batch') totals.records += view.records?.length ?? view.recordCount;
}

export const NO_KEY = 'sealed, and no key is given: structure only; give --key-file FILE or --config FILE';

export function textOutput(report: Report, sink: Sink): Output {
  const totals: Totals = { batches: 0, records: 0, damagedPlaces: 0 };
  const lines = (texts: readonly string[]): void => texts.forEach((text) => sink.write(`${text}\n`));
  return {
    begin() {
      lines(volumeText(report.volume, report.uuid));
      if (report.sealed && !report.hasKey) lines([`  ! ${NO_KEY}`]);
      report.nodes.forEach((node) => lines(nodeText(node)));
      lines(['']);
    },
    place(place) {
      const view = placeView(report.volume, place, report.filter);
      if (!view) return;
      count(totals, view);
      lines(placeText(view));
    },
    end: () => lines([totalsText(totals)]),
  };
}

function documentHead({ volume, uuid, nodes, sealed, hasKey }: Report): Record<string, unknown> {
  const { device, superblock, copies } = volume;
  const { version, clusterName, createdWallMs, slotBytes, slotCount, sectorBytes, volumeBytes, revision } = superblock;
  return {
    volume: device.path,
    bytes: device.bytes,
    direct: device.isDirect,
    cluster: clusterName,
    uuid,
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

/** One document, written piece by piece: a volume may hold more than memory does. */
export function jsonOutput(report: Report, sink: Sink): Output {
  const totals: Totals = { batches: 0, records: 0, damagedPlaces: 0 };
  const damaged: BadView[] = [];
  return {
    begin: () => sink.write(`${JSON.stringify(documentHead(report)).slice(0, -1)},"batches":[`),
    place(place) {
      const view = placeView(report.volume, place, report.filter);
      if (view?.kind === 'damaged') damaged.push(view);
      if (view?.kind === 'batch') sink.write(`${totals.batches > 0 ? ',' : ''}\n${JSON.stringify(view)}`);
      if (view) count(totals, view);
    },
    end: () => sink.write(`],"damaged":${JSON.stringify(damaged)},"totals":${JSON.stringify(totals)}}\n`),
  };
}

/** With --follow: a document for each place, one in a line. */
export function jsonLinesOutput(report: Report, sink: Sink): Output {
  return {
    begin: () => {},
    place(place) {
      const view = placeView(report.volume, place, report.filter);
      if (view) sink.write(`${JSON.stringify(view)}\n`);
    },
    end: () => {},
  };
}

/** `told` gets one line at the end. */
export function pcapOutput(report: Report, sink: Sink, told: (line: string) => void): Output {
  const { volume, filter } = report;
  let packets = 0;
  return {
    begin: () => sink.write(pcapngHeader(volume.superblock.nodes.map((_, slot) => volume.nodeName(slot)))),
    place(place) {
      if (place.kind === 'damaged' || !place.isOpen || !isInTime(filter, place.header)) return;
      wantedRecords(place, filter, (record, frame) => {
        if (isProgramFrame(frame)) return;
        const packet = finishedPacket(frame);
        const version = (packet[0] ?? 0) >> 4;
        if (version !== 4 && version !== 6) return; // the agents' own words are no packets
        const entered = Math.max(0, place.header.wallUs - record.ageMs * 1000);
        const comment = stampText(volume, place, PACKET_TYPES[record.type] ?? `type ${record.type}`, record);
        sink.write(pcapngPacket(place.slot, entered, packet, comment));
        packets++;
      });
    },
    end: () => told(`${packets} packet${packets === 1 ? '' : 's'}`),
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
