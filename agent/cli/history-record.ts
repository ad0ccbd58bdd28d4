/** `stillbeat history record`: the recorder's process. */
import { readdirSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { AgentError, EXIT } from '../base/errors.ts';
import { ControlServer } from '../control-server.ts';
import { Recorder } from '../history/recorder/recorder.ts';
import { tuneForData } from '../platform/engine.ts';
import { createLog, logLevel } from '../platform/log.ts';
import { keepFreedMemory } from '../platform/native.ts';
import { loadHistory, type HistorySettings } from '../settings/history.ts';
import { usageError } from './commands.ts';
import { MirrorKeys } from './mirror-keys.ts';

/** Runs until SIGTERM or SIGINT. */
export async function record(argv: string[]): Promise<number> {
  const { values } = parseArgs({ args: argv, options: { config: { type: 'string' } } });
  if (values.config === undefined) throw usageError('history', '--config is missing');
  const settings = loadHistory(values.config);
  checkStore(settings);
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
    if (request['command'] !== 'history-prune') {
      throw new AgentError('usage', 'it is a recorder, which is asked for history prune and nothing else');
    }
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
      log: (line, isGood) => void log.log(isGood === true ? 'info' : 'warn', line),
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

/** One that is not there is made for the first monitor. */
function checkStore({ file, store }: HistorySettings): void {
  try {
    readdirSync(store);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT') return;
    const what = code === 'ENOTDIR' ? 'is no folder: name another path' : `cannot be read (${code}): check the path`;
    throw new AgentError('volume', `${file}: store.path: ${store} ${what}`, { cause: error });
  }
}
