/** `stillbeat status [--config FILE | --socket PATH] [--json] [--watch]`. */
import { parseArgs } from 'node:util';
import { ask } from '../control-client.ts';
import { statusText } from './status-text.ts';
import { controlSocket } from './usage.ts';
import { watch } from './watch.ts';

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
  if (values.watch === true) return watch(socket, values.json === true);
  const document = await ask(socket, { command: 'status' });
  process.stdout.write(
    values.json === true ? `${JSON.stringify(document)}\n` : statusText(document, process.stdout.isTTY),
  );
  return 0;
}
