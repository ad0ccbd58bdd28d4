/** [OS6] What a recording lacks and another one of the same monitor has: control, data, or both. */
import { closeSync, openSync, readSync } from 'node:fs';
import { AgentError } from '../../base/errors.ts';
import { isEntry, RECORD } from '../wire/record.ts';
import { dataBytes } from '../wire/data.ts';
import { dataPath } from './files.ts';
import { loadRecording, type Loaded } from './load.ts';
import type { Recording } from './recording.ts';

export interface Restored {
  readonly control: number;
  readonly data: number;
}

/** Bytes that are read and not yet written. */
const AHEAD_BYTES = 8 * 1024 * 1024;

/** Throws an AgentError where the log device is none, or another monitor's. */
export async function restoreFrom(recording: Recording, logFolder: string): Promise<Restored> {
  const from = loadRecording(logFolder);
  const to = loadRecording(recording.folder);
  checkSame(from, to);
  const restored = { control: 0, data: 0 };
  const files = new Map<number, number>();
  let ahead = 0;
  try {
    for (const number of from.table.order) {
      const record = from.table.record(number);
      if (!isEntry(record.kind) || record.mark <= to.head.base.over) continue;
      const here = entryAt(to, record.mark);
      if (here !== -1 && to.table.isComplete(here)) continue;
      const hasData = record.payloadBytes > 0 && record.segment !== 0;
      const data = hasData
        ? readData(logFolder, files, record.segment, record.position, dataBytes(record.payloadBytes))
        : null;
      if (here !== -1 && !data) continue;
      const { bytes } = from.table;
      const control = bytes.slice(number * RECORD.bytes, (number + 1) * RECORD.bytes);
      // What is damaged there is no help.
      if (recording.restored(control, data) !== null) continue;
      if (here === -1) restored.control++;
      if (data) restored.data++;
      ahead += dataBytes(record.payloadBytes);
      if (ahead < AHEAD_BYTES) continue;
      ahead = 0;
      await recording.settled();
    }
  } finally {
    for (const fd of files.values()) closeSync(fd);
  }
  await recording.settled();
  return restored;
}

function checkSame(from: Loaded, to: Loaded): void {
  const [theirs, ours] = [from.head, to.head];
  if (theirs.monitor !== ours.monitor || JSON.stringify(theirs.volumes) !== JSON.stringify(ours.volumes)) {
    throw new AgentError('volume', `${from.folder} is the log device of ${theirs.monitor}, not of ${ours.monitor}`);
  }
  if (theirs.generation !== ours.generation) {
    throw new AgentError('volume', `${from.folder} is the log device of another generation of ${ours.monitor}`);
  }
}

function entryAt({ table }: Loaded, mark: number): number {
  for (let place = table.placeOf(mark); place >= 0; place--) {
    const record = table.order[place] ?? 0;
    if (table.mark(record) !== mark) return -1;
    if (isEntry(table.kind(record))) return record;
  }
  return -1;
}

function readData(
  folder: string,
  files: Map<number, number>,
  segment: number,
  position: number,
  length: number,
): Uint8Array | null {
  const fd = files.get(segment) ?? openSync(dataPath(folder, segment), 'r');
  files.set(segment, fd);
  const bytes = new Uint8Array(length);
  return readSync(fd, bytes, 0, length, position) === length ? bytes : null;
}
