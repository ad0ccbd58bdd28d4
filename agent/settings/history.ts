/** From a settings file of the recorder to its settings, or to one line for each thing that is wrong with it. */
import type { Given } from './given.ts';
import { historySchema } from './history-schema.ts';
import { readSettingsFile } from './load.ts';
import { bytesOf, checkEndpoint, endpointOf, loadMirrorTarget, roleLine } from './mirror.ts';
import { Problems } from './problems.ts';
import { AgentError } from '../base/errors.ts';
import { applySchema, type FileKind } from './schema-problems.ts';
import type { Endpoint } from './settings.ts';
import { readSource } from './source.ts';

interface HistoryFile {
  readonly name: string;
  readonly keyFile: string;
  readonly listen: string;
  readonly store: { readonly path: string };
  readonly retention: { readonly hours: number; readonly bytes: string | number };
  readonly log: { readonly path?: string };
  readonly control: { readonly socket?: string };
}

export interface HistorySettings {
  readonly file: string;
  readonly name: string;
  readonly keyFile: string;
  readonly address: Endpoint;
  readonly store: string;
  readonly retention: { readonly hours: number; readonly bytes: number };
  /** Null without a log device. */
  readonly logFolder: string | null;
  readonly controlSocket: string;
}

export const HISTORY_FILE: FileKind = { schema: historySchema, example: 'config/recorder.yaml' };

/** A mirror's settings are not held against the recorder's schema, key by key. */
export function loadHistory(path: string): HistorySettings {
  const text = readSettingsFile(path, HISTORY_FILE.example);
  const { role, line } = roleLine(text, path);
  if (role !== null) {
    const mend = `say stillbeat mirror ${role}, or name the settings of a recorder`;
    throw new AgentError('usage', `${path}:${line}: role: these are the settings of a mirror's ${role}: ${mend}`);
  }
  return parseHistory(text, path);
}

/** Where recordings are kept, and who is asked to let go of some. */
export type HistoryPlace = Pick<HistorySettings, 'store' | 'retention' | 'controlSocket'> & {
  /** The command that runs it. */
  readonly start: string;
};

/** Of a recorder's settings, or of a target's that keeps a history itself. */
export function loadHistoryPlace(path: string): HistoryPlace {
  const { role, line } = roleLine(readSettingsFile(path, HISTORY_FILE.example), path);
  if (role === 'source') {
    const mend = 'name those of its recorder, or of a target that keeps a history itself';
    throw new AgentError('usage', `${path}:${line}: role: these are the settings of a mirror's source: ${mend}`);
  }
  if (role !== 'target') return { ...loadHistory(path), start: 'stillbeat history record' };
  const { history, controlSocket } = loadMirrorTarget(path);
  if (history) return { store: history.path, ...history, controlSocket, start: 'stillbeat mirror target' };
  throw new AgentError(
    'usage',
    `${path}: this target keeps no history: set history: { path }, or name a recorder's file`,
  );
}

export function parseHistory(text: string, file: string): HistorySettings {
  const source = readSource(text, file);
  const problems = new Problems(file, source.lineOf);
  const given: Given<HistoryFile> | null = applySchema<HistoryFile>(source.value, problems, HISTORY_FILE);
  checkEndpoint(given?.listen, ['listen'], problems);
  if (given?.log?.path !== undefined && given.log.path === given.store?.path) {
    problems.add(['log', 'path'], 'is the store too', 'name the folder of the log device, at another place');
  }
  problems.throwIfAny();
  const from = given as HistoryFile;
  return {
    file,
    name: from.name,
    keyFile: from.keyFile,
    address: endpointOf(from.listen),
    store: from.store.path,
    retention: { hours: from.retention.hours, bytes: bytesOf(from.retention.bytes) },
    logFolder: from.log.path ?? null,
    controlSocket: from.control.socket ?? `/run/stillbeat/history-${from.name}.sock`,
  };
}
