/** Where the records lie on a log device: one place of two copies for the source, one for each target. */
import { AgentError } from '../../base/errors.ts';
import type { LogDevice, OpenLog } from '../machine.ts';
import { encodeLogRecord, isForeign, LOG_RECORD, newestRecord, type LogRecord } from './record.ts';

const RECORD = LOG_RECORD.bytes;

/** Where the records of the source (0) or of target `i` (1 + i) begin. */
const placeOf = (slot: number): number => slot * 2 * RECORD;

/** The records of these slots; null where there is none. */
export async function readRecords(device: LogDevice, slots: readonly number[]): Promise<(LogRecord | null)[]> {
  const log = await device.open(false);
  try {
    const found: (LogRecord | null)[] = [];
    for (const slot of slots) found.push((await readSlot(log, slot))?.record ?? null);
    return found;
  } finally {
    await log.close();
  }
}

/** Writes a record behind the one that is there, durably. */
export async function writeRecord(device: LogDevice, slot: number, next: Omit<LogRecord, 'sequence'>): Promise<void> {
  const log = await device.open(true);
  try {
    const there = await readSlot(log, slot);
    const block = encodeLogRecord({ ...next, sequence: (there?.record.sequence ?? 0) + 1 });
    const copy = there ? 1 - there.copy : 0;
    const written = await log.write(placeOf(slot) + copy * RECORD, block);
    if (written < RECORD) throw new Error('the device is too small');
  } finally {
    await log.close();
  }
}

async function readSlot(log: OpenLog, slot: number): Promise<ReturnType<typeof newestRecord>> {
  const copies: Uint8Array[] = [];
  for (const copy of [0, 1]) {
    const block = await log.read(placeOf(slot) + copy * RECORD, RECORD);
    if (block.length < RECORD) throw new Error('the device is too small');
    copies.push(block);
  }
  const newest = newestRecord(copies);
  // A path that is mistyped may be that of somebody's volume.
  if (!newest && copies.some(isForeign)) {
    throw new AgentError('volume', 'holds something: name another one, or overwrite its first MiB with zeroes');
  }
  return newest;
}
