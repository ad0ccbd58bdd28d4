/**
 * [HI4] The oldest segment goes into the base: what was written in it becomes what the base shows, block by block, and the
 * earliest state that can be restored moves on. A crash anywhere is mended by doing it again: the head names the mark first.
 */
import { closeSync, fdatasyncSync, openSync, rmSync, statSync, writeSync } from 'node:fs';
import { setImmediate as breath } from 'node:timers/promises';
import { isEntry, RECORD_KIND } from '../wire/record.ts';
import { VERSION_BYTES } from '../wire/layout.ts';
import { aheadAt, type ClockNote } from '../core/clock.ts';
import type { Span } from '../core/spans.ts';
import type { RecordTable } from '../core/table.ts';
import { putSums } from './base-sums.ts';
import {
  basePath,
  controlPath,
  dataPath,
  flushFolder,
  reservePath,
  segmentsIn,
  sumsPath,
  writeHead,
  type Base,
} from './files.ts';
import { loadRecording, voidBeyond, type Loaded, type SegmentFacts } from './load.ts';
import { IS_FULL } from './reserve.ts';
import { State } from './state.ts';

export interface Folded {
  /** Undefined: there is none. */
  readonly base?: Base;
  /** Segments that are gone. */
  readonly removed: readonly number[];
  /** Bytes of these. */
  readonly bytes: number;
}

/** Blocks between two looks at the rest of the world. */
const BLOCKS_A_TURN = 256;

/** Folds the oldest of the segments before `current`; null when that cannot be: there is none, or no base to fold it into. */
export async function foldOldest(folder: string, current: number): Promise<Folded | null> {
  for (let most = 2; ; most *= 2) {
    const loaded = loadRecording(folder, most);
    const [oldest] = loaded.segments;
    if (!oldest || oldest.segment >= current) return null;
    const wanted = lastMark(loaded, oldest);
    const span = loaded.extent.spans.find(({ to }) => to >= wanted);
    const isAll = loaded.segments.length < most || (loaded.segments.at(-1)?.segment ?? current) >= current;
    if (span) return foldTo(loaded, Math.max(wanted, span.from), current, span);
    if (isAll) return null;
  }
}

/** Of a log device: what is too old is in no base. */
export function removeOldest(folder: string, current: number): Folded | null {
  const [oldest = Infinity] = segmentsIn(folder, 'control');
  if (oldest >= current) return null;
  let bytes = 0;
  for (const path of [controlPath(folder, oldest), dataPath(folder, oldest)]) {
    bytes += statSync(path, { throwIfNoEntry: false })?.size ?? 0;
    rmSync(path, { force: true });
  }
  return { removed: [oldest], bytes };
}

export interface Older {
  readonly segments: number;
  readonly bytes: number;
  /** The earliest state that would be left; null where nothing would go. */
  readonly earliest: { readonly mark: number; readonly timeUs: number } | null;
}

/** What a fold of all segments that were written before (microseconds) would take. */
export function olderThan(loaded: Loaded, beforeUs: number): Older {
  const { folder, segments, extent, table, times } = loaded;
  const writtenUs = ({ segment }: SegmentFacts): number =>
    (statSync(controlPath(folder, segment), { throwIfNoEntry: false })?.mtimeMs ?? 0) * 1000;
  const young = segments.findIndex((facts) => writtenUs(facts) >= beforeUs);
  const old = young < 0 ? segments : segments.slice(0, young);
  const last = Math.max(0, ...old.map((facts) => lastMark(loaded, facts)));
  const span = extent.spans.find(({ to }) => to >= last);
  if (!span || old.length === 0) return { segments: 0, bytes: 0, earliest: null };
  const mark = Math.max(last, span.from);
  const timeUs = mark === span.from ? span.fromUs : (times[table.placeOf(mark)] ?? span.fromUs);
  const bytes = old.reduce((sum, facts) => sum + facts.controlBytes + facts.dataBytes, 0);
  return { segments: old.length, bytes, earliest: { mark, timeUs } };
}

/** Goes on with a fold that a crash cut off, if what it brings is still there. */
export async function finishFold(folder: string): Promise<void> {
  const loaded = loadRecording(folder);
  const isHere = loaded.extent.spans.length > 0;
  if (loaded.head.base.state !== 'folding' || !isHere) return;
  try {
    await bring(loaded, loaded.head.base);
  } catch (error) {
    if (!IS_FULL.has((error as NodeJS.ErrnoException).code)) throw error;
    rmSync(reservePath(folder), { force: true });
    await bring(loaded, loaded.head.base);
  }
}

/** Folds everything up to `mark`, which can be restored; segments that hold nothing beyond it go, but for those from `current` on. */
export async function foldTo(loaded: Loaded, mark: number, current: number, span: Span): Promise<Folded> {
  const { folder, table, times, head } = loaded;
  const timeUs = mark === span.from ? span.fromUs : (times[table.placeOf(mark)] ?? span.fromUs);
  const sums = head.base.sums === true ? { sums: true as const } : {};
  const base: Base = {
    mark,
    timeUs,
    over: head.base.over,
    clock: clockAt(table, loaded.clocks, mark),
    state: 'folding',
    ...sums,
  };
  const isNews = JSON.stringify(base.clock) !== JSON.stringify(head.base.clock);
  if (mark > head.base.mark || mark > head.base.over || isNews) await bring(loaded, base);
  const removed: number[] = [];
  let bytes = 0;
  for (const facts of loaded.segments) {
    if (facts.segment >= current || lastMark(loaded, facts) > mark) break;
    rmSync(controlPath(folder, facts.segment), { force: true });
    rmSync(dataPath(folder, facts.segment), { force: true });
    removed.push(facts.segment);
    bytes += facts.controlBytes + facts.dataBytes;
  }
  flushFolder(folder);
  return { base: brought(base), removed, bytes };
}

async function bring(loaded: Loaded, base: Base): Promise<void> {
  const { folder, head } = loaded;
  writeHead(folder, { ...head, base });
  const state = new State(loaded, base.mark, true);
  try {
    for (const [volume, { bytes }] of head.volumes.entries()) {
      const fd = openSync(basePath(folder, volume), 'r+');
      const sums = base.sums === true ? openSync(sumsPath(folder, volume), 'r+') : null;
      try {
        let done = 0;
        for (const { from, to } of runs(state.touched(volume), bytes)) {
          const content = new Uint8Array(to - from);
          state.read(volume, from, content);
          for (let at = 0; at < content.length;) at += writeSync(fd, content, at, content.length - at, from + at);
          // What damage is left in a block stays damage, whatever is written beside it.
          if (sums !== null) putSums(sums, from, content, (at) => state.isDamaged(volume, from + at));
          done += (to - from) / VERSION_BYTES;
          if (done > BLOCKS_A_TURN) {
            done = 0;
            await breath();
          }
        }
        fdatasyncSync(fd);
        if (sums !== null) fdatasyncSync(sums);
      } finally {
        closeSync(fd);
        if (sums !== null) closeSync(sums);
      }
    }
  } finally {
    state.close();
  }
  writeHead(folder, { ...head, base: brought(base) });
}

const brought = (base: Base): Base => ({ ...base, over: base.mark, state: 'whole' });

function clockAt(table: RecordTable, clocks: readonly ClockNote[], mark: number): NonNullable<Base['clock']> {
  let chain = table.clocks.findLast((note) => note.mark === mark)?.chain ?? 0n;
  for (let place = table.placeOf(mark - 1) + 1; place <= table.placeOf(mark); place++) {
    const record = table.record(table.order[place] ?? 0);
    if (isEntry(record.kind)) ({ chain } = record);
  }
  return { aheadUs: aheadAt(clocks, mark), chain: chain.toString(16) };
}

/** Neighbouring blocks in one piece, of a MiB at most. */
function runs(blocks: readonly number[], bytes: number): { from: number; to: number }[] {
  const found: { from: number; to: number }[] = [];
  for (const block of blocks) {
    const from = block * VERSION_BYTES;
    const to = Math.min(bytes, from + VERSION_BYTES);
    const last = found.at(-1);
    if (last && last.to === from && to - last.from <= BLOCKS_A_TURN * VERSION_BYTES) last.to = to;
    else found.push({ from, to });
  }
  return found;
}

/** The last mark that anything in a segment says something of that is not void: what it has control of, and what it has data of. */
function lastMark({ table, head }: Loaded, { segment, recordFrom, recordTo }: SegmentFacts): number {
  const until = voidBeyond(head, segment);
  let last = 0;
  for (let record = recordFrom; record < recordTo; record++) {
    const kind = table.kind(record);
    const counts =
      isEntry(kind) || kind === RECORD_KIND.image || kind === RECORD_KIND.place || kind === RECORD_KIND.whole;
    const mark = table.mark(record);
    if (counts && mark <= until) last = Math.max(last, mark);
  }
  for (const record of table.order) {
    const { mark, segment: lies } = table.record(record);
    if (lies === segment) last = Math.max(last, mark);
  }
  return last;
}
