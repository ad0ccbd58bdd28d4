/**
 * `stillbeat history prune --before TIME`: what is older becomes part of the base, by whole segments. Without `--yes` it only says what
 * that would be: nothing gives it back.
 */
import { join } from 'node:path';
import { AgentError, EXIT } from '../base/errors.ts';
import { ask } from '../control-client.ts';
import { parseWhen, TIME_EXAMPLES } from './operator-time.ts';
import { isRecording, readHead, recordingsIn } from '../history/store/files.ts';
import { olderThan } from '../history/store/fold.ts';
import { loadRecording } from '../history/store/load.ts';
import { Recording, type Retention } from '../history/store/recording.ts';
import { systemClock } from '../platform/clock.ts';
import { loadHistoryPlace } from '../settings/history.ts';
import { usageError } from './commands.ts';
import { parse, toldTime, writtenText } from './history-open.ts';
import { bytesText } from './mirror-text.ts';

const PRUNE_MS_MAX = 600_000;
const NO_BOUND: Retention = { hours: 0, bytes: 0 };

interface Pruned {
  readonly monitor: string;
  readonly segments: number;
  readonly bytes: number;
}

/** By a recorder that runs, or on its store. */
export async function prune(argv: string[]): Promise<number> {
  const { values } = parse(argv, { before: { type: 'string' }, yes: { type: 'boolean' } }, TIME_EXAMPLES);
  if ((values.config === undefined) === (values.store === undefined))
    throw usageError('history', 'one of --config and --store is needed');
  const beforeUs = pastOf(values.before);
  const place = values.config === undefined ? null : loadHistoryPlace(values.config);
  const store = place?.store ?? values.store ?? '';
  const { monitor } = values;
  const folders = recordingFolders(store).filter(([name]) => monitor === undefined || name === monitor);
  if (folders.length === 0) {
    const which = monitor === undefined ? 'recording' : `recording of ${monitor}`;
    throw new AgentError('failed', `there is no ${which} in ${store}: see stillbeat history list`);
  }
  if (values.yes !== true) return sayOnly(folders, beforeUs, values.json === true);
  const here = async (): Promise<Pruned[]> => pruneStore(folders, place?.retention ?? NO_BOUND, beforeUs);
  const request = { command: 'history-prune', monitor, beforeUs };
  const pruned = place
    ? await ask(place.controlSocket, request, PRUNE_MS_MAX, place.start).then(
        (answer) => answer['pruned'] as Pruned[],
        async (error: AgentError) => {
          if (!/no agent runs here/.test(error.message)) throw error;
          return here();
        },
      )
    : await here();
  if (values.json === true) process.stdout.write(`${JSON.stringify({ pruned })}\n`);
  else for (const one of pruned) process.stdout.write(`${one.monitor}: ${amountText(one)} part of the base now\n`);
  return EXIT.ok;
}

/** A mistyped year would let go of everything. */
function pastOf(before: string | undefined): number {
  if (before === undefined) throw usageError('history', '--before is missing');
  const nowMs = systemClock.wallMs();
  const when = parseWhen(before, nowMs);
  if (!when || !('timeUs' in when)) {
    const what = when ? 'is a mark, and whole segments go by their time' : 'is no time';
    throw usageError('history', `--before ${before} ${what}: write for example ${TIME_EXAMPLES}`);
  }
  if (when.timeUs <= nowMs * 1000) return when.timeUs;
  const mend = 'correct it, or write --before now to let go of all that is not in use';
  throw new AgentError('usage', `history: --before ${before} is in the future: ${mend}`);
}

const amountText = ({ segments, bytes }: Pruned): string =>
  `${segments} segment${segments === 1 ? '' : 's'} (${bytesText(bytes)}) ${segments === 1 ? 'is' : 'are'}`;

function sayOnly(folders: readonly [name: string, folder: string][], beforeUs: number, isJson: boolean): number {
  const wouldPrune = folders.map(([monitor, folder]) => {
    const { segments, bytes, earliest } = olderThan(loadRecording(folder), beforeUs);
    return {
      monitor,
      segments,
      bytes,
      earliest: earliest && { mark: earliest.mark, time: toldTime(earliest.timeUs) },
    };
  });
  if (isJson) process.stdout.write(`${JSON.stringify({ wouldPrune })}\n`);
  for (const one of isJson ? [] : wouldPrune) {
    const { monitor, segments, bytes, earliest } = one;
    const what = `${segments} segment${segments === 1 ? '' : 's'} (${bytesText(bytes)}) would become part of the base`;
    const then = `the earliest state would be mark ${earliest?.mark}, ${writtenText(earliest?.time ?? null)}`;
    const line = earliest ? `${what}: ${then}; to do that, say it again with --yes` : 'nothing is as old as that';
    process.stdout.write(`${monitor}: ${line}\n`);
  }
  return EXIT.ok;
}

/** By name; a store may be the recording itself, as a target's history is. */
const recordingFolders = (store: string): [name: string, folder: string][] =>
  isRecording(store)
    ? [[readHead(store).monitor, store]]
    : recordingsIn(store).map((name): [string, string] => [name, join(store, name)]);

async function pruneStore(
  folders: readonly [name: string, folder: string][],
  retention: Retention,
  beforeUs: number,
): Promise<Pruned[]> {
  const pruned: Pruned[] = [];
  for (const [name, folder] of folders) {
    const { volumes, generation } = readHead(folder);
    const recording = await Recording.open({
      folder,
      monitor: name,
      volumes,
      generation,
      keepsBase: true,
      retention,
      nowMs: () => systemClock.wallMs(),
      steadyMs: () => systemClock.monotonicMs(),
      log: (line) => void process.stderr.write(`${line}\n`),
      progress: () => {},
    });
    try {
      pruned.push({ monitor: name, ...(await recording.prune(beforeUs, Infinity)) });
    } finally {
      await recording.close();
    }
  }
  return pruned;
}
