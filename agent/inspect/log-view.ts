/** A log device of the mirror: what the source has said of its targets, and the claims of targets. */
import { toHex } from '../base/bytes.ts';
import { escaped } from '../base/text.ts';
import { newestRecord, LOG_RECORD, type LogRecord } from '../mirror/log/record.ts';
import type { Disk } from '../mirror/store/disk.ts';
import { LOG_BYTES } from '../mirror/wire/layout.ts';
import type { Sink } from './sink.ts';

const RECORD_BYTES: number = LOG_RECORD.bytes;
/** The source's, then that of each target; two copies each. */
const WRITERS: number = LOG_BYTES / RECORD_BYTES / 2;

type LogView = { readonly sequence: number; readonly group: string; readonly generation: string } & (
  | { readonly writer: 'source'; readonly targets: LogRecord['targets'] }
  | {
      readonly writer: `target ${number}`;
      readonly overtakes: string;
      readonly branchMark: number;
      readonly isStanding: boolean;
    }
);

/** False when something there is no record any more. */
export function showLog(path: string, file: Disk, sink: Sink, isJson: boolean): boolean {
  const views: LogView[] = [];
  let damaged = 0;
  for (let writer = 0; writer < WRITERS; writer++) {
    const copies = [0, 1].map((copy) => {
      const block = new Uint8Array(RECORD_BYTES);
      file.read((2 * writer + copy) * RECORD_BYTES, block);
      return block;
    });
    const newest = newestRecord(copies);
    if (newest) views.push(logView(writer, newest.record));
    else if (copies.some((block) => block.some((byte) => byte !== 0))) damaged++;
  }
  if (isJson) {
    sink.write(`${JSON.stringify({ log: escaped(path), bytes: file.bytes, records: views, damaged })}\n`);
  } else {
    sink.write(`${escaped(`log device ${path}: ${views.length} records, ${damaged} damaged`)}\n`);
    for (const view of views) sink.write(`${escaped(logText(view))}\n`);
  }
  return damaged === 0;
}

function logView(writer: number, record: LogRecord): LogView {
  const { sequence, group, generation, parent, branchMark, isStanding, targets } = record;
  const common = { sequence, group: escaped(group), generation: toHex(generation) };
  if (writer === 0) {
    return {
      writer: 'source',
      ...common,
      targets: targets.map(({ name, ...rest }) => ({ name: escaped(name), ...rest })),
    };
  }
  return { writer: `target ${writer - 1}`, ...common, overtakes: toHex(parent), branchMark, isStanding };
}

function logText(view: LogView): string {
  const begin = `  ${view.writer} of group ${view.group}, generation ${view.generation}`;
  if (view.writer !== 'source') {
    const claim = view.isStanding ? 'claims to follow' : 'has withdrawn its claim to follow';
    return `${begin} ${claim} ${view.overtakes} behind mark ${view.branchMark}`;
  }
  const told = view.targets.map(({ name, outdatedSince }) =>
    outdatedSince === null ? `${name} is whole` : `${name} is outdated since mark ${outdatedSince}`,
  );
  return `${begin}: ${told.join(', ') || 'no targets'}`;
}
