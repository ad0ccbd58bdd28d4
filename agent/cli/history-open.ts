/** What the commands that look into recordings share: which recordings, at what time, and how far they are. */
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { AgentError } from '../base/errors.ts';
import { CLOCK_NOISE_US } from '../history/core/clock.ts';
import { findMark, timeText } from '../history/core/spans.ts';
import { parseWhen, WHEN_EXAMPLES } from './operator-time.ts';
import { isRecording, readHead, recordingsIn } from '../history/store/files.ts';
import { readKnown } from '../history/store/known.ts';
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
  /** The time that a state is asked for of, where that is an option. */
  readonly at?: string;
}

/** The present that times are relative to: when the command began. */
const NOW_MS = systemClock.wallMs();
/** For a session that runs to say that all up to a time is there. */
const KNOWN_MS_MAX = 5000;
const KNOWN_LOOK_MS = 50;

/** A relative time begins as an option does, and no option begins with a digit. */
const RELATIVE = /^-\d/;

function withTimes(argv: readonly string[], examples: string): string[] {
  return argv.map((word) => {
    if (!RELATIVE.test(word)) return word;
    const when = parseWhen(word, NOW_MS);
    if (!when || !('timeUs' in when)) throw usageError('history', `${word} is no time: write for example ${examples}`);
    return new Date(when.timeUs / 1000).toISOString();
  });
}

export const parse = <Options extends NonNullable<Parameters<typeof parseArgs>[0]>['options']>(
  argv: string[],
  options: Options,
  examples: string = WHEN_EXAMPLES,
) => parseArgs({ args: withTimes(argv, examples), options: { ...COMMON_OPTIONS, ...options }, allowPositionals: true });

/**
 * The folders of the recordings that are meant, by name; they are known up to the time that is asked for, as far as they will be. Of
 * several one that cannot be read is passed over, told, and put into `faults`.
 */
export function foldersOf(
  common: Common,
  times: readonly (string | undefined)[] = [common.at],
  faults: unknown[] = [],
): string[] {
  const meant = foldersMeant(common);
  const mark = times.find((time) => time?.startsWith('#') === true);
  if (mark !== undefined && meant.length > 1) throw severalMonitors(meant, `each has a mark ${mark} of its own; `);
  const folders = meant.length === 1 ? meant : meant.filter((folder) => isReadable(folder, faults));
  if (folders.length === 0) throw faults[0];
  awaitKnown(folders, times);
  return folders;
}

function isReadable(folder: string, faults: unknown[]): boolean {
  try {
    readHead(folder);
    return true;
  } catch (error) {
    faults.push(error);
    process.stderr.write(`stillbeat: ${(error as Error).message}: it is passed over\n`);
    return false;
  }
}

/** [HI9] While a session runs the last second is known a second later. */
function awaitKnown(folders: readonly string[], times: readonly (string | undefined)[]): void {
  const endMs = systemClock.monotonicMs() + KNOWN_MS_MAX;
  const sleeper = new Int32Array(new SharedArrayBuffer(4));
  for (const time of times) {
    const when = time === undefined ? null : parseWhen(time, NOW_MS);
    if (!when || !('timeUs' in when) || when.timeUs > NOW_MS * 1000) continue;
    const isAwaited = (folder: string): boolean => {
      const known = readKnown(folder);
      return known.isOpen && known.timeUs < when.timeUs;
    };
    while (folders.some(isAwaited) && systemClock.monotonicMs() < endMs) Atomics.wait(sleeper, 0, 0, KNOWN_LOOK_MS);
  }
}

function foldersMeant({ config, store, monitor }: Common): string[] {
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
export function oneFolder(common: Common, times: readonly (string | undefined)[] = [common.at]): string {
  const [folder = '', ...more] = foldersMeant(common);
  if (more.length > 0) throw severalMonitors([folder, ...more]);
  awaitKnown([folder], times);
  return folder;
}

function severalMonitors(folders: readonly string[], why = ''): AgentError {
  const names = folders.map((one) => one.split('/').at(-1)).join(', ');
  return usageError('history', `--monitor is missing: ${why}there are ${names}`);
}

export interface Moment {
  readonly mark: number;
  /** Microseconds since 1970, by the recorder's clock. */
  readonly timeUs: number;
}

/** Null for a time that is still to come: the recorder's clock was ahead then, and nobody can tell when that was. */
export const toldTime = (us: number): string | null =>
  us > systemClock.wallMs() * 1000 + CLOCK_NOISE_US ? null : timeText(us);

export const writtenText = (time: string | null): string =>
  time === null ? 'written at a time that cannot be told' : `written ${time}`;

/** The mark of a time, as an operator writes it. Throws an AgentError for one that cannot be restored. */
export function momentOf(loaded: Loaded, text: string | undefined): Moment {
  if (text === undefined) throw usageError('history', `--at is missing: write for example --at ${WHEN_EXAMPLES}`);
  const when = parseWhen(text, NOW_MS);
  if (!when) throw usageError('history', `${text} is no time: write for example ${WHEN_EXAMPLES}`);
  const { table, extent, times, head } = loaded;
  const found = findMark(table, extent, times, when, NOW_MS * 1000);
  if (found.ok) return found;
  throw new AgentError('failed', `${head.monitor}: ${found.why}; stillbeat history list shows what there is`);
}

/** Of the recording that a state is made of; all of it is in the list. */
export function loadForState(folder: string): Loaded {
  const loaded = loadRecording(folder);
  const [first, ...more] = loaded.damage;
  if (first !== undefined) {
    const rest = more.length === 0 ? '' : `, and ${more.length} more: stillbeat history list shows all`;
    process.stderr.write(`stillbeat: ${loaded.head.monitor}: the recording is damaged: ${first}${rest}\n`);
  }
  return loaded;
}

export function loadAll(common: Common, faults: unknown[]): Loaded[] {
  return foldersOf(common, [], faults).map((folder) => loadRecording(folder));
}
