/** `stillbeat status [--config FILE | --socket PATH] [--json] [--watch]`. */
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { ask } from '../control-client.ts';
import { statusText } from './status-text.ts';
import { controlSocket } from './usage.ts';

const WATCH_MS = 500;

/** Who watches wants to see the agent come back: while it starts again, or after its end. */
function notAnswering(error: unknown, json: boolean): string {
  const line = `not answering: ${error instanceof Error ? error.message : String(error)}`;
  return json ? `${JSON.stringify({ error: line })}\n` : `${line}\n`;
}

export async function status(argv: string[]): Promise<number> {
  const { values } = parseArgs({
    args: argv,
    options: {
      config: { type: 'string' },
      socket: { type: 'string' },
      json: { type: 'boolean' },
      watch: { type: 'boolean' },
    },
  });
  const socket = controlSocket('status', values);
  const show = async (): Promise<string> => {
    const document = await ask(socket, { command: 'status' });
    return values.json === true ? `${JSON.stringify(document)}\n` : statusText(document, process.stdout.isTTY);
  };
  if (values.watch !== true) {
    process.stdout.write(await show());
    return 0;
  }
  const inPlace = process.stdout.isTTY && values.json !== true;
  const ended = new AbortController();
  process.once('SIGINT', () => ended.abort());
  while (!ended.signal.aborted) {
    const text = await show().catch((error: unknown) => notAnswering(error, values.json === true));
    process.stdout.write(inPlace ? `\u001b[H\u001b[2J${text}` : text);
    await delay(WATCH_MS, undefined, { signal: ended.signal }).catch(() => {});
  }
  return 0;
}
