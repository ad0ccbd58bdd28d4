/** `stillbeat history record` and `prune`: the recorder's process, and what it is told to let go of. */
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { AgentError, EXIT } from '../base/errors.ts';
import { ask } from '../control-client.ts';
import { ControlServer } from '../control-server.ts';
import { parseWhen, TIME_EXAMPLES } from './operator-time.ts';
import { Recorder } from '../history/recorder/recorder.ts';
import { isRecording, readHead, recordingsIn } from '../history/store/files.ts';
import { Recording, type Retention } from '../history/store/recording.ts';
import { systemClock } from '../platform/clock.ts';
import { tuneForData } from '../platform/engine.ts';
import { createLog, logLevel } from '../platform/log.ts';
import { keepFreedMemory } from '../platform/native.ts';
import { loadHistory, loadHistoryPlace } from '../settings/history.ts';
import { usageError } from './commands.ts';
import { parse } from './history-open.ts';
import { MirrorKeys } from './mirror-keys.ts';
import { bytesText } from './mirror-text.ts';

const PRUNE_MS_MAX = 600_000;
const NO_BOUND: Retention = { hours: 0, bytes: 0 };

/** Runs until SIGTERM or SIGINT. */
export async function record(argv: string[]): Promise<number> {
  const { values } = parseArgs({ args: argv, options: { config: { type: 'string' } } });
  if (values.config === undefined) throw usageError('history', '--config is missing');
  const settings = loadHistory(values.config);
  keepFreedMemory();
  tuneForData();
  const { name, address, store, retention, logFolder, controlSocket } = settings;
  const log = createLog(name, process.stderr.isTTY, logLevel(process.env['STILLBEAT_LOG']));
  const keys = new MirrorKeys({ keyFile: settings.keyFile, exportKeyFile: null });
  keys.readAtHangUp(log);
  const ended = new Promise<void>((resolve) => {
    for (const signal of ['SIGTERM', 'SIGINT']) process.on(signal, () => resolve());
  });
  let recorder: Recorder | null = null;
  const control = await ControlServer.open(controlSocket, async (request) => {
    if (!recorder) throw new AgentError('failed', 'it is starting');
    if (request['command'] === 'history-status') return recorder.status();
    if (request['command'] !== 'history-prune') throw new AgentError('usage', 'use history-status or history-prune');
    const monitor = typeof request['monitor'] === 'string' ? request['monitor'] : null;
    return { pruned: await recorder.prune(monitor, Number(request['beforeUs']), Number(request['bytes'] ?? Infinity)) };
  });
  try {
    recorder = await Recorder.open({
      name,
      keys: keys.cluster,
      listen: address,
      store,
      retention,
      logFolder,
      log: (line) => void log.log('warn', line),
    });
    log.log('info', 'running', { name, store });
    await ended;
    await recorder.close();
    log.log('info', 'stopped', { reason: 'a signal' });
    return EXIT.ok;
  } finally {
    control.close();
  }
}

interface Pruned {
  readonly monitor: string;
  readonly segments: number;
  readonly bytes: number;
}

/** By a recorder that runs, or on its store. */
export async function prune(argv: string[]): Promise<number> {
  const { values } = parse(argv, { before: { type: 'string' } });
  if ((values.config === undefined) === (values.store === undefined))
    throw usageError('history', 'one of --config and --store is needed');
  if (values.before === undefined) throw usageError('history', '--before is missing');
  const when = parseWhen(values.before, systemClock.wallMs());
  if (!when || !('timeUs' in when)) {
    const what = when ? 'is a mark, and whole segments go by their time' : 'is no time';
    throw usageError('history', `--before ${values.before} ${what}: write for example ${TIME_EXAMPLES}`);
  }
  const place = values.config === undefined ? null : loadHistoryPlace(values.config);
  const store = place?.store ?? values.store ?? '';
  const { monitor } = values;
  const folders = recordingFolders(store).filter(([name]) => monitor === undefined || name === monitor);
  if (folders.length === 0) {
    const which = monitor === undefined ? 'recording' : `recording of ${monitor}`;
    throw new AgentError('failed', `there is no ${which} in ${store}: see stillbeat history list`);
  }
  const here = async (): Promise<Pruned[]> => pruneStore(folders, place?.retention ?? NO_BOUND, when.timeUs);
  const request = { command: 'history-prune', monitor, beforeUs: when.timeUs };
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
  for (const one of values.json === true ? [] : pruned) {
    process.stdout.write(
      `${one.monitor}: ${one.segments} segments (${bytesText(one.bytes)}) are part of the base now\n`,
    );
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
