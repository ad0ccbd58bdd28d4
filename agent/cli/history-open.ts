/** What the commands that look into recordings share: which recordings, at what time, and how far they are. */
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { AgentError } from '../base/errors.ts';
import { findMark } from '../history/core/spans.ts';
import { parseWhen, WHEN_EXAMPLES } from '../history/core/when.ts';
import { isRecording, recordingsIn } from '../history/store/files.ts';
import { loadRecording, type Loaded } from '../history/store/load.ts';
import { systemClock } from '../platform/clock.ts';
import { loadHistoryPlace } from '../settings/history.ts';
import { usageError } from './commands.ts';

/** Options of all of these commands. */
export const COMMON_OPTIONS = {
  config: { type: 'string' },
  store: { type: 'string' },
  monitor: { type: 'string' },
  json: { type: 'boolean' },
} as const;

export interface Common {
  readonly config?: string;
  readonly store?: string;
  readonly monitor?: string;
  readonly json?: boolean;
}

/** A relative time begins as an option does. */
const RELATIVE = /^-\d/;

function withTimes(argv: readonly string[]): string[] {
  const nowMs = systemClock.wallMs();
  return argv.map((word) => {
    const when = RELATIVE.test(word) ? parseWhen(word, nowMs) : null;
    return when && 'timeUs' in when ? new Date(when.timeUs / 1000).toISOString() : word;
  });
}

export const parse = <Options extends NonNullable<Parameters<typeof parseArgs>[0]>['options']>(
  argv: string[],
  options: Options,
) => parseArgs({ args: withTimes(argv), options: { ...COMMON_OPTIONS, ...options }, allowPositionals: true });

/** The folders of the recordings that are meant, by name. */
export function foldersOf({ config, store, monitor }: Common): string[] {
  if ((config === undefined) === (store === undefined)) {
    throw usageError('history', 'one of --config and --store is needed');
  }
  const path = store ?? loadHistoryPlace(config ?? '').store;
  // A recording itself, as a log device or a copy of one is.
  if (isRecording(path)) return [path];
  const names = recordingsIn(path);
  if (names.length === 0)
    throw new AgentError('volume', `${path} holds no recordings: name the recorder's store, or a target's history`);
  if (monitor === undefined) return names.map((name) => join(path, name));
  if (!names.includes(monitor)) {
    throw new AgentError('failed', `there is no recording of ${monitor} in ${path}, but of ${names.join(', ')}`);
  }
  return [join(path, monitor)];
}

/** One recording: where there are several, `--monitor` says which. */
export function oneFolder(common: Common): string {
  const [folder = '', ...more] = foldersOf(common);
  if (more.length > 0) {
    const names = [folder, ...more].map((one) => one.split('/').at(-1)).join(', ');
    throw usageError('history', `--monitor is missing: there are ${names}`);
  }
  return folder;
}

export interface Moment {
  readonly mark: number;
  /** Microseconds since 1970, by the recorder's clock. */
  readonly timeUs: number;
}

/** The mark of a time, as an operator writes it. Throws an AgentError for one that cannot be restored. */
export function momentOf(loaded: Loaded, text: string | undefined): Moment {
  const nowMs = systemClock.wallMs();
  const when = text === undefined ? null : parseWhen(text, nowMs);
  if (!when) throw usageError('history', `${text ?? '--at is missing'} is no time: write for example ${WHEN_EXAMPLES}`);
  const { table, extent, times, head } = loaded;
  const found = findMark(table, extent, times, when, nowMs * 1000);
  if (found.ok) return found;
  throw new AgentError('failed', `${head.monitor}: ${found.why}; stillbeat history list shows what there is`);
}

export function loadAll(common: Common): Loaded[] {
  return foldersOf(common).map((folder) => loadRecording(folder));
}
