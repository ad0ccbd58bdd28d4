/** What lies in a node's slot, read from the volume with the program's own decoders: head block, batches, records. */
import { closeSync, openSync, readSync } from 'node:fs';
import { volumeSeals } from '../../agent/threads.ts';
import { openBatch, peekBatch, recordSpan, type BatchHeader } from '../../agent/volume/batch.ts';
import { decodeHead, type Head } from '../../agent/volume/head.ts';
import {
  BATCH_BYTES_MAX,
  BATCH_FLAG,
  BLOCK_BYTES,
  HEAD_TABLE_OFFSET,
  SLOTS_OFFSET,
} from '../../agent/volume/layout.ts';
import { chooseSuperblock, type Superblock } from '../../agent/volume/superblock.ts';
import { walkRecords } from '../../agent/wire/record.ts';

export interface RecordFound {
  readonly type: number;
  readonly sequence: number;
  readonly ageMs: number;
  readonly frame: Uint8Array;
}

export interface BatchFound {
  readonly header: BatchHeader;
  readonly records: readonly RecordFound[];
}

/** Reads from the backing file: what an agent has written to the loop device before it is there. */
function readAt(file: string, offset: number, bytes: number): Uint8Array {
  const into = new Uint8Array(bytes);
  const descriptor = openSync(file, 'r');
  try {
    return into.subarray(0, readSync(descriptor, into, 0, bytes, offset));
  } finally {
    closeSync(descriptor);
  }
}

export function superblockOf(file: string): Superblock {
  const copies = [0, 1].map((copy) => readAt(file, copy * BLOCK_BYTES, BLOCK_BYTES));
  const chosen = chooseSuperblock(copies);
  if (!chosen.ok) throw new Error(`no superblock: ${chosen.fault}`);
  return chosen.superblock;
}

/** The node's head block; null while it is not one that can be believed (a write may be under way). */
export function headOf(file: string, node: string, key: Uint8Array): Head | null {
  const superblock = superblockOf(file);
  const slot = superblock.nodes.indexOf(node);
  const block = readAt(file, HEAD_TABLE_OFFSET + slot * BLOCK_BYTES, BLOCK_BYTES);
  const decoded = decodeHead(
    block,
    superblock.tenants[slot] ?? slot,
    superblock.clusterUuid,
    volumeSeals(key, superblock.clusterUuid),
  );
  return decoded.ok ? decoded.head : null;
}

/** All batches of the node's newest incarnation, or of any from `position` on, in order; empty wraps left out. */
export function batchesOf(file: string, node: string, key: Uint8Array, from?: number): BatchFound[] {
  const superblock = superblockOf(file);
  const slot = superblock.nodes.indexOf(node);
  const tenant = superblock.tenants[slot] ?? slot;
  const seals = volumeSeals(key, superblock.clusterUuid);
  const { slotBytes } = superblock;
  const found: BatchFound[] = [];
  let position = from ?? headOf(file, node, key)?.startPosition ?? 0;
  for (;;) {
    const inRing = position % slotBytes;
    const space = Math.min(slotBytes - inRing, BATCH_BYTES_MAX);
    const offset = SLOTS_OFFSET + slot * slotBytes + inRing;
    const peek = peekBatch(readAt(file, offset, BLOCK_BYTES), tenant, superblock.clusterUuid, position, space);
    if (!peek.ok) return found;
    const { header } = peek;
    const bytes = readAt(file, offset, header.batchBytes);
    if (openBatch(bytes, header, seals(header.incarnation, tenant, 'batch')) !== 'ok') return found;
    const wraps = (header.flags & BATCH_FLAG.wrap) !== 0;
    position += wraps ? slotBytes - inRing : header.batchBytes;
    if (!wraps) found.push({ header, records: recordsOf(bytes, header) });
  }
}

function recordsOf(bytes: Uint8Array, header: BatchHeader): RecordFound[] {
  const records: RecordFound[] = [];
  const [start, end] = recordSpan(header);
  walkRecords(bytes, start, end, ({ type, sequence, ageMs, frameBytes }, offset) => {
    records.push({ type, sequence, ageMs, frame: bytes.slice(offset, offset + frameBytes) });
  });
  return records;
}

/** How many records of each type (control, heartbeat, data, bulk) the batches hold. */
export function countByType(batches: readonly BatchFound[]): readonly [number, number, number, number] {
  const counts: [number, number, number, number] = [0, 0, 0, 0];
  for (const { records } of batches) for (const { type } of records) counts[type as 0] += 1;
  return counts;
}
