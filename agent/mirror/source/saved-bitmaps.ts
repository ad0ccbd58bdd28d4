/**
 * The bitmaps of a source's targets over a stop in order (MI11): a file beside the journal, or in the state folder, made when the source stops and
 * removed when it starts. It is believed once, and only beside a journal that says that it was stopped in order and ends where
 * the file says: what was written without this process is in no bitmap.
 */
import { sameBytes, dataView } from '../../base/bytes.ts';
import { crc32 } from '../../base/crc32.ts';
import type { SavedOutOfSync } from '../core/out-of-sync.ts';
import type { Files } from '../machine.ts';
import type { JournalSuper } from '../store/superblock.ts';
import { JOURNAL_STATE } from '../store/superblock.ts';
import { BITMAPS_MAGIC, CHUNK_BYTES } from '../wire/layout.ts';

export interface SavedTarget {
  readonly name: string;
  readonly isOutdated: boolean;
  /** Outdated: since when it lacks something, in ms since 1970. */
  readonly lacksSince: number | null;
  readonly bitmap: SavedOutOfSync;
}

interface Head {
  readonly generation: string;
  /** The end of the journal. */
  readonly mark: number;
  readonly chain: string;
  readonly targets: readonly {
    readonly name: string;
    readonly isOutdated: boolean;
    /** Not there: of a version before. */
    readonly lacksSince?: number | null;
    readonly base: number;
    readonly cuts: readonly { readonly mark: number; readonly chain: string }[];
  }[];
}

export interface JournalEnd {
  readonly mark: number;
  readonly chain: bigint;
}

/** Beside the journal; but what is put into /dev beside a device is gone with the next boot. */
const fileOf = (journal: string, { group }: JournalSuper): string =>
  /^\/dev\/(?!shm\/)/.test(journal) ? `${STATE_FOLDER}/${group}.bitmaps` : `${journal}.bitmaps`;
const STATE_FOLDER = '/var/lib/stillbeat';
const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');
const PREFIX_BYTES = 16;

/** Before the journal says that it was stopped in order. Without the file all is compared: never worse than slow. */
export function saveBitmaps(
  files: Pick<Files, 'put'>,
  journal: string,
  superblock: JournalSuper,
  end: JournalEnd,
  targets: readonly SavedTarget[],
): void {
  const head: Head = {
    generation: hex(superblock.generation),
    mark: end.mark,
    chain: end.chain.toString(16),
    targets: targets.map(({ name, isOutdated, lacksSince, bitmap: { base, cuts } }) => {
      const points = cuts.map(({ mark, chain }) => ({ mark, chain: chain.toString(16) }));
      return { name, isOutdated, lacksSince, base, cuts: points };
    }),
  };
  const text = new TextEncoder().encode(JSON.stringify(head));
  const words = targets.flatMap(({ bitmap }) => bitmap.words.map((map) => new Uint8Array(map.buffer)));
  const body = Buffer.concat([text, ...words]);
  const prefix = new Uint8Array(PREFIX_BYTES);
  prefix.set(new TextEncoder().encode(BITMAPS_MAGIC));
  const view = dataView(prefix);
  view.setUint32(8, text.length, true);
  view.setUint32(12, crc32(body, crc32(prefix.subarray(8, 12))), true);
  files.put(fileOf(journal, superblock), Buffer.concat([prefix, body]));
}

/** What was saved, if it may be believed. The file is gone afterwards, durably, whatever it was. */
export function takeBitmaps(
  files: Pick<Files, 'take'>,
  journal: string,
  superblock: JournalSuper,
  end: JournalEnd,
): SavedTarget[] {
  const bytes = files.take(fileOf(journal, superblock));
  if (!bytes || superblock.state !== JOURNAL_STATE.clean) return [];
  return decode(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length), superblock, end);
}

function decode(file: Buffer, superblock: JournalSuper, end: JournalEnd): SavedTarget[] {
  const magic = new TextEncoder().encode(BITMAPS_MAGIC);
  if (file.length < PREFIX_BYTES || !sameBytes(file, 0, magic, 0, magic.length)) return [];
  const body = file.subarray(PREFIX_BYTES);
  if (crc32(body, crc32(file.subarray(8, 12))) !== file.readUInt32LE(12)) return [];
  const textBytes = file.readUInt32LE(8);
  const head = JSON.parse(body.subarray(0, textBytes).toString()) as Head;
  const isOurs = head.generation === hex(superblock.generation) && head.mark === end.mark;
  if (!isOurs || BigInt(`0x${head.chain}`) !== end.chain) return [];
  let at = textBytes;
  return head.targets.map(({ name, isOutdated, lacksSince = null, base, cuts }) => {
    const words = superblock.volumes.map(({ bytes }) => {
      const length = 4 * Math.ceil(Math.ceil(bytes / CHUNK_BYTES) / 32);
      at += length;
      return new Uint32Array(Uint8Array.from(body.subarray(at - length, at)).buffer);
    });
    const points = cuts.map(({ mark, chain }) => ({ mark, chain: BigInt(`0x${chain}`) }));
    return { name, isOutdated, lacksSince, bitmap: { base, cuts: points, words } };
  });
}
