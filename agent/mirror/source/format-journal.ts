/** Makes a source's journal: all of it written once, so that no later flush has to give room to the file. */
import {
  closeSync,
  constants,
  existsSync,
  fdatasyncSync,
  fstatSync,
  fsyncSync,
  openSync,
  readSync,
  renameSync,
  rmSync,
  statSync,
} from 'node:fs';
import { AgentError } from '../../base/errors.ts';
import { flushFolder } from '../../platform/flush-folder.ts';
import { blockDeviceBytes } from '../../platform/block-device.ts';
import { writeAll } from '../../platform/file-bytes.ts';
import { assertRingSize, type RingSize } from '../store/ring.ts';
import {
  encodeSuper,
  JOURNAL_ROLE,
  JOURNAL_STATE,
  POLICY,
  type JournalSuper,
  type JournalVolume,
} from '../store/superblock.ts';
import { GENERATION_BYTES, JOURNAL_RING_OFFSET, MIRROR_VERSION } from '../wire/layout.ts';

const PIECE_BYTES = 4 * 1024 * 1024;
const BLANK_BYTES = 1024 * 1024;
/** What a file is called until it is whole. */
const HALF = '.new';

export interface NewJournal extends RingSize {
  readonly group: string;
  /** 16 random bytes. */
  readonly generation: Uint8Array;
  readonly volumes: readonly JournalVolume[];
}

/** The superblock of a journal in which nothing has been written. */
export const emptySuper = (journal: NewJournal): JournalSuper => ({
  ...journal,
  version: MIRROR_VERSION,
  role: JOURNAL_ROLE.source,
  sequence: 2,
  successor: new Uint8Array(GENERATION_BYTES),
  ancestry: [],
  tailPosition: 0,
  tailMark: 1,
  tailChain: 0n,
  tailTime: 0n,
  tailCycle: 0,
  session: 0,
  sessionPosition: 0,
  sessionMark: 0,
  baseGeneration: new Uint8Array(GENERATION_BYTES),
  baseMark: 0,
  baseChain: 0n,
  basePosition: 0,
  cut: 0,
  cutChain: 0n,
  committed: 0,
  state: JOURNAL_STATE.consistent,
  policy: POLICY.degrade,
  orders: [],
  intentBytes: 0,
  durablePosition: 0,
});

/**
 * Makes a journal of the ring's bytes and JOURNAL_RING_OFFSET: in a file, which must not be there yet and comes whole or not at all, or on a
 * block device that nothing uses and whose beginning is blank. Throws an AgentError that says what to do.
 */
export function formatJournal(path: string, journal: NewJournal, superblock: JournalSuper = emptySuper(journal)): void {
  for (const making = steps(path, journal, superblock); making.next().done !== true;);
}

/** The same, and whoever asks meanwhile is answered: of many GiB it takes minutes. Rejects, and leaves nothing, once `isEnding`. */
export async function formatInTurns(
  path: string,
  superblock: JournalSuper,
  isEnding: () => boolean = () => false,
): Promise<void> {
  const making = steps(path, superblock, superblock);
  while (making.next().done !== true) {
    await new Promise((resolve) => setImmediate(resolve));
    if (!isEnding()) continue;
    making.return();
    throw refused(path, 'was not made: the process ends');
  }
}

function* steps(path: string, size: RingSize, superblock: JournalSuper): Generator<void, void> {
  assertRingSize(size);
  const bytes = JOURNAL_RING_OFFSET + size.ringBytes;
  if (isBlockDevice(path)) {
    yield* write(path, bytes, superblock);
    return;
  }
  if (existsSync(path)) throw refused(path, 'is there already: remove it or name another one');
  const half = `${path}${HALF}`;
  removeHalf(half);
  try {
    yield* write(half, bytes, superblock);
    renameSync(half, path);
    // Else a loss of power takes the name, and what was answered with it.
    flushFolder(path);
  } finally {
    // Whole, it has another name.
    removeHalf(half);
  }
}

function removeHalf(half: string): void {
  try {
    rmSync(half, { force: true });
  } catch {
    // Whoever makes it says what is wrong.
  }
}

/** Whether a journal is to be made there: there is no such file, or it is a block device that bears nothing yet. */
export function isUnmade(path: string): boolean {
  if (!isBlockDevice(path)) return !existsSync(path);
  try {
    const fd = openSync(path, 'r');
    try {
      return isBlank(fd);
    } finally {
      closeSync(fd);
    }
  } catch {
    // Whoever opens it says what is wrong with it.
    return false;
  }
}

function isBlockDevice(path: string): boolean {
  try {
    return statSync(path).isBlockDevice();
  } catch {
    // Whoever opens it says what is wrong with it.
    return false;
  }
}

/** The superblock last: before, it is no journal. */
function* write(path: string, bytes: number, superblock: JournalSuper): Generator<void, void> {
  const fd = create(path);
  try {
    refuseUnfit(path, fd, bytes);
    const zeroes = new Uint8Array(PIECE_BYTES);
    for (let at = 0; at < bytes; at += PIECE_BYTES) {
      writeAll(fd, at, zeroes.subarray(0, Math.min(PIECE_BYTES, bytes - at)));
      // Piece by piece: one flush of all of it would take as long as all of it.
      fdatasyncSync(fd);
      yield;
    }
    const block = encodeSuper(superblock);
    for (const copy of [0, 1]) writeAll(fd, copy * block.length, block);
    fsyncSync(fd);
  } catch (error) {
    if (error instanceof AgentError) throw error;
    const what = (error as NodeJS.ErrnoException).code ?? (error as Error).message;
    throw refused(path, `cannot be written (${what}): it needs ${bytes} bytes; check its storage`, error);
  } finally {
    closeSync(fd);
  }
}

function create(path: string): number {
  const { O_RDWR, O_CREAT, O_EXCL } = constants;
  try {
    // Of a block device the kernel opens none exclusively that is mounted or otherwise in use.
    return openSync(path, O_RDWR | O_EXCL | (isBlockDevice(path) ? 0 : O_CREAT), 0o600);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    const isUsed = code === 'EBUSY';
    const mend = isUsed
      ? 'is a device that is in use: unmount it or name another one'
      : `cannot be made (${code}): make its folder, or name another place`;
    throw refused(path, mend, error);
  }
}

function refuseUnfit(path: string, fd: number, bytes: number): void {
  if (!fstatSync(fd).isBlockDevice()) return;
  const has = blockDeviceBytes(fd);
  if (has < bytes) throw refused(path, `has ${has} bytes, fewer than the ${bytes} it needs`);
  if (isBlank(fd)) return;
  throw refused(path, `holds something: name another device, or overwrite its first MiB with zeroes`);
}

/** File systems, partition tables, volume managers and journals have something there. */
function isBlank(fd: number): boolean {
  const found = Buffer.alloc(BLANK_BYTES);
  const got = readSync(fd, found, 0, found.length, 0);
  return found.subarray(0, got).every((byte) => byte === 0);
}

const refused = (path: string, why: string, cause?: unknown): AgentError =>
  new AgentError('volume', `journal ${path.endsWith(HALF) ? path.slice(0, -HALF.length) : path} ${why}`, { cause });
