/** A recording's folder: made, held by one writer, and known to be its monitor's. */
import { closeSync, ftruncateSync, openSync, writeFileSync } from 'node:fs';
import { AgentError } from '../../base/errors.ts';
import { lockFile } from '../../platform/block-device.ts';
import { HISTORY_VERSION } from '../wire/layout.ts';
import { sumsBytes } from './base-sums.ts';
import {
  basePath,
  lockPath,
  sumsPath,
  writeHead,
  type Base,
  type RecordedVolume,
  type RecordingHead,
} from './files.ts';
import { knownPath, knownText, NOTHING_KNOWN } from './known.ts';

export interface Owner {
  readonly folder: string;
  readonly monitor: string;
  readonly volumes: readonly RecordedVolume[];
  /** Hexadecimal. */
  readonly generation: string;
  /** False of a log device: it has no base, and what is too old is removed. */
  readonly keepsBase: boolean;
}

/** The descriptor that holds it. Throws an AgentError when another process has it. */
export function holdFolder(folder: string): number {
  const fd = openSync(lockPath(folder), 'a+', 0o600);
  if (lockFile(fd, 0, 1) === 0) return fd;
  closeSync(fd);
  throw new AgentError('taken', `recording ${folder} is written by another process: ask that one, or stop it first`);
}

export function formatRecording({ folder, monitor, volumes, generation, keepsBase }: Owner): void {
  const state = keepsBase ? 'filling' : 'none';
  if (keepsBase) emptyBase(folder, volumes);
  const base: Base = { mark: 0, timeUs: 0, over: 0, state, ...(keepsBase ? { sums: true } : {}) };
  writeHead(folder, { version: HISTORY_VERSION, monitor, volumes, generation, base, branches: [], clocks: [] });
  if (keepsBase) writeFileSync(knownPath(folder), knownText(NOTHING_KNOWN), { mode: 0o600, flush: true });
}

export function emptyBase(folder: string, volumes: readonly RecordedVolume[]): void {
  const empty = (path: string, bytes: number): void => {
    const fd = openSync(path, 'w', 0o600);
    ftruncateSync(fd, bytes);
    closeSync(fd);
  };
  volumes.forEach(({ bytes }, i) => {
    empty(basePath(folder, i), bytes);
    empty(sumsPath(folder, i), sumsBytes(bytes));
  });
}

/** Throws an AgentError for a recording of another monitor, or of other volumes. */
export function checkOwner(head: RecordingHead, { folder, monitor, volumes }: Owner): void {
  const shown = (all: readonly RecordedVolume[]): string =>
    all.map(({ name, bytes }) => `${name} (${bytes} bytes)`).join(', ');
  if (head.monitor !== monitor) {
    const whose = `recording ${folder} is of monitor ${head.monitor}, not ${monitor}`;
    throw new AgentError('volume', `${whose}: name another folder`);
  }
  if (shown(head.volumes) === shown(volumes)) return;
  const what = `recording ${folder} is of ${shown(head.volumes)}, not ${shown(volumes)}`;
  throw new AgentError('volume', `${what}: name another folder, or remove it`);
}

export function cutFile(path: string, bytes: number): void {
  const fd = openSync(path, 'r+');
  ftruncateSync(fd, bytes);
  closeSync(fd);
}
