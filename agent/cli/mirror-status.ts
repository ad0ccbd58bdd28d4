/** `stillbeat mirror status [--config FILE | --socket PATH] [--json] [--watch]`: what a source or a target says of itself. */
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { EXIT } from '../base/errors.ts';
import { ask } from '../control-client.ts';
import { whenOutputFails } from '../platform/standard-output.ts';
import { loadMirror } from '../settings/mirror.ts';
import { usageError } from './commands.ts';
import { mirrorText } from './mirror-text.ts';
import { notAnswering } from './watch.ts';

const WATCH_MS = 500;

export async function mirrorStatus(argv: string[]): Promise<number> {
  const { values } = parseArgs({
    args: argv,
    options: {
      config: { type: 'string' },
      socket: { type: 'string' },
      json: { type: 'boolean' },
      watch: { type: 'boolean' },
    },
  });
  if (values.socket === undefined && values.config === undefined) {
    throw usageError('mirror', '--config or --socket is missing');
  }
  const socket = values.socket ?? loadMirror(values.config ?? '').controlSocket;
  const show = async (): Promise<string> => {
    const document = await ask(socket, { command: 'mirror-status' }, undefined, 'stillbeat mirror source" or "target');
    return values.json === true ? `${JSON.stringify(document)}\n` : mirrorText(document);
  };
  if (values.watch !== true) {
    process.stdout.write(await show());
    return EXIT.ok;
  }
  const inPlace = process.stdout.isTTY && values.json !== true;
  const ended = new AbortController();
  process.once('SIGINT', () => ended.abort());
  whenOutputFails(() => ended.abort());
  while (!ended.signal.aborted) {
    const text = await show().catch((error: unknown) => notAnswering(error, values.json === true));
    process.stdout.write(inPlace ? `\u001b[H\u001b[2J${text}` : text);
    await delay(WATCH_MS, undefined, { signal: ended.signal }).catch(() => {});
  }
  return EXIT.ok;
}
