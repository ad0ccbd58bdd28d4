/** The files of a recording: their names, and what its head says. */
import {
  closeSync,
  existsSync,
  fstatSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  statSync,
  writeFileSync,
  type Stats,
} from 'node:fs';
import { join } from 'node:path';
import { AgentError } from '../../base/errors.ts';
import type { ClockNote } from '../core/clock.ts';
import { HISTORY_VERSION } from '../wire/layout.ts';
import { checkedText, textOf } from './checked-text.ts';

export interface RecordedVolume {
  readonly name: string;
  readonly bytes: number;
}

/** The volumes at one mark. */
export interface Base {
  readonly mark: number;
  /** Microseconds since 1970, by the recorder's clock. */
  readonly timeUs: number;
  /** All entries up to this mark are in the base files; of those behind it any may be, which changes nothing. */
  readonly over: number;
  /**
   * What a session that began at `mark` would have noted: by how much the monitor's clock was ahead, and the chain in hexadecimal. The
   * words and entries that said so may be folded. Left out: nothing is.
   */
  readonly clock?: { readonly aheadUs: number; readonly chain: string };
  /**
   * `none`: this recording has no base (a log device). `filling`: not all of it is there. `whole`: it is what the volumes were at
   * `mark`. `folding`: entries up to `mark` are being brought in; until that is done it is behind, and is brought there again.
   */
  readonly state: 'none' | 'filling' | 'whole' | 'folding';
  /** There are checksums of the base files. Left out: an earlier program took the volumes, or has folded since. */
  readonly sums?: true;
}

/** The file `head`, as JSON beside a checksum of it. */
export interface RecordingHead {
  readonly version: number;
  readonly monitor: string;
  readonly volumes: readonly RecordedVolume[];
  /** As hexadecimal text. */
  readonly generation: string;
  readonly base: Base;
  /**
   * Words that void marks: what lies in a segment before `segment` and bears a mark beyond `until` is void. Who reads some segments
   * does not see the words in those behind them. Left out in one that an earlier program made.
   */
  readonly branches?: readonly { readonly segment: number; readonly until: number }[];
  /**
   * [HI6] How far the monitor's clock was ahead behind which marks, and where that is not clear: of the base's mark, and of all behind
   * it. Left out in one that an earlier program made: the words of its sessions say it, if none is lost.
   */
  readonly clocks?: readonly ClockNote[];
}

const HEAD = 'head';
const SEGMENT = /^(\d{8})\.(control|data)$/;

/** Whether a file has anything that states are made of. */
export const isContent = (name: string): boolean => SEGMENT.test(name) || /^base-\d+(\.sums)?$/.test(name);

export const headPath = (folder: string): string => join(folder, HEAD);
export const headCopyPath = (folder: string): string => join(folder, `${HEAD}.copy`);
export const controlPath = (folder: string, segment: number): string => join(folder, `${digits(segment)}.control`);
export const dataPath = (folder: string, segment: number): string => join(folder, `${digits(segment)}.data`);
export const basePath = (folder: string, volume: number): string => join(folder, `base-${volume}`);
export const sumsPath = (folder: string, volume: number): string => `${basePath(folder, volume)}.sums`;
export const lockPath = (folder: string): string => join(folder, 'lock');
export const reservePath = (folder: string): string => join(folder, 'reserve');

const digits = (segment: number): string => String(segment).padStart(8, '0');

/** Segments of which a file is there, ascending. */
export function segmentsIn(folder: string, kind: 'control' | 'data'): number[] {
  return readdirSync(folder)
    .map((name) => SEGMENT.exec(name))
    .filter((match) => match?.[2] === kind)
    .map((match) => Number(match?.[1]))
    .sort((a, b) => a - b);
}

/**
 * Whole and durable, or as it was before. The copy first: it is never behind the head, and what a head says is true before it is
 * written.
 */
export function writeHead(folder: string, head: RecordingHead): void {
  const text = checkedText(head);
  for (const path of [headCopyPath(folder), headPath(folder)]) {
    writeFileSync(`${path}.new`, text, { mode: 0o600, flush: true });
    renameSync(`${path}.new`, path);
    flushFolder(folder);
  }
}

/** Throws an AgentError for what is no recording, or one of which neither the head nor its copy holds. */
export function readHead(folder: string): RecordingHead {
  const path = headPath(folder);
  const { text, code } = readText(path);
  if (code === 'ENOENT') throw new AgentError('volume', `${folder} is no recording: name the folder of one`);
  const json = textOf(text) ?? textOf(readText(headCopyPath(folder)).text);
  if (json === null) {
    const what = code === null ? 'is damaged' : `cannot be read (${code})`;
    throw new AgentError(
      'volume',
      `${path} ${what}, and so is its copy: what is recorded here cannot be told; put one of them back from a backup, or remove the folder`,
    );
  }
  const head = JSON.parse(json) as RecordingHead;
  if (head.version >>> 16 !== HISTORY_VERSION >>> 16) {
    throw new AgentError('volume', `${folder} is a recording of another version: use the program that wrote it`);
  }
  return head;
}

/** What is wrong with the head or its copy, of which one holds. */
export const headDamage = (folder: string): string[] =>
  [headPath(folder), headCopyPath(folder)]
    .filter((path) => {
      const { text, code } = readText(path);
      // A recording of before has no copy.
      return textOf(text) === null && code !== 'ENOENT';
    })
    .map((path) => `${path} is damaged: the other of the two is read, and the recorder writes both when it is started`);

/** By the one who writes: after a crash or damage both are the same again. Answers why they are not, or null. */
export function mendHead(folder: string): string | null {
  const [head, copy] = [headPath(folder), headCopyPath(folder)].map((path) => readText(path).text);
  if (head === copy) return null;
  try {
    writeHead(folder, readHead(folder));
    return null;
  } catch (error) {
    // It goes on with the one that holds.
    return `${headPath(folder)} and its copy cannot be written (${(error as NodeJS.ErrnoException).code ?? (error as Error).message})`;
  }
}

function readText(path: string): { readonly text: string; readonly code: string | null } {
  try {
    return { text: readFileSync(path, 'utf8'), code: null };
  } catch (error) {
    return { text: '', code: (error as NodeJS.ErrnoException).code ?? 'EIO' };
  }
}

export const isRecording = (folder: string): boolean => existsSync(headPath(folder));

/** The recordings below a store's folder, by name; none where it is no folder. */
export function recordingsIn(store: string): string[] {
  if (!existsSync(store) || !statSync(store).isDirectory()) return [];
  return readdirSync(store, { withFileTypes: true })
    .filter((entry) => entry.isDirectory() && isRecording(join(store, entry.name)))
    .map(({ name }) => name)
    .sort();
}

/** To be read; null where it is gone, as what was folded is, or is no file. */
export function openIfThere(path: string): number | null {
  try {
    const fd = openSync(path, 'r');
    if (fstatSync(fd).isFile()) return fd;
    closeSync(fd);
    return null;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw error;
  }
}

/** What of a recording's files is gone, no file, or cut short, in words. */
export function fileDamage(folder: string, { base, volumes }: RecordingHead): string[] {
  const damage = headDamage(folder);
  for (const name of readdirSync(folder).filter((one) => SEGMENT.test(one))) {
    const path = join(folder, name);
    const found = statSync(path, { throwIfNoEntry: false });
    if (found && !found.isFile()) damage.push(`${path} is no file: what was in it is lost`);
  }
  // While it is being filled it is made anew.
  if (base.state === 'none' || base.state === 'filling') return damage;
  volumes.forEach(({ bytes }, volume) => {
    const of: [string, number][] = [[basePath(folder, volume), bytes]];
    if (base.sums === true) of.push([sumsPath(folder, volume), 0]);
    for (const [path, least] of of) {
      const why = shortfall(statSync(path, { throwIfNoEntry: false }), least);
      if (why !== null) damage.push(`${path} ${why}: no state can be read that has anything from it`);
    }
  });
  return damage;
}

/** Null: it is a file of so many bytes. */
export function shortfall(found: Stats | undefined, bytes: number): string | null {
  if (!found) return 'is gone';
  if (!found.isFile()) return 'is no file';
  return found.size < bytes ? `is cut short: it has ${found.size} bytes of ${bytes}` : null;
}

export function makeFolder(folder: string): void {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
}

export function flushFolder(folder: string): void {
  const fd = openSync(folder, 'r');
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}
