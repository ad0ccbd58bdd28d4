/** What a recording holds, as anybody may read it while it grows: its records in order, and what of it can be restored. */
import { closeSync, fstatSync, readSync } from 'node:fs';
import type { ClockNote } from '../core/clock.ts';
import { correctedTimes, extentOf, type Extent, type UnclearMarks } from '../core/spans.ts';
import { buildTable, type RecordTable, type WholePoint } from '../core/table.ts';
import { decodeData, DATA, dataBytes } from '../wire/data.ts';
import {
  CONTROL_FRAME,
  EMPTY_RECORD,
  encodedRecord,
  encodeRecord,
  isEntry,
  readControlFrame,
  RECORD,
  RECORD_KIND,
} from '../wire/record.ts';
import {
  controlPath,
  dataPath,
  fileDamage,
  openIfThere,
  readHead,
  segmentsIn,
  type Base,
  type RecordingHead,
} from './files.ts';
import { readKnown, type Known } from './known.ts';

export interface Loaded {
  readonly folder: string;
  readonly head: RecordingHead;
  readonly table: RecordTable;
  readonly extent: Extent;
  /** Of the table's order, corrected: microseconds since 1970 by the recorder's clock. */
  readonly times: Float64Array;
  readonly segments: readonly SegmentFacts[];
  /** [HI6] Ascending. */
  readonly clocks: readonly ClockNote[];
  /** What of it is damaged, in words. */
  readonly damage: readonly string[];
}

export interface SegmentFacts {
  readonly segment: number;
  readonly controlBytes: number;
  readonly dataBytes: number;
  /** Of the frames in it. */
  readonly lastSequence: number;
  /** The end of the last whole frame. */
  readonly controlEnd: number;
  /** Its records in the table: from this one up to, and without, that one. */
  readonly recordFrom: number;
  readonly recordTo: number;
}

/** Of a recording whose head is another one each time. */
const LOOKS_MAX = 3;

/**
 * `most`: of the oldest segments. Throws an AgentError for what is no recording. While it is read somebody else may fold: then the head
 * is another one behind it, and all of it is read again. The last time it stands all the same: what is gone is in the base of that head.
 */
export function loadRecording(folder: string, most = Infinity): Loaded {
  let head = readHead(folder);
  for (let look = 1; ; look++) {
    // Before the control: all up to its mark is in what is read then.
    const known = readKnown(folder);
    const read = readSegments(folder, head.branches ? most : Infinity);
    const before = head;
    head = readHead(folder);
    if (look === LOOKS_MAX || JSON.stringify(head) === JSON.stringify(before))
      return assembled(folder, head, known, read);
  }
}

interface SegmentsRead {
  /** With the records of each. */
  readonly segments: readonly (Omit<SegmentFacts, 'recordFrom' | 'recordTo'> & { readonly records: Uint8Array[] })[];
  /** With data. */
  readonly data: ReadonlySet<number>;
  /** The last that was read, though it may be gone. */
  readonly newest: number;
  readonly damage: readonly string[];
  /** Frames are missing between others, or at the end of what is no last segment. */
  readonly lacksControl: boolean;
}

/** What a fold removes between the listing and here is left out. */
function readSegments(folder: string, most: number): SegmentsRead {
  const damage: string[] = [];
  const control = new Set(segmentsIn(folder, 'control'));
  const data = new Set(segmentsIn(folder, 'data'));
  const all = [...new Set([...control, ...data])].sort((a, b) => a - b);
  const some = all.slice(0, most);
  const segments: SegmentsRead['segments'][number][] = [];
  let [lacksControl, sequence] = [false, 0];
  for (const segment of some) {
    const read = control.has(segment) ? readControl(folder, segment, segment === all.at(-1), damage) : null;
    const size = data.has(segment) ? sizeOf(dataPath(folder, segment)) : null;
    if (size === null) data.delete(segment);
    if (!read && size === null) continue;
    lacksControl ||=
      !read || read.isDamaged || (sequence > 0 && read.frames > 0 && read.firstSequence !== sequence + 1);
    sequence = read?.lastSequence ?? 0;
    segments.push({
      segment,
      controlBytes: read?.bytes ?? 0,
      dataBytes: size ?? 0,
      lastSequence: read?.lastSequence ?? 0,
      controlEnd: read?.end ?? 0,
      // Control that is gone, or does not hold: the data says which marks it is of.
      records: [...(read?.records ?? []), ...(!read || read.isDamaged ? [placesIn(folder, segment)] : [])],
    });
  }
  return { segments, data, newest: some.at(-1) ?? 0, damage, lacksControl };
}

function assembled(folder: string, head: RecordingHead, known: Known, read: SegmentsRead): Loaded {
  const { base, branches = [] } = head;
  const pieces: Uint8Array[] = base.clock ? [clockAt(base.mark, base.clock)] : [];
  let count = pieces.length;
  const segments: SegmentFacts[] = [];
  for (const { records, ...facts } of read.segments) {
    const recordFrom = count;
    pieces.push(...records);
    count += records.reduce((sum, { length }) => sum + length / RECORD.bytes, 0);
    segments.push({ ...facts, recordFrom, recordTo: count });
  }
  // Without a list of them it is not known what a word behind those that are read voids.
  for (const { segment, until } of branches) {
    if (segment > read.newest) pieces.push(encodedRecord({ ...EMPTY_RECORD, kind: RECORD_KIND.branch, mark: until }));
  }
  const table = buildTable(joined(pieces), (segment) => read.data.has(segment));
  const clocks = clocksOf(head, table, read.lacksControl);
  const times = correctedTimes(table, base.timeUs, clocks, known);
  const extent = extentOf(table, basePoint(head, table), times, known, clocks.flatMap(unclearIn));
  const damage = [...fileDamage(folder, head), ...read.damage, ...missingFiles(folder, table, base.mark, segments)];
  return { folder, head, table, times, extent, segments, clocks, damage };
}

/** One of a segment's two files, where that says anything that is not in the base: a fold removes one behind the other. */
function missingFiles(folder: string, table: RecordTable, mark: number, segments: readonly SegmentFacts[]): string[] {
  return segments.flatMap(({ segment, controlBytes, dataBytes, recordFrom, recordTo }) => {
    const path = controlBytes === 0 ? controlPath(folder, segment) : dataBytes === 0 ? dataPath(folder, segment) : null;
    if (path === null || isThere(path)) return [];
    const names = (record: number): boolean =>
      table.mark(record) > mark && (controlBytes === 0 || !table.isComplete(record));
    for (let record = recordFrom; record < recordTo; record++) {
      if (names(record)) return [`${path} is gone: what it said is missing, marks of it are gaps`];
    }
    return [];
  });
}

/** Without a list of them one may have been said where control is lost. */
function clocksOf(head: RecordingHead, table: RecordTable, lacksControl: boolean): readonly ClockNote[] {
  if (head.clocks) return head.clocks;
  const said = table.clocks.map(({ mark, aheadUs }) => ({ mark, aheadUs }));
  const unclear = { upTo: Infinity, fromUs: 0, untilUs: Infinity };
  return lacksControl ? [{ mark: 0, aheadUs: 0, unclear }, ...said] : said;
}

const unclearIn = ({ mark, unclear }: ClockNote): UnclearMarks[] => (unclear ? [{ from: mark, ...unclear }] : []);

/**
 * What is being folded can be restored from where it will be. Null where an entry is not at hand that the base files may not have:
 * one that came while they were taken, or is being brought in.
 */
function basePoint({ base }: RecordingHead, table: RecordTable): WholePoint | null {
  const { state, mark, timeUs, over } = base;
  if (state !== 'whole' && state !== 'folding') return null;
  let upTo = over;
  for (let place = table.placeOf(over) + 1; upTo < mark && place < table.count; place++) {
    const record = table.order[place] ?? 0;
    if (!isEntry(table.kind(record))) continue;
    if (table.mark(record) !== upTo + 1 || !table.isComplete(record)) return null;
    upTo++;
  }
  return upTo < mark ? null : { mark, timeUs };
}

/** A word of a segment that was folded, as the base has it. */
const clockAt = (mark: number, { aheadUs, chain }: NonNullable<Base['clock']>): Uint8Array =>
  encodedRecord({
    ...EMPTY_RECORD,
    kind: RECORD_KIND.clock,
    mark,
    chain: BigInt(`0x${chain}`),
    time: BigInt(Math.round(aheadUs)) * 1000n,
  });

/** What of a segment's marks is void beyond: Infinity without. */
export const voidBeyond = ({ branches = [] }: RecordingHead, segment: number): number =>
  branches.reduce((least, branch) => (branch.segment > segment ? Math.min(least, branch.until) : least), Infinity);

interface ControlRead {
  readonly records: Uint8Array[];
  readonly bytes: number;
  readonly end: number;
  readonly firstSequence: number;
  readonly lastSequence: number;
  readonly frames: number;
  readonly isDamaged: boolean;
}

/** Frames one behind the other; behind damage it goes on at the next one that holds. Null: it is gone. */
function readControl(folder: string, segment: number, isLast: boolean, damage: string[]): ControlRead | null {
  const path = controlPath(folder, segment);
  const bytes = readAll(path);
  if (bytes === null) return null;
  const records: Uint8Array[] = [];
  let [at, end, firstSequence, lastSequence, isDamaged] = [0, 0, 0, 0, false];
  while (at + CONTROL_FRAME.bytes <= bytes.length) {
    const frame = readControlFrame(bytes, at);
    if (!frame || frame.segment !== segment) {
      at += RECORD.bytes;
      continue;
    }
    if (at !== end) {
      isDamaged = true;
      damage.push(`${path} is damaged from byte ${end} to ${at}: what it said there is missing, marks of it are gaps`);
    }
    const from = at + CONTROL_FRAME.bytes;
    at = from + frame.count * RECORD.bytes;
    records.push(bytes.subarray(from, at));
    end = at;
    if (records.length === 1) firstSequence = frame.sequence;
    lastSequence = frame.sequence;
  }
  // A torn end is what a crash leaves, in the last one.
  if (end < bytes.length && !isLast) {
    isDamaged = true;
    damage.push(`${path} is damaged from byte ${end} on: what it said there is missing, marks of it are gaps`);
  }
  return { records, bytes: bytes.length, end, firstSequence, lastSequence, frames: records.length, isDamaged };
}

/** The places of the data in a segment, by its headers alone. */
export function placesIn(folder: string, segment: number): Uint8Array {
  const fd = openIfThere(dataPath(folder, segment));
  if (fd === null) return new Uint8Array(0);
  const found: Uint8Array[] = [];
  const header = new Uint8Array(DATA.bytes);
  try {
    const { size } = fstatSync(fd);
    for (let at = 0; at + DATA.bytes <= size;) {
      if (readSync(fd, header, 0, DATA.bytes, at) < DATA.bytes) break;
      const data = decodeData(header, 0);
      if (!data || at + DATA.bytes + data.payloadBytes > size) break;
      const isImage = data.kind === RECORD_KIND.image;
      const record = new Uint8Array(RECORD.bytes);
      const kind = isImage ? RECORD_KIND.image : RECORD_KIND.place;
      encodeRecord({ ...EMPTY_RECORD, ...data, kind, segment, position: at }, record, 0);
      found.push(record);
      at += dataBytes(data.payloadBytes);
    }
  } finally {
    closeSync(fd);
  }
  return joined(found);
}

function joined(pieces: readonly Uint8Array[]): Uint8Array {
  if (pieces.length === 1 && pieces[0]) return Uint8Array.from(pieces[0]);
  const all = new Uint8Array(pieces.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const piece of pieces) {
    all.set(piece, at);
    at += piece.length;
  }
  return all;
}

const isThere = (path: string): boolean => sizeOf(path) !== null;

function sizeOf(path: string): number | null {
  const fd = openIfThere(path);
  if (fd === null) return null;
  try {
    return fstatSync(fd).size;
  } finally {
    closeSync(fd);
  }
}

function readAll(path: string): Uint8Array | null {
  const fd = openIfThere(path);
  if (fd === null) return null;
  try {
    const bytes = new Uint8Array(fstatSync(fd).size);
    let done = 0;
    while (done < bytes.length) {
      const count = readSync(fd, bytes, done, bytes.length - done, done);
      if (count === 0) break;
      done += count;
    }
    return bytes.subarray(0, done);
  } finally {
    closeSync(fd);
  }
}

/** Where there is no base: the mark before the last run of marks without a hole. */
export function lastRunFrom(table: RecordTable): number {
  let [from, upTo] = [0, 0];
  for (const record of table.order) {
    const mark = table.mark(record);
    if (mark !== upTo + 1 || !table.isComplete(record)) from = table.isComplete(record) ? mark - 1 : mark;
    upTo = mark;
  }
  return from;
}
