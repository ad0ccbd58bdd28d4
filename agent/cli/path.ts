/** `stillbeat path PEER auto|storage|network`: an operator's override, for maintenance. */
import { parseArgs } from 'node:util';
import { ask } from '../control-client.ts';
import { usageError } from './commands.ts';
import { controlSocket } from './usage.ts';

export async function path(argv: string[]): Promise<number> {
  const options = { config: { type: 'string' }, socket: { type: 'string' }, json: { type: 'boolean' } } as const;
  const { values, positionals } = parseArgs({ args: argv, options, allowPositionals: true });
  const [peer, to, ...rest] = positionals;
  if (peer === undefined || to === undefined || rest.length > 0) {
    throw usageError('path', 'PEER and one of auto, storage, network are needed');
  }
  const answer = await ask(controlSocket('path', values), { command: 'path', peer, to });
  process.stdout.write(values.json === true ? `${JSON.stringify(answer)}\n` : `${peer}: ${to}\n`);
  return 0;
}
