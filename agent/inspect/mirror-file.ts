/**
 * The mirror's own files, shown: the journal of a source or of a target (superblocks, and the entries of its ring, each
 * proven), and the records of a log device. Reads only. A mirrored volume itself bears nothing of ours.
 */
import { closeSync, openSync, readSync } from 'node:fs';
import type { InspectRequest } from '../cli/inspect-arguments.ts';
import { AgentError, EXIT } from '../base/errors.ts';
import { escaped } from '../base/text.ts';
import { sizeText } from '../check/system.ts';
import type { Disk } from '../mirror/store/disk.ts';
import { recoverRing, type Recovery } from '../mirror/store/recovery.ts';
import { decodeSuper, JOURNAL_SUPER, readSuper, type JournalSuper } from '../mirror/store/superblock.ts';
import type { Entry } from '../mirror/wire/entry.ts';
import { JOURNAL_MAGIC, LOG_BYTES, LOG_MAGIC } from '../mirror/wire/layout.ts';
import { bytesOf } from '../platform/file-bytes.ts';
import { entryText, entryView, journalText, journalView, type EntryView } from './journal-view.ts';
import { showLog } from './log-view.ts';
import { Sink } from './sink.ts';

const BLOCK_BYTES: number = JOURNAL_SUPER.bytes;
const EIO = 5;
const EROFS = 30;
/** A source that goes on moves its journal's tail: then what was there is gone, and the look is begun anew. */
const LOOKS_MAX = 3;

/** Through the page cache, as its owner reads it; memory of any kind will do. */
class ReadOnlyFile implements Disk {
  readonly #fd: number;
  readonly bytes: number;

  constructor(path: string) {
    this.#fd = openSync(path, 'r');
    this.bytes = bytesOf(this.#fd);
  }

  read(offset: number, into: Uint8Array): number {
    try {
      return readSync(this.#fd, into, 0, into.length, offset);
    } catch (error) {
      return (error as NodeJS.ErrnoException).errno ?? -EIO;
    }
  }

  write(): number {
    return -EROFS;
  }

  flush(): number {
    return -EROFS;
  }

  close(): void {
    closeSync(this.#fd);
  }
}

const beginsWith = (file: Disk, offset: number, magic: string): boolean => {
  const begin = new Uint8Array(magic.length);
  return file.read(offset, begin) === begin.length && Buffer.from(begin).toString('latin1') === magic;
};

const isJournal = (file: Disk): boolean => [0, 1].some((copy) => beginsWith(file, copy * BLOCK_BYTES, JOURNAL_MAGIC));

const LOG_PLACES: number = LOG_BYTES / BLOCK_BYTES;
const isLog = (file: Disk): boolean =>
  Array.from({ length: LOG_PLACES }, (_, i) => i * BLOCK_BYTES).some((offset) => beginsWith(file, offset, LOG_MAGIC));

/** False also for what cannot be read: whoever takes it for a volume says why. */
export function isMirrorFile(path: string): boolean {
  let file: ReadOnlyFile;
  try {
    file = new ReadOnlyFile(path);
  } catch {
    return false;
  }
  try {
    return isJournal(file) || isLog(file);
  } finally {
    file.close();
  }
}

/** Answers the exit status: 1 with --verify when something is damaged. */
export async function showMirrorFile(request: InspectRequest): Promise<number> {
  const { path, json, verify, filter, follow, pcap, node, content } = request;
  const isOfPackets = filter.type !== null || filter.address !== null || filter.port !== null || node !== null;
  if (follow || pcap !== null || content || isOfPackets) {
    const mend = 'it takes --json, --verify, --since and --until';
    throw new AgentError('usage', `${escaped(path)} is of the mirror and holds no packets: ${mend}`);
  }
  const file = new ReadOnlyFile(path);
  const sink = Sink.stdout();
  try {
    const isGood = isJournal(file) ? showJournal(request, file, sink) : showLog(path, file, sink, json);
    return verify && !isGood ? EXIT.failed : EXIT.ok;
  } finally {
    await sink.flush();
    file.close();
  }
}

interface Walked {
  readonly superblock: JournalSuper;
  readonly recovery: Recovery;
  readonly entries: readonly EntryView[];
  readonly count: number;
}

function showJournal({ path, json, verify, filter }: InspectRequest, file: Disk, sink: Sink): boolean {
  const copies = [0, 1].map((copy) => {
    const block = new Uint8Array(BLOCK_BYTES);
    const result = decodeSuper(file.read(copy * BLOCK_BYTES, block) < 0 ? block.subarray(0, 0) : block);
    return result.ok ? 'good' : result.fault;
  });
  const isWanted = ({ time }: Entry): boolean =>
    Number(time / 1000n) >= filter.sinceUs && Number(time / 1000n) <= filter.untilUs;
  const { superblock, recovery, entries, count } = walked(path, file, verify ? () => false : isWanted);
  const view = journalView(superblock);
  const damage = recovery.ok ? null : damageText(recovery);
  const end = recovery.ok ? { position: recovery.end.position, mark: recovery.end.mark } : null;
  const ring = { entries: count, end, damage, used: end && end.position - superblock.tailPosition };
  if (json) {
    const begin = JSON.stringify({ journal: escaped(path), bytes: file.bytes, copies, ...view, ring });
    sink.write(begin.slice(0, -1));
    sink.write(`,"entries":[${entries.map((entry) => `\n${JSON.stringify(entry)}`).join(',')}]}\n`);
  } else {
    const lines = [...journalText(path, view, copies), ...entries.map(entryText)];
    const used = ring.used === null ? '' : `, ${sizeText(ring.used)} of ${sizeText(superblock.ringBytes)} used`;
    lines.push(`${count} entries, all proven${used}${end ? `, up to mark ${end.mark}` : ''}`);
    if (damage !== null) lines.push(`! ${damage}`);
    for (const line of lines) sink.write(`${escaped(line)}\n`);
  }
  return recovery.ok && copies.every((copy) => copy === 'good' || copy === 'absent');
}

function walked(path: string, file: Disk, isWanted: (entry: Entry) => boolean): Walked {
  for (let looks = 1; ; looks++) {
    const read = readSuper(file);
    if (typeof read === 'number' || !read.ok) {
      const why = typeof read === 'number' ? 'cannot be read' : `has no good superblock (${read.fault})`;
      throw new AgentError('volume', `journal ${escaped(path)} ${why}: restore it from a copy, or format it anew`);
    }
    const { superblock } = read;
    const entries: EntryView[] = [];
    let count = 0;
    const recovery = recoverRing(file, superblock, (entry) => {
      count++;
      if (isWanted(entry)) entries.push(entryView(entry, superblock));
    });
    const now = recovery.ok ? read : readSuper(file);
    const hasMoved = typeof now !== 'number' && now.ok && now.superblock.tailPosition > superblock.tailPosition;
    if (!hasMoved || looks === LOOKS_MAX) return { superblock, recovery, entries, count };
  }
}

function damageText(recovery: Extract<Recovery, { ok: false }>): string {
  const { position } = recovery;
  if (recovery.fault === 'unreadable') return `at ${position}: the device answers an error (${-recovery.errno})`;
  return `at ${position}: what was durable is not there (${recovery.reason}); what follows cannot be told`;
}
