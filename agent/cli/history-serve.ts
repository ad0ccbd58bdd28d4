/** `stillbeat history serve --at TIME`: an earlier state as NBD exports, at once (OS8); read-only, or over it what clients write. */
import { AgentError, EXIT } from '../base/errors.ts';
import { timeText } from '../history/core/spans.ts';
import { loadRecording } from '../history/store/load.ts';
import { State } from '../history/store/state.ts';
import { OverlayRoom } from '../history/serve/overlay.ts';
import { StateVolume } from '../history/serve/state-volume.ts';
import { NbdServer, type NbdEndpoint } from '../nbd/server.ts';
import { tuneForData } from '../platform/engine.ts';
import { keepFreedMemory } from '../platform/native.ts';
import { parseEndpoint } from '../settings/address.ts';
import { sizeBytes } from './arguments.ts';
import { usageError } from './commands.ts';
import { foldersOf, momentOf, parse } from './history-open.ts';

const GRACE_MS = 2000;
const LISTEN_DEFAULT = '127.0.0.1:10810';

/** Until SIGTERM or SIGINT. */
export async function serve(argv: string[]): Promise<number> {
  const { values, positionals } = parse(argv, {
    at: { type: 'string' },
    listen: { type: 'string' },
    overlay: { type: 'string' },
  });
  if (positionals.length > 0) throw usageError('history', `history serve takes no ${positionals.join(' ')}`);
  const listen = endpointOf(values.listen ?? LISTEN_DEFAULT);
  const room = values.overlay === undefined ? null : roomOf(values.overlay);
  const folders = foldersOf(values);
  keepFreedMemory();
  tuneForData();
  const states: State[] = [];
  const volumes: StateVolume[] = [];
  const said: string[] = [];
  try {
    for (const folder of folders) {
      const loaded = loadRecording(folder);
      const moment = momentOf(loaded, values.at);
      const state = new State(loaded, moment.mark);
      states.push(state);
      const { monitor } = loaded.head;
      state.volumes.forEach(({ name, bytes }, index) => {
        const shown = folders.length === 1 ? name : `${monitor}/${name}`;
        const description = `${monitor} at mark ${moment.mark}, ${timeText(moment.timeUs)}`;
        volumes.push(new StateVolume(state, { index, name: shown, bytes, description }, room));
        said.push(shown);
      });
      process.stdout.write(`${monitor}: mark ${moment.mark}, written ${timeText(moment.timeUs)}\n`);
    }
    const log = (line: string): void => void process.stderr.write(`${line}\n`);
    for (const volume of volumes) volume.log = log;
    const server = await NbdServer.open({
      exports: { list: () => volumes },
      listen,
      setting: '--listen',
      keys: null,
      log,
    });
    for (const name of said) process.stdout.write(`serving ${uriOf(listen, server.port, name)}\n`);
    await new Promise<void>((resolve) => {
      for (const signal of ['SIGTERM', 'SIGINT']) process.once(signal, () => resolve());
    });
    await server.close(GRACE_MS);
    return EXIT.ok;
  } finally {
    for (const state of states) state.close();
  }
}

function roomOf(text: string): OverlayRoom {
  const bytes = sizeBytes(text);
  if (bytes === null || bytes === 0) {
    throw usageError('history', `--overlay ${text} is no size: write for example 256M, that much memory at most`);
  }
  return new OverlayRoom(bytes);
}

function endpointOf(text: string): NbdEndpoint {
  if (text.startsWith('unix:') && text.length > 'unix:'.length) return { path: text.slice('unix:'.length) };
  const parsed = parseEndpoint(text);
  if (!parsed.fault) return parsed.value;
  const { what, mend } = parsed.fault;
  throw new AgentError('usage', `history: --listen: ${what}: ${mend}, or unix:PATH`);
}

function uriOf(listen: NbdEndpoint, port: number, name: string): string {
  if ('path' in listen) return `nbd+unix:///${name}?socket=${listen.path}`;
  const host = listen.host.includes(':') ? `[${listen.host}]` : listen.host;
  return `nbd://${host}:${port}/${name}`;
}
