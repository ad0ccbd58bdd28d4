/** `stillbeat receive`: prints the messages that programs on the peers send to this node's channel, until it is ended. */
import { parseArgs } from 'node:util';
import { AgentError, EXIT } from '../base/errors.ts';
import type { Message } from '../client/index.ts';
import { whenOutputFails } from '../platform/standard-output.ts';
import { usageError } from './commands.ts';
import { connectPrograms } from './usage.ts';

export async function receive(argv: string[]): Promise<number> {
  const options = {
    channel: { type: 'string' },
    count: { type: 'string' },
    config: { type: 'string' },
    socket: { type: 'string' },
    json: { type: 'boolean' },
  } as const;
  const { values } = parseArgs({ args: argv, options });
  const { count = 'Infinity' } = values;
  if (count !== 'Infinity' && !/^[1-9]\d{0,8}$/.test(count))
    throw usageError('receive', `--count ${count} is no number`);
  const client = await connectPrograms('receive', values, count === 'Infinity' ? {} : { count: Number(count) });
  let isEnding = false;
  const end = () => {
    isEnding = true;
    void client.close();
  };
  process.once('SIGINT', end);
  process.once('SIGTERM', end);
  whenOutputFails(end);
  for (let left = Number(count); left > 0; left--) {
    const message = await client.read();
    if (!message) {
      if (isEnding) break;
      throw new AgentError('failed', `receive: ${client.error}`);
    }
    process.stdout.write(values.json === true ? jsonLine(message) : textOf(message));
  }
  await client.close();
  return EXIT.ok;
}

const jsonLine = ({ bytes, ...rest }: Message): string =>
  `${JSON.stringify({ ...rest, bytes: Buffer.from(bytes).toString('base64') })}\n`;

function textOf({ bytes }: Message): Uint8Array {
  return bytes.at(-1) === 0x0a ? bytes : Buffer.concat([bytes, Buffer.from('\n')]);
}
