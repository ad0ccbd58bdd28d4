/** `stillbeat history serve --at TIME`: an earlier state as NBD exports, at once (OS8); read-only, or over it what clients write. */
import { existsSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { AgentError, EXIT } from '../base/errors.ts';
import { State } from '../history/store/state.ts';
import { OverlayRoom } from '../history/serve/overlay.ts';
import { StateVolume } from '../history/serve/state-volume.ts';
import { NbdServer, type NbdEndpoint } from '../nbd/server.ts';
import { tuneForData } from '../platform/engine.ts';
import { keepFreedMemory } from '../platform/native.ts';
import { isLoopback, parseEndpoint } from '../settings/address.ts';
import { readExportKeys } from '../settings/export-keys.ts';
import { sizeBytes } from './arguments.ts';
import { usageError } from './commands.ts';
import { foldersOf, loadForState, momentOf, parse, toldTime, writtenText } from './history-open.ts';

const GRACE_MS = 2000;
const LISTEN_DEFAULT = '127.0.0.1:10810';

/** Until SIGTERM or SIGINT. */
export async function serve(argv: string[]): Promise<number> {
  const { values, positionals } = parse(argv, {
    at: { type: 'string' },
    listen: { type: 'string' },
    overlay: { type: 'string' },
    'key-file': { type: 'string' },
    open: { type: 'boolean' },
  });
  if (positionals.length > 0) throw usageError('history', `history serve takes no ${positionals.join(' ')}`);
  const listen = endpointOf(values.listen ?? LISTEN_DEFAULT);
  const keyFile = values['key-file'];
  if (keyFile === undefined && values.open !== true) refuseOpen(listen);
  const keys = keyFile === undefined ? null : readExportKeys(keyFile, '--key-file');
  const room = values.overlay === undefined ? null : roomOf(values.overlay);
  const folders = foldersOf(values);
  keepFreedMemory();
  tuneForData();
  const states: State[] = [];
  const volumes: StateVolume[] = [];
  const said: string[] = [];
  try {
    for (const folder of folders) {
      const loaded = loadForState(folder);
      const moment = momentOf(loaded, values.at);
      const state = new State(loaded, moment.mark);
      states.push(state);
      const { monitor } = loaded.head;
      state.volumes.forEach(({ name, bytes }, index) => {
        const shown = folders.length === 1 ? name : `${monitor}/${name}`;
        const description = `${monitor} at mark ${moment.mark}, ${toldTime(moment.timeUs) ?? 'a time that cannot be told'}`;
        volumes.push(new StateVolume(state, { index, name: shown, bytes, description }, room));
        said.push(shown);
      });
      process.stdout.write(`${monitor}: mark ${moment.mark}, ${writtenText(toldTime(moment.timeUs))}\n`);
    }
    const log = (line: string): void => void process.stderr.write(`${line}\n`);
    for (const volume of volumes) volume.log = log;
    const server = await NbdServer.open({
      exports: { list: () => volumes },
      listen,
      setting: '--listen',
      keys,
      log,
    });
    const [identity = ''] = keys?.keys() ?? [];
    const tls = keyFile === undefined ? null : { identity, keyFile };
    for (const name of said) process.stdout.write(`serving ${uriOf(listen, server.port, name, tls)}\n`);
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
  if (text.startsWith('unix:') && text.length > 'unix:'.length) {
    const path = text.slice('unix:'.length);
    if (existsSync(dirname(path))) return { path };
    throw new AgentError(
      'usage',
      `history: --listen ${text}: there is no folder ${dirname(path)}: name one that is there`,
    );
  }
  const parsed = parseEndpoint(text);
  if (!parsed.fault) return parsed.value;
  const { what, mend } = parsed.fault;
  throw new AgentError('usage', `history: --listen: ${what}: ${mend}, or unix:PATH`);
}

/** Whoever reaches it reads all that the volumes were. */
function refuseOpen(listen: NbdEndpoint): void {
  if ('path' in listen || isLoopback(listen.host)) return;
  const what = `--listen ${listen.host} is open to other hosts, and there is no --key-file`;
  const mend = 'write --key-file FILE (made by "psktool -u NAME -p FILE"), or --open to let everybody read the volumes';
  throw new AgentError('usage', `history: ${what}: ${mend}`);
}

interface Tls {
  readonly identity: string;
  readonly keyFile: string;
}

function uriOf(listen: NbdEndpoint, port: number, name: string, tls: Tls | null): string {
  const scheme = tls ? 'nbds' : 'nbd';
  const who = tls ? `${encodeURIComponent(tls.identity)}@` : '';
  const file = tls ? `tls-psk-file=${resolve(tls.keyFile)}` : '';
  if ('path' in listen) return `${scheme}+unix://${who}/${name}?socket=${listen.path}${file === '' ? '' : `&${file}`}`;
  const host = listen.host.includes(':') ? `[${listen.host}]` : listen.host;
  return `${scheme}://${who}${host}:${port}/${name}${file === '' ? '' : `?${file}`}`;
}
