/** Entries as they arrive in a frame: nothing of them is believed before it holds. */
import { sameBytes } from '../../base/bytes.ts';
import { crc32 } from '../../base/crc32.ts';
import type { JournalVolume } from '../store/superblock.ts';
import { decodeEntry, ENTRY, ENTRY_KIND, entryBytes, type Entry, type EntryFault } from '../wire/entry.ts';
import { GENERATION_BYTES } from '../wire/layout.ts';

export interface TransferFacts {
  readonly generation: Uint8Array;
  readonly volumes: readonly JournalVolume[];
  /** The largest payload that the journal takes. */
  readonly payloadBytesMax: number;
}

const FAULTS: Readonly<Record<EntryFault, string>> = {
  magic: 'what came is no entry',
  checksum: 'the header of an entry is damaged',
  range: 'an entry with impossible values',
};

/** The entry in `body` at `offset`, or what is wrong with it, in words. */
export function readArrival(body: Uint8Array, offset: number, facts: TransferFacts): Entry | string {
  const result = decodeEntry(body, offset);
  if (!result.ok) return FAULTS[result.fault];
  const { entry } = result;
  if (offset + entryBytes(entry.payloadBytes) > body.length) return 'an entry that is longer than its frame';
  if (!sameBytes(entry.generation, 0, facts.generation, 0, GENERATION_BYTES)) return 'an entry of another generation';
  if (entry.payloadBytes > facts.payloadBytesMax) {
    return `a write of ${entry.payloadBytes} bytes, and the journal takes ${facts.payloadBytesMax} at most: make it anew with a larger windowBytes`;
  }
  const fault = placeFault(entry, facts.volumes);
  if (fault !== null) return fault;
  if (entry.payloadBytes === 0) return entry;
  const payload = body.subarray(offset + ENTRY.bytes, offset + ENTRY.bytes + entry.payloadBytes);
  return crc32(payload) === entry.payloadCrc ? entry : `the payload of mark ${entry.mark} is damaged`;
}

/** Whether it lies where it says, in a volume that there is. */
function placeFault({ kind, volume, offset, length, mark }: Entry, volumes: readonly JournalVolume[]): string | null {
  if (kind === ENTRY_KIND.skip) return null;
  if (mark < 1) return 'an entry without a mark';
  if (kind === ENTRY_KIND.seal) return null;
  const there = volumes[volume];
  if (!there) return `an entry for volume ${volume} of ${volumes.length}`;
  return offset + length <= there.bytes ? null : `an entry beyond the end of volume "${there.name}"`;
}
