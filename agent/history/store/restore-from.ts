/** [OS6] What a recording lacks and another one of the same monitor has: control, data, or both. */
import { closeSync, openSync, readSync } from 'node:fs';
import { setImmediate as breath } from 'node:timers/promises';
import { AgentError } from '../../base/errors.ts';
import { isEntry, type ControlRecord } from '../wire/record.ts';
import { DATA, dataBytes } from '../wire/data.ts';
import { crc32 } from '../../base/crc32.ts';
import { dataPath } from './files.ts';
import { loadRecording, type Loaded } from './load.ts';
import type { Recording } from './recording.ts';

export interface Restored {
  readonly control: number;
  readonly data: number;
}

/** Bytes that are read and not yet written. */
const AHEAD_BYTES = 8 * 1024 * 1024;

/**
 * `isThorough`: every payload that is here and there is read and verified too, and a damaged one is restored. Throws an AgentError
 * where the log device is none, or another monitor's.
 */
export async function restoreFrom(recording: Recording, logFolder: string, isThorough: boolean): Promise<Restored> {
  const from = loadRecording(logFolder);
  const to = loadRecording(recording.folder);
  checkSame(from, to);
  const restored = { control: 0, data: 0 };
  const [files, filesHere] = [new Map<number, number>(), new Map<number, number>()];
  let [ahead, read] = [0, 0];
  try {
    for (const number of from.table.order) {
      const record = from.table.record(number);
      if (!isEntry(record.kind) || record.mark <= to.head.base.over) continue;
      const here = entryAt(to, record.mark);
      if (here !== -1 && to.table.isComplete(here)) {
        const known = to.table.record(here);
        if (!isThorough || holds(recording.folder, filesHere, known)) {
          read += known.payloadBytes;
          if (read > AHEAD_BYTES) await breath();
          read %= AHEAD_BYTES;
          continue;
        }
        if (known.payloadCrc !== record.payloadCrc) continue;
      }
      const hasData = record.payloadBytes > 0 && record.segment !== 0;
      const data = hasData
        ? readData(logFolder, files, record.segment, record.position, dataBytes(record.payloadBytes))
        : null;
      if (here !== -1 && !data) continue;
      // What is damaged there is no help.
      if (recording.restored(record, data) !== null) continue;
      if (here === -1) restored.control++;
      if (data) restored.data++;
      ahead += dataBytes(record.payloadBytes);
      if (ahead < AHEAD_BYTES) continue;
      ahead = 0;
      await recording.settled();
    }
  } finally {
    for (const fd of [...files.values(), ...filesHere.values()]) closeSync(fd);
  }
  await recording.settled();
  return restored;
}

function checkSame(from: Loaded, to: Loaded): void {
  const [theirs, ours] = [from.head, to.head];
  if (theirs.monitor !== ours.monitor)
    throw new AgentError('volume', `${from.folder} is the log device of ${theirs.monitor}, not of ${ours.monitor}`);
  if (JSON.stringify(theirs.volumes) !== JSON.stringify(ours.volumes))
    throw new AgentError('volume', `${from.folder} is the log device of other volumes of ${ours.monitor}`);
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

/** The payload is here, and is what it was. */
function holds(folder: string, files: Map<number, number>, entry: ControlRecord): boolean {
  const { segment, position, payloadBytes, payloadCrc } = entry;
  if (payloadBytes === 0) return true;
  const payload = readData(folder, files, segment, position + DATA.bytes, payloadBytes);
  return payload !== null && crc32(payload) === payloadCrc;
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
