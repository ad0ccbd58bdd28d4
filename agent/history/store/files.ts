/** The files of a recording: their names, and what its head says. */
import {
  closeSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { AgentError } from '../../base/errors.ts';
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
}

const HEAD = 'head';
const SEGMENT = /^(\d{8})\.(control|data)$/;

/** Whether a file has anything that states are made of. */
export const isContent = (name: string): boolean => SEGMENT.test(name) || /^base-\d+(\.sums)?$/.test(name);

export const headPath = (folder: string): string => join(folder, HEAD);
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

/** Whole and durable, or as it was before. */
export function writeHead(folder: string, head: RecordingHead): void {
  const path = headPath(folder);
  writeFileSync(`${path}.new`, checkedText(head), { mode: 0o600, flush: true });
  renameSync(`${path}.new`, path);
  flushFolder(folder);
}

/** Throws an AgentError for what is no recording, or a damaged one. */
export function readHead(folder: string): RecordingHead {
  const path = headPath(folder);
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    const what = code === 'ENOENT' ? 'is no recording: name the folder of one' : `cannot be read (${code})`;
    throw new AgentError('volume', `${folder} ${what}`, { cause: error });
  }
  const json = textOf(text);
  if (json === null) {
    throw new AgentError('volume', `${path} is damaged: what is recorded here cannot be told; remove the folder`);
  }
  const head = JSON.parse(json) as RecordingHead;
  if (head.version >>> 16 !== HISTORY_VERSION >>> 16) {
    throw new AgentError('volume', `${folder} is a recording of another version: use the program that wrote it`);
  }
  return head;
}

export const isRecording = (folder: string): boolean => existsSync(headPath(folder));

/** The recordings below a store's folder, by name. */
export function recordingsIn(store: string): string[] {
  if (!existsSync(store)) return [];
  return readdirSync(store, { withFileTypes: true })
    .filter((entry) => entry.isDirectory() && isRecording(join(store, entry.name)))
    .map(({ name }) => name)
    .sort();
}

/** To be read; null where it is gone, as what was folded is. */
export function openIfThere(path: string): number | null {
  try {
    return openSync(path, 'r');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw error;
  }
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
